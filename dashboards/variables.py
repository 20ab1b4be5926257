"""The dashboards' variables: datasource, namespace, service and what else the reader chooses."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard as models

from dashboards.experiment_view import ExperimentView
from dashboards.panels import DATASOURCE
from dashboards.request_families import CountingSide, side_of

Variables = list[Builder[models.VariableModel]]

_REPORTERS = ("destination", "source", "waypoint")
_ALL = models.VariableOption(selected=True, text=["All"], value=["$__all"])


def built(variables: Variables) -> models.DashboardDashboardTemplating:
    """The variables without what the library says of intervals to all kinds of them."""
    found = [variable.build() for variable in variables]
    for one in found:
        one.auto = one.auto_min = one.auto_count = None
    return models.DashboardDashboardTemplating(list_val=found)


def experiment_variables(view: ExperimentView) -> Variables:
    """The variables of one experiment's dashboard, set to what its spec says."""
    side = side_of(view.mesh, view.reporter) if view.mesh else None
    chosen: Variables = [_datasource(view.datasource)]
    if side and side.namespace_values and side.service_values:
        chosen += [
            _found("namespace", side.namespace_values, side.namespace_part, view.namespace),
            _found("service", side.service_values, side.service_part, view.service),
        ]
    else:
        chosen += [
            _choice("namespace", "Namespace", (view.namespace,), view.namespace),
            _choice("service", "Service", (view.service,), view.service),
        ]
    return [*chosen, *(_mesh_choices(side, view) if side else ())]


def fleet_variables(prefix: str) -> Variables:
    """The variables of the fleet's dashboard; everything is chosen at first."""
    share = f"{prefix}_traffic_split_percentage"
    return [
        _datasource(),
        _any_found("namespace", f"label_values({share}, namespace)"),
        _any_found("service", f'label_values({share}{{namespace=~"$namespace"}}, service)'),
        _choice("reporter", "Reporter", _REPORTERS, "destination"),
        _choice("quantile", "Latency quantile", ("0.5", "0.9", "0.99"), "0.99"),
    ]


def experiments_variables() -> Variables:
    """Which experiments to show, by our own metrics; all at first."""
    return [
        _datasource(),
        _any_found("experiment", "label_values(split_verdict_decision, experiment)"),
    ]


def _mesh_choices(side: CountingSide, view: ExperimentView) -> Variables:
    """Which label names the version, and for Istio whose count is shown."""
    chosen: Variables = []
    if side.uses_reporter:
        chosen.append(_choice("reporter", "Reporter", _REPORTERS, view.reporter))
    if any(variant.version is not None for variant in view.variants):
        labels = side.version_labels
        current = view.version_label or labels[0]
        values = labels if current in labels else (current, *labels)
        chosen.append(_choice("version_label", "Version label", values, current))
    return chosen


def _datasource(first: tuple[str, str] | None = None) -> builders.DatasourceVariable:
    """Which Prometheus to ask; at first that of this name and uid, or Grafana's default one."""
    chosen = builders.DatasourceVariable("datasource").label("Prometheus").type("prometheus")
    if first is None:
        return chosen
    name, uid = first
    return chosen.current(models.VariableOption(selected=True, text=name, value=uid))


def _found(name: str, values: str, part: str, current: str) -> builders.QueryVariable:
    """One of the values that a label_values() query finds; part: what to take of each."""
    variable = _query(name, values).current(_option(current))
    return variable.regex(part) if part else variable


def _any_found(name: str, values: str) -> builders.QueryVariable:
    """Any number of the values that a label_values() query finds; at first all."""
    return _query(name, values).multi(True).include_all(True).all_value(".*").current(_ALL)


def _query(name: str, values: str) -> builders.QueryVariable:
    return (
        builders.QueryVariable(name)
        .label(name.capitalize())
        .datasource(DATASOURCE)
        .query({"query": values, "refId": "StandardVariableQuery"})
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
    )


def _choice(
    name: str, label: str, values: tuple[str, ...], current: str
) -> builders.CustomVariable:
    """One of the given values; the reader may also type another."""
    return (
        builders.CustomVariable(name)
        .label(label)
        .values(",".join(values))
        .options([_option(value, selected=value == current) for value in values])
        .current(_option(current))
        .allow_custom_value(True)
    )


def _option(value: str, *, selected: bool = True) -> models.VariableOption:
    return models.VariableOption(selected=selected, text=value, value=value)
