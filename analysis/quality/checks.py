"""Is the data good enough for a verdict? With a check that fails nothing is ever promoted.

Checks are of two kinds. Some concern the comparison: traffic isn't divided as configured, users
were seen in two variants. They say nothing against what a candidate shows by itself. Others concern
the data of some variants (stale, lost, frozen, with injected faults): of these nothing is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from analysis.arrays import FloatArray
from analysis.evidence import Coverage, Evidence, QualityLimits, RequestEvidence, UserEvidence
from analysis.plan import Plan, Unit
from analysis.quality.cohort_checks import check_cohorts, in_cohort
from analysis.quality.covariate_checks import check_covariates
from analysis.quality.outcome_checks import check_outcomes
from analysis.quality.quality_check import QualityCheck
from analysis.quality.split_checks import check_request_split, check_user_split

__all__ = ["QualityCheck", "check_quality", "without_requests"]

# So many requests expected and none seen is no chance, even if they come in bursts.
_SURELY_SOME = 50.0
# What a promote must have been compared in.
_NOW_MS = 60_000
_NEEDED = "a promote needs requests of both versions up to the look"


def check_quality(
    plan: Plan, evidence: Evidence, limits: QualityLimits, *, at_ms: int
) -> tuple[QualityCheck, ...]:
    """Every check that applies to what the plan compares."""
    checks: list[QualityCheck] = []
    if any(metric.unit is Unit.REQUEST for metric in plan.metrics) and evidence.requests:
        if plan.cohorts:
            checks += check_cohorts(plan, evidence, evidence.requests, limits.mixed_share)
            checks += _complete(plan, evidence.coverage, limits)
        else:
            checks += _request_checks(plan, evidence.requests, evidence.coverage, limits, at_ms)
    for cohort in plan.cohorts:
        own = replace(plan, stages=cohort.split_of(plan.stages))
        seen = evidence.cohorts[cohort.name]
        for check in _request_checks(own, seen.requests, seen.coverage, limits, at_ms):
            checks.append(in_cohort(check, cohort))
    if any(metric.unit is Unit.USER for metric in plan.metrics) and evidence.users:
        checks += _user_checks(plan, evidence.users, limits, at_ms)
    return tuple(checks)


def _request_checks(
    plan: Plan,
    requests: RequestEvidence,
    coverage: Coverage,
    limits: QualityLimits,
    at_ms: int,
) -> Iterator[QualityCheck]:
    totals = {name: float(count.sum()) for name, count in requests.requests.items()}
    # A plan without a start begins with the candidate's first request: before that, nothing that
    # the baseline had is counted, and nothing can be said of it.
    counted = [
        name for name in _expected(plan, at_ms) if len(requests.stage) or name != plan.baseline
    ]
    everything = (plan.baseline, *plan.candidates)
    yield _has_data(counted, totals, "requests")
    yield _is_fresh(coverage.watermark_ms, limits.stale_ms, at_ms, everything)
    yield _is_moving(plan, requests, limits.stale_ms)
    if requests.sessions is None:
        yield from check_request_split(
            plan, requests, tolerance=limits.split_tolerance, tests=limits.test_share
        )
    else:
        begun = {name: float(count.sum()) for name, count in requests.sessions.items()}
        yield _has_data(counted, begun, "new sessions")
        divided = replace(requests, requests=requests.sessions)
        yield from check_request_split(
            plan, divided, tolerance=limits.split_tolerance, what="new sessions"
        )
        yield _sessions_begin(plan, requests.sessions, limits.stale_ms)
    yield from _complete(plan, coverage, limits)


def _complete(plan: Plan, coverage: Coverage, limits: QualityLimits) -> Iterator[QualityCheck]:
    """Whether nearly all requests were seen, and as clients sent them."""
    everything = (plan.baseline, *plan.candidates)
    yield _at_most(
        "lost requests",
        coverage.lost_share,
        limits.lost_share,
        "were seen by no scrape",
        everything,
    )
    yield _at_most(
        "injected faults",
        coverage.injected_share,
        limits.injected_share,
        "had an injected fault",
        everything,
    )


def _user_checks(
    plan: Plan, users: UserEvidence, limits: QualityLimits, at_ms: int
) -> Iterator[QualityCheck]:
    exposed = {name: float(count) for name, count in users.exposed.items()}
    yield _has_data(_expected(plan, at_ms), exposed, "users")
    yield from check_user_split(plan, users, tolerance=limits.user_split_tolerance)
    yield from check_covariates(plan, users)
    seen = sum(exposed.values()) + users.mixed
    mixed = {"all variants": users.mixed / seen if seen else 0.0}
    if users.are_sums:
        said = "; ".join(users.faults) or "the sums can be those of the same users"
        yield QualityCheck("possible sums", not users.faults, said)
        return
    yield _at_most("mixed users", mixed, limits.mixed_share, "were seen in two variants", ())
    yield from check_outcomes(plan, users)


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
    return QualityCheck(f"{what} present", not missing, detail, tuple(missing))


def _is_fresh(
    watermark_ms: int | None, stale_ms: int, at_ms: int, spoils: tuple[str, ...]
) -> QualityCheck:
    if watermark_ms is None:
        return QualityCheck("fresh data", False, "no window has been pulled yet", spoils)
    behind_s = max(0, at_ms - watermark_ms) / 1000
    passed = behind_s * 1000 <= stale_ms
    detail = f"data ends {behind_s:.0f} s before the look"
    if not passed:
        detail += f" (limit {stale_ms / 1000:.0f} s)"
    return QualityCheck("fresh data", passed, detail, () if passed else spoils)


def _is_moving(plan: Plan, requests: RequestEvidence, window_ms: int) -> QualityCheck:
    """Whether every version that should have traffic still counts requests.

    A counter that stands still beside one that moves (a dead pod that is still scraped, a mesh
    that no longer reports) would otherwise look like a version without errors.
    """
    shares = plan.stages[int(requests.stage[-1])].shares if len(requests.stage) else {}
    kept = _kept(plan, window_ms)
    frozen = _stand_still(requests, kept, shares)
    detail = f"frozen counters: {_described(plan, frozen, kept)}" if frozen else ""
    return QualityCheck("moving counters", not frozen, detail or "all counters move", tuple(frozen))


def without_requests(plan: Plan, requests: RequestEvidence | None, window_ms: int) -> Iterator[str]:
    """Versions that no longer have requests: a promote is about now, of which nothing is known.

    A candidate, where no split says how many it should have: test traffic may be over, so its data
    is good. The baseline, beside which the candidate's requests since then aren't compared, and a
    candidate by its declared share (its server's clock may be behind): sooner than counters are
    called frozen. And all together, as in an outage of the whole service.
    """
    if requests is None or not len(requests.stage):
        return
    declared = plan.stages[int(requests.stage[-1])].shares
    kept, now = _kept(plan, window_ms), _kept(plan, min(window_ms, _NOW_MS))
    before = {name: float(n[:-kept].sum()) for name, n in requests.requests.items()}
    usual = {name: count / max(sum(before.values()), 1.0) for name, count in before.items()}
    baseline = {plan.baseline: (declared or usual).get(plan.baseline, 0.0)}
    for buckets, shares in ((now, {**declared, **baseline}), (kept, {} if declared else usual)):
        if gone := _stand_still(requests, buckets, shares):
            yield f"{_described(plan, gone, buckets)} by its share; {_NEEDED}"
            return
    silent, expected = _silence(requests)
    if silent >= kept and expected > _SURELY_SOME:
        none = f"no request of any version in the last {silent * plan.bucket_ms // 1000} s"
        yield f"{none}, where {expected:.0f} were expected by the time before; {_NEEDED}"


def _silence(requests: RequestEvidence) -> tuple[int, float]:
    """Buckets without any request up to the look, and how many requests were expected in them.

    None are where traffic comes and goes: where it paused for as long before.
    """
    every = np.sum(list(requests.requests.values()), axis=0)
    seen = np.flatnonzero(every > 0)
    silent = len(every) - 1 - int(seen[-1]) if seen.size else 0
    if silent < np.diff(seen).max(initial=1):
        return silent, 0.0
    return silent, float(every[seen[0] :].sum()) / max(int(seen[-1] - seen[0]), 1) * silent


def _kept(plan: Plan, window_ms: int) -> int:
    """Buckets of a window that ends at the look."""
    return max(1, window_ms // plan.bucket_ms)


def _stand_still(
    requests: RequestEvidence, kept: int, shares: Mapping[str, float]
) -> dict[str, float]:
    """Versions that had requests and have none in the last buckets: how many were expected."""
    recent = {name: float(n[-kept:].sum()) for name, n in requests.requests.items()}
    total = sum(recent.values())
    return {
        name: share * total
        for name, share in shares.items()
        if recent.get(name) == 0
        and share * total > _SURELY_SOME
        and float(requests.requests[name].sum()) > 0
    }


def _described(plan: Plan, expected: Mapping[str, float], kept: int) -> str:
    return (
        f"no request of {' and '.join(expected)} in the last {kept * plan.bucket_ms // 1000} s, "
        f"where {next(iter(expected.values())):.0f} were expected"
    )


def _sessions_begin(plan: Plan, sessions: Mapping[str, FloatArray], window_ms: int) -> QualityCheck:
    """Whether new sessions are still counted: the split after their end is not known."""
    kept = max(1, window_ms // plan.bucket_ms)
    begun = np.sum(list(sessions.values()), axis=0)
    expected = float(begun[:-kept].mean()) * kept if len(begun) > kept else 0.0
    passed = expected <= _SURELY_SOME or float(begun[-kept:].sum()) > 0
    detail = "new sessions are counted"
    if not passed:
        detail = (
            f"frozen counters: no new session in the last {kept * plan.bucket_ms // 1000} s, where "
            f"{expected:.0f} were expected"
        )
    return QualityCheck("moving sessions", passed, detail)


def _at_most(
    name: str,
    shares: Mapping[str, float],
    limit: float,
    predicate: str,
    variants: tuple[str, ...],
) -> QualityCheck:
    """Passes where every share is within its limit; the detail names the largest.

    variants: whose data is spoilt by a share of their own beyond the limit; by that of requests
    which belong to none of them, the data of all.
    """
    worst = max(shares.items(), key=lambda item: (item[1], item[0]), default=("all variants", 0.0))
    beyond = {variant for variant, share in shares.items() if share > limit}
    detail = f"{name}: {worst[1]:.2%} of {worst[0]} {predicate}" if worst[1] else f"{name}: none"
    if not beyond:
        return QualityCheck(name, True, detail)
    spoils = variants if beyond - set(variants) else tuple(v for v in variants if v in beyond)
    return QualityCheck(name, False, f"{detail} (limit {limit:.2%})", spoils)
