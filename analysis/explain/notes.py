"""What decides nothing, but a reader of the verdict should know before believing it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, date, datetime

from analysis.evidence import RequestEvidence, UserEvidence
from analysis.explain.latency_notes import latency_notes
from analysis.explain.ratio_notes import ratio_notes
from analysis.explain.reasons import amount, explain
from analysis.judge.latency_table import LatencyTable
from analysis.judge.segments import SegmentTable
from analysis.metric_result import Classification, MetricResult
from analysis.plan import Plan, Role, Unit
from analysis.quality.split_checks import user_stages
from analysis.users.plausibility import effect_trend, largest_user, too_large_to_be_true

# Of equal effects in all segments, over a handful of dimensions and metrics.
_INTERACTION_LEVEL = 0.001
# So many rows under a name are no chance.
_SOME_ROWS = 20
# Without a new user for so long, and for such a part of the time, a source may have stopped; one
# that exports once a day is up to two days behind.
_DAY_MS, _SILENT_DAYS, _SILENT_PART = 86_400_000, 2, 0.2


def take_notes(
    plan: Plan,
    users: UserEvidence | None,
    metrics: tuple[MetricResult, ...],
    segments: tuple[SegmentTable, ...],
    latency: tuple[LatencyTable, ...],
) -> tuple[str, ...]:
    """All that applies, as sentences."""
    found = [note for table in latency for note in latency_notes(table)]
    found += _approved(metrics)
    found += _of_no_weight(metrics)
    if users is None:
        return tuple(found)
    if plan.is_users_fixed_horizon:
        found.append(
            "users have no times: they are judged once, at the plan's end, by fixed-horizon tests, "
            "which are valid for one look; changed rows are not judged again"
        )
    if users.are_sums:
        found.append(
            "the source has only sums: that no user is in two variants, and that outcomes are "
            "final, come after the exposure and belong to their users, can't be checked"
        )
    found += users.contradictions
    found += _adjustments(plan, metrics)
    for metric in metrics:
        if metric.unit is Unit.USER:
            found += _doubts(plan, users, metric)
    for table in segments:
        name = plan.named(table.metric, table.candidate)
        is_share = table.metric in users.proportions
        found += _interactions(name, table, is_share=is_share)
        found += _notable(name, table, is_share=is_share)
    # What is of all variants is found with each candidate.
    return tuple(dict.fromkeys(found))


def notes_on_edges(plan: Plan, requests: RequestEvidence | None) -> Iterator[str]:
    """Where slow requests are counted from another bound than the one that was asked for."""
    if requests is None:
        return
    for metric in plan.metrics:
        edge = requests.edges_ms.get(metric.name)
        if metric.above_ms is None:
            continue
        if edge is None:
            yield from _without_edge(plan, requests, metric.name, metric.above_ms)
        elif edge != metric.above_ms:
            yield (
                f"{metric.name}: slow is slower than {edge:g} ms, not {metric.above_ms:g} ms as "
                f"asked for: the next bucket edge that all versions export"
            )


def _without_edge(
    plan: Plan, requests: RequestEvidence, name: str, above_ms: float
) -> Iterator[str]:
    """Why no slow requests are counted, although there are requests."""
    seen = [v for v in (plan.baseline, *plan.candidates) if requests.requests[v].any()]
    if len(seen) < 2 or plan.baseline not in seen:
        return
    if untold := [variant for variant in seen if variant not in requests.latency]:
        yield (
            f"{name}: {' and '.join(untold)} {'has' if len(untold) == 1 else 'have'} no latencies: "
            "is their histogram scraped, with its bucket of +Inf?"
        )
        return
    edges = requests.latency[plan.baseline].edges_ms
    largest = max((edge for edge in edges.tolist() if edge < math.inf), default=0.0)
    if largest < above_ms:
        yield (
            f"{name}: the latency buckets of {plan.baseline} end at {largest:g} ms, so requests "
            f"slower than {above_ms:g} ms aren't known: ask for less, or correct their unit"
        )


def notes_on_split(plan: Plan, users: UserEvidence | None) -> Iterator[str]:
    """What isn't held against any split, so that nothing is known of how it was divided."""
    units = {metric.unit for metric in plan.metrics}
    has_own = bool(plan.cohorts) and all(cohort.shares for cohort in plan.cohorts)
    configured = has_own or any(stage.shares for stage in plan.stages)
    if not configured and plan.stages:
        what = " and ".join(f"{unit.value}s" for unit in Unit if unit in units)
        yield (
            f"no split is configured, so whether {what} are divided as intended is not known; "
            "set `split` or `plan.stages`"
        )
    elif Unit.USER in units and users is not None and not user_stages(plan, users.by_split):
        yield (
            "the split of users changes and it isn't known under which one each user came, so "
            "whether they are divided as configured is not known"
        )
    first = plan.stages[0].shares if plan.is_start_observed and plan.stages else {}
    if first and not any(first.get(candidate) for candidate in plan.candidates):
        yield (
            "the plan is taken to start with a candidate's first request, though none has a share "
            "in the first stage: if that was no test traffic, the stages are late by the whole "
            "first one; set plan.start"
        )


