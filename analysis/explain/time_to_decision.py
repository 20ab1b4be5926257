"""What is still missing for a promote, and how long it is likely to take at the current rate."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from analysis.explain.reasons import (
    describe_absence,
    describe_harm,
    describe_objective,
    describe_pods,
    describe_recent,
    describe_unknown,
    level,
    listed,
)
from analysis.explain.spans import span
from analysis.metric_result import Classification, Estimate, MetricResult
from analysis.plan import Plan, Role, Unit

# So many standard errors, or little less, lie between an estimate and its bound once a few dozen
# buckets are known.
_SETTLED = 4.0
# A bound so much farther off says nothing yet.
_FAR_OFF = 0.1


_NOTHING_DECIDES = (
    "no metric decides, so nothing says that the candidate is healthy: give one the role guardrail "
    "or goal"
)


def missing_for_decision(
    plan: Plan, metrics: Sequence[MetricResult], *, at_ms: int
) -> tuple[str, ...]:
    """Sentences that say what is missing; empty when nothing is."""
    deciding = [metric for metric in metrics if metric.role.decides]
    return (
        *_too_early(plan, at_ms),
        *_too_few(plan, deciding),
        *(() if deciding else (_NOTHING_DECIDES,)),
        *(
            _undecided(plan, m, at_ms)
            for m in deciding
            if m.classification is not Classification.PASS
        ),
    )


def _too_early(plan: Plan, at_ms: int) -> Iterator[str]:
    rest = plan.start_ms + plan.minimum_ms - at_ms
    warming = plan.start_ms + plan.warm_up_ms - at_ms
    if warming > 0 and any(metric.unit is not Unit.USER for metric in plan.metrics):
        yield f"warming up: {span(warming)} left, in which only a total failure is judged"
    if rest > 0:
        yield f"minimum duration {span(plan.minimum_ms)}: {span(rest)} left"


def _too_few(plan: Plan, metrics: Sequence[MetricResult]) -> Iterator[str]:
    seen: dict[tuple[str, Unit], float] = {}
    for metric in metrics:
        if metric.unit is Unit.BUCKET:  # time; plan.minimum_duration says how much
            continue
        for variant, exposure in (
            (metric.baseline_variant, metric.exposure_baseline),
            (metric.candidate_variant, metric.exposure_candidate),
        ):
            key = (variant, metric.unit)
            seen[key] = max(seen.get(key, 0.0), exposure)
    least = plan.minimum_exposure
    for (variant, unit), exposure in seen.items():
        if exposure < least:
            when = _users_count_after(plan, [m.metric for m in metrics if m.unit is unit])
            yield f"{variant} has {exposure:.0f} {unit}s; at least {least} are required{when}"


def _users_count_after(plan: Plan, names: Sequence[str]) -> str:
    """When a user counts for the first of these metrics; empty where all count at once."""
    windows = [one.window_ms for one in plan.metrics if one.name in names and one.window_ms]
    if plan.is_users_fixed_horizon or not windows:
        return ""
    return f": users count {span(min(windows))} after their first exposure"


def _undecided(plan: Plan, metric: MetricResult, at_ms: int) -> str:
    """One sentence on one metric; it names the candidate where there are several."""
    name = plan.named(metric.metric, metric.candidate_variant)
    why = f"{name}: {_why_undecided(plan, metric, at_ms)}"
    return ". ".join((why, *describe_unknown(metric), *describe_pods(metric)))


def _why_undecided(plan: Plan, metric: MetricResult, at_ms: int) -> str:
    if metric.classification is Classification.NO_DATA:
        when = _users_count_after(plan, [metric.metric]) if metric.unknown is None else ""
        return f"{describe_absence(metric)}{when}"
    objective = metric.objective
    if objective is not None and objective.shared and objective.state is Classification.FAIL:
        return (
            f"both versions miss the objective of {level(metric, objective.limit)}, "
            f"so {metric.candidate_variant} is not the cause"
        )
    if metric.pods_differ:
        return f"{_of_unlike_pods(metric)}; {describe_harm(metric)}"
    met = objective is None or objective.state is Classification.PASS
    if met and metric.recent is not None and not metric.recent.within_margin:
        ended = "the plan has ended: " if at_ms >= plan.last_look_ms else ""
        return f"{ended}{describe_recent(metric, metric.recent)}"
    if metric.persists:
        when = "the plan has ended: " if at_ms >= plan.last_look_ms else ""
        return (
            f"{when}each version's share rises and falls for minutes by itself, which can't be "
            f"told from harm; a longer plan or more pods would tell; {describe_harm(metric)}"
        )
    return _too_wide(plan, metric, at_ms)


def _of_unlike_pods(metric: MetricResult) -> str:
    """Whose pods differ, and what helps: of the baseline a person can only replace them."""
    whose = list(dict.fromkeys(pod.variant for pod in metric.bad_pods)) or ["one version"]
    found = f"pods of {listed(whose)} differ by more than chance explains, so "
    own = [pod.pod for pod in metric.bad_pods if pod.variant == metric.baseline_variant]
    if own:
        return f"{found}replace {listed(own)} of {metric.baseline_variant}, or judge by more pods"
    return f"{found}more pods would help more than more time"


def _too_wide(plan: Plan, metric: MetricResult, at_ms: int) -> str:
    """An interval that spans the margin or the objective, and when it may not any longer."""
    objective = metric.objective
    if objective is not None and objective.as_before and metric.excess.upper <= 0:
        now, before = (level(metric, one) for one in (objective.candidate.value, objective.limit))
        return (
            f"its share is {now} since it has all traffic, more than the baseline's before and the "
            f"margin ({before}); an objective would tell whether that is harm"
        )
    if objective is not None and metric.excess.upper <= 0:
        why = "the objective is neither met nor missed with confidence"
        found = describe_objective(metric, objective.candidate, objective.limit)
    else:
        why = "the effect is smaller than this plan can detect"
        found = f"{describe_harm(metric)}{_without_margin(plan, metric)}"
    if at_ms >= plan.last_look_ms:
        return f"the plan has ended and {why}; {found}"
    if metric.unit is Unit.USER and (plan.is_users_fixed_horizon or metric.role is Role.GOAL):
        once = "without times users are judged once,"
        what = once if plan.is_users_fixed_horizon else "the gain is tested"
        return f"{what} at the plan's end, in {span(plan.last_look_ms - at_ms)}; {found}"
    return f"{found}; {_time_needed(plan, metric, at_ms)}"


def _without_margin(plan: Plan, metric: MetricResult) -> str:
    """What to set where the margin is 0, or a share of a baseline's value that is 0."""
    shares = {one.name: one.allowed_harm.relative for one in plan.metrics}
    if metric.role is Role.GOAL or metric.margin != 0:
        return ""
    if not (share := shares.get(metric.metric, 0.0)):
        return "; a margin of 0 is met only by what is surely better: set one above 0"
    of_nothing = f"{100 * share:g}% of {metric.baseline_variant}'s 0"
    return f"; {of_nothing} allows nothing: set an absolute margin"


