"""Is the data good enough for a verdict? A check that fails makes the verdict invalid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.evidence import Evidence, QualityLimits, RequestEvidence, StageCounts, UserEvidence
from analysis.plan import Plan, Unit
from analysis.quality.sample_ratio import SampleRatio, check_sample_ratio

# So many requests expected and none seen is no chance, even if they come in bursts.
_SURELY_SOME = 50.0
# So long after a shift requests may be counted that were sent before: those in flight, those of
# connections that are kept, and what a scrape sees late. For a variant configured at 0 they are all
# there is.
_SETTLING_MS = 60_000
_NO_SPLIT = "no split is configured"


@dataclass(frozen=True, slots=True)
class QualityCheck:
    """One check: its name, whether it passed, and a sentence that says what was found."""

    name: str
    passed: bool
    detail: str


def check_quality(
    plan: Plan, evidence: Evidence, limits: QualityLimits, *, at_ms: int
) -> tuple[QualityCheck, ...]:
    """Every check that applies to what the plan compares."""
    checks: list[QualityCheck] = []
    if any(metric.unit is Unit.REQUEST for metric in plan.metrics) and evidence.requests:
        checks += _request_checks(plan, evidence, evidence.requests, limits, at_ms)
    if any(metric.unit is Unit.USER for metric in plan.metrics) and evidence.users:
        checks += _user_checks(plan, evidence.users, limits, at_ms)
    return tuple(checks)


def _request_checks(
    plan: Plan,
    evidence: Evidence,
    requests: RequestEvidence,
    limits: QualityLimits,
    at_ms: int,
) -> Iterator[QualityCheck]:
    coverage = evidence.coverage
    totals = {name: float(count.sum()) for name, count in requests.requests.items()}
    # A plan without a start begins with the candidate's first request: before that, nothing that
    # the baseline had is counted, and nothing can be said of it.
    counted = [
        name for name in _expected(plan, at_ms) if len(requests.stage) or name != plan.baseline
    ]
    yield _has_data(counted, totals, "requests")
    yield _is_fresh(coverage.watermark_ms, limits.stale_ms, at_ms)
    yield _is_moving(plan, requests, limits.stale_ms)
    stages = _stage_counts(plan, requests)
    found = check_sample_ratio(stages, tolerance=limits.split_tolerance)
    yield _split(found, "requests", configured=any(stage.shares for stage in stages))
    yield _at_most(
        "lost requests", coverage.lost_share, limits.lost_share, "were seen by no scrape"
    )
    yield _at_most(
        "injected faults", coverage.injected_share, limits.injected_share, "had an injected fault"
    )


def _stage_counts(plan: Plan, requests: RequestEvidence) -> list[StageCounts]:
    """Requests by stage: all, and those that surely came while its split was in force."""
    begin = plan.start_ms + np.arange(len(requests.stage)) * plan.bucket_ms
    counts = []
    for i, stage in enumerate(plan.stages):
        within = requests.stage == i
        settling_ms = min(_SETTLING_MS, (stage.end_ms - stage.start_ms) // 2)
        settled = within & (begin >= stage.start_ms + settling_ms)
        settled &= begin + plan.bucket_ms <= stage.end_ms
        counts.append(
            StageCounts(
                {name: float(n[within].sum()) for name, n in requests.requests.items()},
                stage.shares,
                {name: float(n[settled].sum()) for name, n in requests.requests.items()},
            )
        )
    return counts


def _user_checks(
    plan: Plan, users: UserEvidence, limits: QualityLimits, at_ms: int
) -> Iterator[QualityCheck]:
    exposed = {name: float(count) for name, count in users.exposed.items()}
    yield _has_data(_expected(plan, at_ms), exposed, "users")
    stages = user_stages(plan, users.by_split)
    found = check_sample_ratio(stages, tolerance=limits.user_split_tolerance)
    yield _split(found, "users", configured=any(stage.shares for stage in stages))
    seen = sum(exposed.values()) + users.mixed
    mixed = {"all variants": users.mixed / seen if seen else 0.0}
    yield _at_most("mixed users", mixed, limits.mixed_share, "were seen in two variants")


def user_stages(plan: Plan, exposed: Sequence[Mapping[str, int]]) -> list[StageCounts]:
    """Users first exposed under each of the plan's splits, beside it; those to come have none.

    Empty where it isn't known under which split they came.
    """
    if len(plan.splits) > 1 >= len(exposed):
        return []
    padded = [*exposed, *({} for _ in range(len(plan.splits) - len(exposed)))]
    return [
        StageCounts({name: float(n) for name, n in counts.items()}, split.shares)
        for counts, split in zip(padded, plan.splits, strict=True)
    ]


def _expected(plan: Plan, at_ms: int) -> list[str]:
    """The variants that should have data by now: those with a share in a stage that has begun.

    A candidate that is still at 0 can't be judged, but doesn't hide what is known of another one.
    A stage has begun with its first whole bucket; before that nothing of it is read.
    """
    begun = [stage.shares for stage in plan.stages if stage.start_ms + plan.bucket_ms <= at_ms]
    return [
        name
        for name in (plan.baseline, *plan.candidates)
        if not begun or any(not shares or shares.get(name, 0.0) > 0 for shares in begun)
    ]


def _has_data(names: Sequence[str], counts: Mapping[str, float], what: str) -> QualityCheck:
    missing = [name for name in names if not counts.get(name)]
    detail = f"no {what} of {' and '.join(missing)} up to the look" if missing else f"{what} seen"
    return QualityCheck(f"{what} present", not missing, detail)


def _is_fresh(watermark_ms: int | None, stale_ms: int, at_ms: int) -> QualityCheck:
    if watermark_ms is None:
        return QualityCheck("fresh data", passed=False, detail="no window has been pulled yet")
    behind_s = max(0, at_ms - watermark_ms) / 1000
    passed = behind_s * 1000 <= stale_ms
    detail = f"data ends {behind_s:.0f} s before the look"
    return QualityCheck(
        "fresh data", passed, detail if passed else f"{detail} (limit {stale_ms / 1000:.0f} s)"
    )


def _is_moving(plan: Plan, requests: RequestEvidence, window_ms: int) -> QualityCheck:
    """Whether every version that should have traffic still counts requests.

    A counter that stands still beside one that moves (a dead pod that is still scraped, a mesh
    that no longer reports) would otherwise look like a version without errors.
    """
    kept = max(1, window_ms // plan.bucket_ms)
    recent = {name: float(n[-kept:].sum()) for name, n in requests.requests.items()}
    total = sum(recent.values())
    shares = plan.stages[int(requests.stage[-1])].shares if len(requests.stage) else {}
    expected = {name: share * total for name, share in shares.items()}
    began = {name for name, n in requests.requests.items() if float(n.sum()) > 0}
    frozen = [
        name
        for name, count in expected.items()
        if name in began and recent.get(name) == 0 and count > _SURELY_SOME
    ]
    seconds = kept * plan.bucket_ms // 1000
    detail = (
        f"frozen counters: no request of {' and '.join(frozen)} in the last {seconds} s, where "
        f"{expected[frozen[0]]:.0f} were expected"
        if frozen
        else "all counters move"
    )
    return QualityCheck("moving counters", not frozen, detail)


def _split(found: SampleRatio | None, what: str, *, configured: bool) -> QualityCheck:
    if found is None:
        detail = f"no {what} to compare with the split yet" if configured else _NO_SPLIT
        return QualityCheck(f"split of {what}", passed=True, detail=detail)
    detail = f"split of {what}: {_deviation(found, what)} (p = {found.p_value:.2g})"
    if found.mismatch:
        detail += "; the traffic is not split as configured, so the versions can't be compared"
    return QualityCheck(f"split of {what}", not found.mismatch, detail)


def _deviation(found: SampleRatio, what: str) -> str:
    if found.zero_share is not None:
        return f"{found.worst_variant} has {found.zero_share:.2%} of the {what}, configured is 0"
    return (
        f"odds of {found.worst_variant} are {found.worst_odds_ratio:.3f} times the configured ones"
    )


def _at_most(name: str, shares: Mapping[str, float], limit: float, predicate: str) -> QualityCheck:
    """Passes where every share is within its limit; the detail names the largest."""
    worst = max(shares.items(), key=lambda item: (item[1], item[0]), default=("all variants", 0.0))
    passed = worst[1] <= limit
    detail = f"{name}: {worst[1]:.2%} of {worst[0]} {predicate}"
    return QualityCheck(name, passed, detail if passed else f"{detail} (limit {limit:.2%})")