def notes_on_arrivals(plan: Plan, users: UserEvidence | None, *, at_ms: int) -> Iterator[str]:
    """Where no user is known of the last days: what happens to those who came is not seen."""
    days = {} if users is None else users.exposed_by_part.get("day", {})
    came = [day for day, splits in days.items() if any(any(one.values()) for one in splits)]
    if not came:
        return
    last = date.fromisoformat(max(came))
    ended_ms = datetime(last.year, last.month, last.day, tzinfo=UTC).timestamp() * 1000 + _DAY_MS
    until_ms = min(at_ms, plan.end_ms)
    if until_ms - ended_ms >= max(
        _SILENT_DAYS * _DAY_MS, _SILENT_PART * (until_ms - plan.start_ms)
    ):
        until = datetime.fromtimestamp(until_ms / 1000, UTC)
        yield (
            f"no user came after {last} up to {until:%Y-%m-%d %H:%M} UTC: if the experiment went "
            "on, the source has stopped, and harm to later users is not seen"
        )


def _approved(metrics: tuple[MetricResult, ...]) -> Iterator[str]:
    for metric in metrics:
        if metric.approved is not None:
            yield (
                f"{metric.metric} of {metric.candidate_variant}: a person has approved up to "
                f"{amount(metric, metric.approved)}"
            )


def _of_no_weight(metrics: tuple[MetricResult, ...]) -> Iterator[str]:
    """Proven harm of what the spec says decides nothing: it also takes a signal's place."""
    for metric in metrics:
        if metric.role is Role.INFO and metric.classification is Classification.FAIL:
            yield f"{explain(metric)}; by its role, info, it decides nothing"


def _adjustments(plan: Plan, metrics: tuple[MetricResult, ...]) -> Iterator[str]:
    how = {metric.name: metric.adjusted_by for metric in plan.metrics}
    said: dict[str, float] = {}
    for metric in metrics:
        if metric.variance_removed is not None:
            said[metric.metric] = metric.variance_removed
    for name, removed in said.items():
        # By chance, strata or covariates that explain nothing cost a little; of nobody it is 0.
        if removed <= 0:
            continue
        what = how.get(name) or "what users did before"
        yield f"{name}: {what} removes {removed:.0%} of the variance"


def _doubts(plan: Plan, users: UserEvidence, metric: MetricResult) -> Iterator[str]:
    """Whether the effect rests on one user, changes with time, or is too large to be true."""
    variants = (metric.baseline_variant, metric.candidate_variant)
    name = plan.named(metric.metric, metric.candidate_variant)
    largest = users.largest.get(metric.metric, {})
    if metric.variance_removed is None and all(variant in largest for variant in variants):
        baseline, candidate = users.samples[metric.metric][metric.candidate_variant]
        one = largest_user(baseline, candidate, (largest[variants[0]], largest[variants[1]]))
        if one is not None and one.influential:
            yield (
                f"{name}: the difference is {amount(metric, one.difference)}, without the "
                f"one largest user of each variant {amount(metric, one.without)}; a cap would help"
            )
    yield from _trend(users, metric, name)
    if metric.metric in users.denominators:
        yield from ratio_notes(name, users.denominators[metric.metric], variants)
    yield from _nobody(users, metric)
    yield from _ahead(users, metric)
    yield from _one_sided(users, metric)
    prior_sd = next(m.prior_sd for m in plan.metrics if m.name == metric.metric)
    if too_large_to_be_true(metric.relative.lower, metric.relative.upper, prior_sd):
        yield (
            f"{name}: a change of {metric.relative.value:+.0%} is too large to be true, "
            f"where {prior_sd:.0%} is typical; look for a fault in the data first (Twyman's law)"
        )