def _time_needed(plan: Plan, metric: MetricResult, at_ms: int) -> str:
    """Intervals narrow with the square root of time: when will the nearer end reach the margin?"""
    elapsed = max(at_ms - plan.start_ms, plan.bucket_ms)
    growth = _growth_needed(metric)
    if not math.isfinite(growth):
        return "not enough data yet to estimate the time to a decision"
    more_ms = int(elapsed * max(growth - 1, 0.0)) + plan.bucket_ms
    requests = (metric.exposure_baseline + metric.exposure_candidate) * more_ms / elapsed
    if plan.tuned_ms is None and at_ms + more_ms > plan.last_look_ms:
        left = span(plan.last_look_ms - at_ms)
        return f"no decision is likely before the plan ends in {left}"
    return (
        f"a decision is likely after about {requests:.0f} more {metric.unit}s "
        f"({span(more_ms)} at the current rate)"
    )


def _growth_needed(metric: MetricResult) -> float:
    """How many times as much data, if the estimates stay.

    One harm that is proven is enough for a rollback, whatever else is open; a promote needs all.
    An interval around no failure at all narrows with the requests, not with their square root.
    """
    found = [_growth(metric, metric.excess, 0.0)]
    if metric.objective is not None:
        found.append(_growth(metric, metric.objective.candidate, metric.objective.limit))
    harms = [growth for harmful, growth in found if harmful]
    growth = min(harms) if harms else max(growth for _, growth in found)
    none = metric.is_share and metric.baseline == 0 and metric.candidate == 0
    return math.sqrt(growth) if none else growth


def _growth(metric: MetricResult, estimate: Estimate, allowed: float) -> tuple[bool, float]:
    """Whether it is beyond what is allowed, and how many times as much data would prove its side.

    Bounds settle at some standard errors, and narrow with the square root of time from then on.
    Before, while there are few buckets, they lie farther off and narrow at least with time itself.
    """
    value = estimate.value - allowed
    half_width = (estimate.upper if value < 0 else estimate.lower) - estimate.value
    if value == 0 or not math.isfinite(half_width):
        return value > 0, math.inf
    of_excess = metric.excess.upper if value < 0 else metric.excess.lower
    settled = _SETTLED * metric.standard_error / (abs(of_excess - metric.excess.value) or math.inf)
    if settled < _FAR_OFF:
        return value > 0, math.inf
    narrower = abs(half_width / value)
    return value > 0, max(narrower, narrower**2 * min(settled, 1.0) ** 2)
