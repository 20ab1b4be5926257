"""What the mesh counted, as panels: share, rate, success, latency and causes of errors."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Panel

from dashboards import panels, queries
from dashboards.experiment_view import ExperimentView, VariantView
from dashboards.latency_heatmap import latency_heatmap
from dashboards.layout import Section
from dashboards.panels import PanelUnit, Query, Steps
from dashboards.request_families import ENVOY, ENVOY_FLAG_COUNTERS, CountingSide

_QUANTILES = {"p50": "0.5", "p90": "0.9", "p99": "0.99"}
_SHARE = "Percent of the requests that each version got; compare with the configured split."
_RATE = "Requests per second that each version answered."
_SUCCESS = (
    "Share of answered requests that went well. Requests whose client went away are left out; "
    "when all fail, it is 0. For the eye: verdicts rest on exact counts, not on rates."
)
_LATENCY = "Interpolated between bucket edges, so for the eye only: verdicts use the edges."
_HEAT = "Requests per second by latency bucket: a second hump or a longer tail shows here first."
_CAUSES = "Requests per second that failed or carry a response flag, by flag and code."
_FLAG_COUNTERS = (
    "A bare Envoy's series carry no response flags. These of its counters move where its access "
    "log has the flag."
)


def variant_section(view: ExperimentView, side: CountingSide) -> Section:
    """One experiment's requests, a query per variant, the baseline always in the same colour."""
    rows = (
        (_share(view, side), _rate(view, side), _success(view, side)),
        tuple(_latency(view, side, name) for name in _QUANTILES),
        tuple(_heatmap(view, side, variant) for variant in view.variants),
        _causes(view, side),
    )
    return Section(f"Requests by variant ({side.title})", rows)


def fleet_section(side: CountingSide, version_label: str, *, interval_s: int) -> Section:
    """The requests of all services that a mesh counts, by service and version."""
    labels = (*side.service_labels, version_label)
    legend = _legend((*side.service_labels[-1:], version_label))

    def panel(title: str, description: str, expr: str, unit: PanelUnit, more: str = "") -> Panel:
        query = Query(expr, f"{legend}{more}")
        return panels.time_series(title, description, [query], unit, interval_s=interval_s)

    rate = queries.request_rate(side, side.scope, queries.ALL, labels)
    success = queries.success_rate(side, side.scope, queries.ALL, labels)
    latency = queries.latency_quantile("$quantile", side, side.scope, queries.ALL, labels)
    causes = queries.errors_by_cause(side, side.scope, queries.ALL, labels)
    share = queries.traffic_share_by(side, side.scope, version_label) if side.service_labels else ""
    more = f" {_legend(side.cause_labels)}"
    # Where series name no service, versions have nothing to be a share of.
    first = [panel("Traffic share", _SHARE, share, panels.PERCENT)] if share else []
    return Section(
        f"All services ({side.title})",
        (
            (
                *first,
                panel("Request rate", _RATE, rate, panels.REQUESTS_PER_SECOND),
                panel("Success rate", _SUCCESS, success, panels.SHARE),
            ),
            (
                panel(
                    "Latency, quantile $quantile", _LATENCY, latency, PanelUnit(side.latency_unit)
                ),
                panel("Errors by flag", _CAUSES, causes, panels.REQUESTS_PER_SECOND, more),
            ),
        ),
    )


def _legend(labels: tuple[str, ...]) -> str:
    return " ".join(f"{{{{{label}}}}}" for label in labels)


def _share(view: ExperimentView, side: CountingSide) -> Panel:
    scope, everyone = queries.scope_of(side, view), queries.picks_of(view.variants)
    exprs = [
        queries.traffic_share(side, scope, queries.pick_of(variant), everyone)
        for variant in view.variants
    ]
    return _by_variant(view, "Traffic share", _SHARE, exprs, panels.PERCENT, stacked=True)


def _rate(view: ExperimentView, side: CountingSide) -> Panel:
    scope = queries.scope_of(side, view)
    exprs = [
        queries.request_rate(side, scope, (queries.pick_of(variant),)) for variant in view.variants
    ]
    return _by_variant(view, "Request rate", _RATE, exprs, panels.REQUESTS_PER_SECOND)