def _nobody(users: UserEvidence, metric: MetricResult) -> Iterator[str]:
    """Where less is better and nobody did it: it may just not be recorded."""
    means = metric.baseline, metric.candidate
    reaches = users.reach.get(metric.metric, ())
    if metric.higher_is_better or metric.unknown is not None or any(mean != 0 for mean in means):
        return
    for reach in reaches:
        if not any(each.happened for each in reach.by_variant.values()):
            yield (
                f"{metric.metric}: none of the users had an outcome {reach.outcome!r}: it never "
                "happened, or it isn't recorded under this name"
            )


def _ahead(users: UserEvidence, metric: MetricResult) -> Iterator[str]:
    """Outcomes of exposed users that are later than anything that can be known."""
    for reach in users.reach.get(metric.metric, ()):
        found = {v: each.ahead for v, each in reach.by_variant.items() if each.ahead}
        if found:
            listed = " and ".join(f"{rows:,} of {variant}" for variant, rows in found.items())
            yield (
                f"{metric.metric}: outcomes {reach.outcome!r} that are later than the last pull "
                f"count for nothing ({listed}); are clocks or time zones off?"
            )


def _one_sided(users: UserEvidence, metric: MetricResult) -> Iterator[str]:
    """Names that no metric reads and that nearly only one variant's users have."""
    arms = (metric.baseline_variant, metric.candidate_variant)
    for reach in users.reach.get(metric.metric, ()):
        for name, rows in reach.others.items():
            few, many = sorted(rows.get(arm, 0) for arm in arms)
            whose = max(arms, key=lambda arm: rows.get(arm, 0))
            counted = reach.by_variant[whose].happened
            if many >= max(_SOME_ROWS, counted / 10) and few <= many / 10:
                said = f"nearly only {whose}'s users have outcomes {name!r} ({many:,} rows)"
                yield (
                    f"{metric.metric}: {said}, which no metric reads: is it {reach.outcome!r} "
                    "under another name?"
                )


def _trend(users: UserEvidence, metric: MetricResult, name: str) -> Iterator[str]:
    variants = users.trends.get(metric.metric, {}).get(metric.candidate_variant)
    if variants is None or any(float(variant.n) < 2 for variant in variants):
        return
    trend = effect_trend(
        *variants,
        days=users.trend_days[metric.metric],
        effect=metric.difference.value,
    )
    if trend.kind == "steady":
        return
    cause = "novelty" if trend.kind == "fading" else "learning"
    yield (
        f"{name}: the effect is {trend.kind} with the days since a user's first exposure "
        f"(p = {trend.p_value:.1g}), as {cause} does; in the long run it may be another"
    )


def _signed(difference: float, *, is_share: bool) -> str:
    """In points of a share, else in the metric's unit."""
    return f"{100 * difference:+.2f} points" if is_share else f"{difference:+.3g}"


def _interactions(name: str, table: SegmentTable, *, is_share: bool) -> Iterator[str]:
    for found in table.interactions:
        if found.reversed:
            yield (
                f"{name}: pooled, the difference is {_signed(found.pooled, is_share=is_share)}, "
                f"but within {found.dimension} it is {_signed(found.stratified, is_share=is_share)}"
                ": the variants have different users (Simpson's paradox); trust the second"
            )
        elif found.p_value < _INTERACTION_LEVEL:
            yield (
                f"{name}: the effect differs by {found.dimension} "
                f"(p = {found.p_value:.1g}); one number for all users hides it"
            )


def _notable(name: str, table: SegmentTable, *, is_share: bool) -> Iterator[str]:
    shown: dict[str, list[str]] = {}
    for effect in table.effects:
        if effect.notable:
            change = _signed(effect.difference.value, is_share=is_share)
            shown.setdefault(effect.dimension, []).append(f"{effect.segment or 'none'} {change}")
    for dimension, effects in shown.items():
        yield (
            f"{name}: by {dimension}, an effect stands out in {', '.join(effects)} "
            f"(exploratory; e-BH over the segments)"
        )
