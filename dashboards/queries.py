"""Every PromQL expression of the dashboards, by what it shows."""

from __future__ import annotations

from dashboards.experiment_view import ExperimentView, VariantView
from dashboards.promql import Match, Matches, any_of, equals, select, sum_of_rates
from dashboards.request_families import CountingSide

# The guide's three queries, to the letter.
GUIDE_TRAFFIC_DISTRIBUTION = (
    "sum(rate(istio_requests_total[5m])) by (destination_service_name, destination_version)"
)
GUIDE_SUCCESS_RATE = (
    'sum(rate(istio_requests_total{response_code!~"5.."}[5m])) by (destination_version) /\n'
    "sum(rate(istio_requests_total[5m])) by (destination_version)"
)
GUIDE_LATENCY_P99 = (
    "histogram_quantile(0.99,\n"
    "  sum(rate(istio_request_duration_milliseconds_bucket[5m])) by (destination_version, le)\n"
    ")"
)

# The same, for the chosen service only and one reporter, so that nothing counts twice.
_CHOSEN = (
    'reporter="$reporter", destination_service_namespace=~"$namespace", '
    'destination_service_name=~"$service"'
)
CHOSEN_TRAFFIC_DISTRIBUTION = (
    f"sum(rate(istio_requests_total{{{_CHOSEN}}}[5m]))"
    " by (destination_service_name, destination_version)"
)
CHOSEN_SUCCESS_RATE = (
    f'sum(rate(istio_requests_total{{{_CHOSEN}, response_code!~"5.."}}[5m]))'
    " by (destination_version) /\n"
    f"sum(rate(istio_requests_total{{{_CHOSEN}}}[5m])) by (destination_version)"
)
CHOSEN_LATENCY_P99 = (
    "histogram_quantile(0.99,\n"
    f"  sum(rate(istio_request_duration_milliseconds_bucket{{{_CHOSEN}}}[5m]))"
    " by (destination_version, le)\n"
    ")"
)

ALL: tuple[Matches, ...] = ((),)


def scope_of(side: CountingSide, view: ExperimentView) -> Matches:
    """The conditions on all series of an experiment; a label that the spec names is the spec's."""
    named = set(view.match).union(*(variant.labels for variant in view.variants))
    return (*(match for match in side.scope if match.label not in named), *equals(**view.match))


def pick_of(variant: VariantView) -> Matches:
    """The conditions that pick out one variant."""
    version = () if variant.version is None else (Match("$version_label", "=", variant.version),)
    return (*version, *equals(**variant.labels))


def picks_of(variants: tuple[VariantView, ...]) -> tuple[Matches, ...]:
    """Conditions of which each series of the variants meets at least one, and no other does."""
    versions = tuple(v.version for v in variants if v.version is not None and not v.labels)
    together = ((any_of("$version_label", versions),),) if versions else ()
    return (*together, *(pick_of(v) for v in variants if v.labels))


def request_rate(
    side: CountingSide, scope: Matches, picks: tuple[Matches, ...], by: tuple[str, ...] = ()
) -> str:
    """Requests per second."""
    return sum_of_rates(side.requests, scope, picks, by)


def traffic_share(
    side: CountingSide, scope: Matches, pick: Matches, all_picks: tuple[Matches, ...]
) -> str:
    """A variant's percentage of the requests of all variants."""
    return f"100 * {request_rate(side, scope, (pick,))}\n/ {request_rate(side, scope, all_picks)}"


def traffic_share_by(side: CountingSide, scope: Matches, version_label: str) -> str:
    """Each version's percentage of the requests of its service."""
    labels = side.service_labels
    return (
        f"100 * {request_rate(side, scope, ALL, (*labels, version_label))}\n"
        f"/ on ({', '.join(labels)}) group_left {request_rate(side, scope, ALL, labels)}"
    )


def success_rate(
    side: CountingSide, scope: Matches, picks: tuple[Matches, ...], by: tuple[str, ...] = ()
) -> str:
    """Share of good among answered requests, 0..1: 0, not nothing, when every request fails."""
    answered = request_rate(side, (*scope, *side.answered), picks, by)
    good = request_rate(side, (*scope, *side.answered, *side.good), picks, by)
    return f"({good} or 0 * {answered})\n/ {answered}"


def latency_quantile(
    quantile: str,
    side: CountingSide,
    scope: Matches,
    picks: tuple[Matches, ...],
    by: tuple[str, ...] = (),
) -> str:
    """A quantile of the latency in the family's unit, interpolated between bucket edges."""
    buckets = sum_of_rates(side.latency, scope, picks, (*by, "le"))
    return f"histogram_quantile({quantile}, {buckets})"


def errors_by_cause(
    side: CountingSide, scope: Matches, picks: tuple[Matches, ...], by: tuple[str, ...] = ()
) -> str:
    """Requests per second that failed or carry a response flag, by flag and code."""
    bad = tuple((*pick, *part) for pick in picks for part in side.bad)
    return request_rate(side, scope, bad, (*by, *side.cause_labels))


def flag_counter(metric: str, picks: tuple[Matches, ...], by: tuple[str, ...]) -> str:
    """Events per second of one of Envoy's own counters."""
    return sum_of_rates(metric, (), picks, by)


# The exported metrics. Pushed ones come with a job and an instance: max() takes those away.


def health_score(prefix: str, *matches: Match) -> str:
    """Health score of candidates, 0..100."""
    metric = f"{prefix}_canary_health_score"
    return f"max by (service, deployment_version) ({select(metric, *matches)})"


def exported_share(prefix: str, *matches: Match) -> str:
    """Percentage of the traffic per version, as the last look counted it."""
    metric = f"{prefix}_traffic_split_percentage"
    return f"max by (namespace, service, version) ({select(metric, *matches)})"


def conversion_rate(prefix: str, *matches: Match) -> str:
    """Share of users with the outcome, 0..1, per variant."""
    metric = f"{prefix}_ab_test_conversion_rate"
    return f"max by (experiment, variant, outcome) ({select(metric, *matches)})"


# Our own metrics, which carry their experiment.

_DECISIONS = ("promote", "hold", "rollback", "invalid")


def own(name: str, *matches: Match, by: tuple[str, ...] = (), offset: str = "") -> str:
    """A metric of a verdict, by experiment and what else tells its series apart.

    offset: how long ago, as PromQL has it.
    """
    series = select(f"split_verdict_{name}", *matches) + (f" offset {offset}" if offset else "")
    return f"max by ({', '.join(('experiment', *by))}) ({series})"


def decision(*matches: Match) -> str:
    """The decision as a number: 1 promote, 2 hold, 3 rollback, 4 invalid."""
    of_each = (
        f"{number} * {own('decision', *matches, Match('decision', '=', word), by=('decision',))}"
        for number, word in enumerate(_DECISIONS, 1)
    )
    return "sum by (experiment) (\n  " + "\n  or ".join(of_each) + "\n)"


def age(name: str, *matches: Match) -> str:
    """Seconds since the time that one of our metrics says."""
    return f"time() - {own(name, *matches)}"


def of_run(name: str, *by: str) -> str:
    """A metric of the pipeline's last run."""
    grouping = f" by ({', '.join(by)})" if by else ""
    return f"max{grouping} (split_verdict_{name})"


def latency_buckets(side: CountingSide, scope: Matches, pick: Matches) -> str:
    """Requests per second in each latency bucket."""
    return sum_of_rates(side.latency, scope, (pick,), ("le",))