def _success(view: ExperimentView, side: CountingSide) -> Panel:
    scope = queries.scope_of(side, view)
    exprs = [
        queries.success_rate(side, scope, (queries.pick_of(variant),)) for variant in view.variants
    ]
    limit = success_steps(view)
    return _by_variant(view, "Success rate", _SUCCESS, exprs, panels.SHARE, thresholds=limit)


def _latency(view: ExperimentView, side: CountingSide, name: str) -> Panel:
    scope = queries.scope_of(side, view)
    exprs = [
        queries.latency_quantile(_QUANTILES[name], side, scope, (queries.pick_of(variant),))
        for variant in view.variants
    ]
    # The bound is one for the p99: against a median it would always look good.
    limit = latency_steps(view, side.latency_scale) if name == "p99" else ()
    return _by_variant(
        view, f"Latency {name}", _LATENCY, exprs, PanelUnit(side.latency_unit), thresholds=limit
    )


def _heatmap(view: ExperimentView, side: CountingSide, variant: VariantView) -> Panel:
    """Beside the others' with the same buckets, so that shapes can be compared."""
    buckets = queries.latency_buckets(side, queries.scope_of(side, view), queries.pick_of(variant))
    return latency_heatmap(
        f"Latency of {variant.legend}",
        _HEAT,
        Query(buckets, "{{le}}"),
        PanelUnit(side.latency_unit),
        interval_s=view.scrape_interval_s,
    )


def _causes(view: ExperimentView, side: CountingSide) -> tuple[Panel, ...]:
    """Errors by response flag; for Envoy by code, with the counters that stand for the flags."""
    scope = queries.scope_of(side, view)
    exprs = [
        queries.errors_by_cause(side, scope, (queries.pick_of(variant),))
        for variant in view.variants
    ]
    legends = [f"{variant.legend} {_legend(side.cause_labels)}" for variant in view.variants]
    # No fixed colours: a variant has one series per cause.
    found = [Query(expr, legend) for expr, legend in zip(exprs, legends, strict=True)]
    by_cause = panels.time_series(
        "Errors by response flag" if side is not ENVOY else "Errors by response code",
        _CAUSES,
        found,
        panels.REQUESTS_PER_SECOND,
        interval_s=view.scrape_interval_s,
    )
    return (by_cause, _flag_counters(view)) if side is ENVOY else (by_cause,)


def _flag_counters(view: ExperimentView) -> Panel:
    picks = queries.picks_of(view.variants)
    label = ENVOY.version_labels[0]
    found = [
        Query(queries.flag_counter(metric, picks, (label,)), f"{flag} {_legend((label,))}")
        for flag, metric in ENVOY_FLAG_COUNTERS.items()
    ]
    return panels.time_series(
        "Events by response flag",
        _FLAG_COUNTERS,
        found,
        panels.EVENTS_PER_SECOND,
        interval_s=view.scrape_interval_s,
    )


def success_steps(view: ExperimentView) -> Steps:
    """Red below the objective, if there is one."""
    return () if view.success_objective is None else panels.below_is_bad(view.success_objective)


def latency_steps(view: ExperimentView, scale: float = 1.0) -> Steps:
    """Red above the bound, if there is one; scale: the axis' units per millisecond."""
    if view.latency_bound_ms is None:
        return ()
    return panels.above_is_bad(view.latency_bound_ms * scale)


def _by_variant(
    view: ExperimentView,
    title: str,
    description: str,
    exprs: list[str],
    unit: PanelUnit,
    *,
    thresholds: Steps = (),
    stacked: bool = False,
) -> Panel:
    """A panel with one line per variant; exprs: in the order of the variants."""
    found = [
        Query(expr, variant.legend, hue)
        for hue, (expr, variant) in enumerate(zip(exprs, view.variants, strict=True))
    ]
    return panels.time_series(
        title,
        description,
        found,
        unit,
        interval_s=view.scrape_interval_s,
        thresholds=thresholds,
        stacked=stacked,
    )
