"""Is traffic divided as configured: over the whole plan, in each stage, on each day?

Where no split is configured there is nothing to check, and no check passes; the verdict's notes say
so (explain.notes.notes_on_split).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from analysis.evidence import RequestEvidence, StageCounts, UserEvidence
from analysis.plan import Plan, Unit
from analysis.quality.quality_check import QualityCheck
from analysis.quality.sample_ratio import SampleRatio, check_sample_ratio
from analysis.quality.split_by_part import PartRatios, check_parts

# So long after a shift requests may be counted that were sent before: those in flight, those of
# connections that are kept, and what a scrape sees late. For a variant configured at 0 they are all
# there is.
_SETTLING_MS = 60_000
# A first request comes later than after so many that were expected in one case of a thousand.
_LATE_REQUESTS = math.log(1000)
_DAY_MS = 86_400_000
# So many parts that are off are named.
_NAMED = 4
_REMEDY = "Set `split` or `plan.stages`"


def check_request_split(
    plan: Plan,
    requests: RequestEvidence,
    *,
    tolerance: float,
    what: str = "requests",
    tests: float = 0.0,
) -> Iterator[QualityCheck]:
    """Of requests, or of what else the split divides: by stage, and by day.

    tests: the share that a candidate configured at 0 may have, for tests.
    """
    yield from _split(plan, _stage_counts(plan, requests, tests), what, tolerance)
    by_day = check_parts(_day_counts(plan, requests, tests), tolerance=tolerance)
    yield from _split_by(plan, by_day, what, "day")


def check_user_split(
    plan: Plan, users: UserEvidence, *, tolerance: float
) -> Iterator[QualityCheck]:
    """Of users: by split, by day, and by every dimension that all of them are pooled over."""
    yield from _split(plan, user_stages(plan, users.by_split), "users", tolerance)
    for dimension, parts in users.exposed_by_part.items():
        if not _is_compared_within(plan, dimension):
            stages = {name: user_stages(plan, exposed) for name, exposed in parts.items()}
            found = check_parts(stages, tolerance=tolerance)
            yield from _split_by(plan, found, "users", dimension)


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


def _is_compared_within(plan: Plan, dimension: str) -> bool:
    """Whether users of different segments are nowhere compared with each other."""
    return all(dimension in metric.strata for metric in plan.metrics if metric.unit is Unit.USER)


def _stage_counts(plan: Plan, requests: RequestEvidence, tests: float) -> list[StageCounts]:
    """Requests by stage: all, and those that surely came while its split was in force."""
    late = _late(plan, requests)
    return [
        StageCounts(
            _within(requests, (requests.stage == i) & ~late),
            stage.shares,
            _within(requests, settled),
            dict.fromkeys(plan.candidates, tests),
        )
        for i, (stage, settled) in enumerate(
            zip(plan.stages, _settled(plan, requests), strict=True)
        )
    ]


def _day_counts(
    plan: Plan, requests: RequestEvidence, tests: float
) -> dict[str, list[StageCounts]]:
    """The same by day (UTC), without what came around a change of the split."""
    day = _begin(plan, requests) // _DAY_MS
    settled = _settled(plan, requests)
    return {
        str(np.datetime64(int(one), "D")): [
            StageCounts(
                _within(requests, kept & (day == one)),
                stage.shares,
                tests=dict.fromkeys(plan.candidates, tests),
            )
            for stage, kept in zip(plan.stages, settled, strict=True)
        ]
        for one in np.unique(day)
    }


def _begin(plan: Plan, requests: RequestEvidence) -> NDArray[np.int64]:
    return plan.start_ms + np.arange(len(requests.stage)) * plan.bucket_ms


def _settled(plan: Plan, requests: RequestEvidence) -> list[NDArray[np.bool_]]:
    """By stage, the buckets whose requests surely came while its split was in force."""
    begin, late = _begin(plan, requests), _late(plan, requests)
    found = []
    for i, stage in enumerate(plan.stages):
        settling_ms = min(_SETTLING_MS, (stage.end_ms - stage.start_ms) // 2)
        settled = (requests.stage == i) & (begin >= stage.start_ms + settling_ms)
        found.append(settled & ~late & (begin + plan.bucket_ms <= stage.end_ms))
    return found


def _late(plan: Plan, requests: RequestEvidence) -> NDArray[np.bool_]:
    """The buckets at a stage's end that may be of the next stage already: bool[buckets].

    A plan that starts with a candidate's first request is late by the wait for that: at 0.1 % of 30
    a second half a minute in the mean. Of every stage at least half is kept.
    """
    late = np.zeros(len(requests.stage), dtype=np.bool_)
    first = requests.stage == 0
    shares = plan.stages[0].shares
    share = sum(shares.get(candidate, 0.0) for candidate in plan.candidates)
    seen = share * sum(_within(requests, first).values())
    if not plan.is_start_observed or not seen:
        return late
    wait_ms = _LATE_REQUESTS / seen * int(first.sum()) * plan.bucket_ms
    ends = _begin(plan, requests) + plan.bucket_ms
    for i, stage in enumerate(plan.stages):
        longest_ms = (stage.end_ms - stage.start_ms) / 2
        late |= (requests.stage == i) & (ends > stage.end_ms - min(wait_ms, longest_ms))
    return late


def _within(requests: RequestEvidence, buckets: NDArray[np.bool_]) -> dict[str, float]:
    return {name: float(n[buckets].sum()) for name, n in requests.requests.items()}


def _split(
    plan: Plan, stages: Sequence[StageCounts], what: str, tolerance: float
) -> Iterator[QualityCheck]:
    """Whether the whole is divided as configured; no check where no split is configured."""
    if not any(stage.shares for stage in stages):
        return
    name = f"split of {what}"
    found = check_sample_ratio(stages, tolerance=tolerance)
    if found is None:
        yield QualityCheck(name, True, f"no {what} to compare with the split yet")
        return
    where = (
        f" in stage {found.worst_stage + 1} of {len(stages)}"
        if found.worst_stage is not None and len(stages) > 1
        else ""
    )
    detail = f"{name}: {_received(plan, found, what)}{where} ({_p(found.p_value)})"
    if found.mismatch:
        detail += f": {_remedy(plan, stages)}"
        is_test = what == "requests" and found.worst_variant in plan.candidates
        if is_test and not found.configured_share:
            detail += "; test traffic is allowed by `quality.test_traffic`"
    yield QualityCheck(name, not found.mismatch, detail)


def _remedy(plan: Plan, stages: Sequence[StageCounts]) -> str:
    """What to set; a split that nobody wrote is asked for, as it was seen."""
    if not plan.is_split_assumed:
        return f"the traffic is not split as configured. {_REMEDY}, or correct the routing"
    total = sum(sum(stage.counts.values()) for stage in stages)
    percents = {
        name: _plain(100 * sum(stage.counts.get(name, 0.0) for stage in stages) / total)
        for name in plan.candidates
    }
    written = ", ".join(
        f"{name}: {percent:.6g}"
        for name, percent in {plan.baseline: 100 - sum(percents.values()), **percents}.items()
    )
    assumed = ", ".join(f"{100 * stage.shares.get(plan.candidates[0], 0):g}" for stage in stages)
    return (
        f"the spec names no split, so stages of {assumed} % are assumed. "
        f"Write `split: {{{written}}}`? Or `plan.stages`, if the split changes"
    )


def _plain(percent: float) -> float:
    """The roundest number within a tenth of the percentage, as a person would write it."""
    steps = (1, 0.5, 0.1, 0.05, 0.01)
    rounded = (round(percent / step) * step for step in steps)
    return next((one for one in rounded if abs(one - percent) <= percent / 10), percent)


def _split_by(
    plan: Plan, found: PartRatios | None, what: str, dimension: str
) -> Iterator[QualityCheck]:
    """Whether each part is; no check where there are no parts to hold against a split."""
    if found is None:
        return
    name = f"split of {what} by {dimension}"
    on, parts = ("on", "days") if dimension == "day" else ("in", "segments")
    if not found.mismatch:
        detail = f"{name}: no deviation found in {found.parts} {parts} ({_p(found.p_value)})"
        yield QualityCheck(name, True, detail)
        return
    part, ratio = found.off[0]
    detail = (
        f"{name}: off {on} {len(found.off)} of {found.parts} {parts} ({_p(found.p_value)}); "
        f"{on} {part} {_received(plan, ratio, what)} ({_p(ratio.p_value)})"
    )
    others = [other for other, _ in found.off[1:_NAMED]]
    if others:
        more = len(found.off) - 1 - len(others)
        detail += f", also {on} {', '.join(others)}{f' and {more} more' if more else ''}"
    yield QualityCheck(
        name,
        False,
        f"{detail}: the traffic is not split as configured. {_REMEDY} if the split was changed on "
        "purpose, or start the plan where it holds",
    )


def _received(plan: Plan, found: SampleRatio, what: str) -> str:
    """The share that the variant had, beside the configured one, with as many digits as differ.

    Of two variants the candidate's, unless the baseline is to have nothing.
    """
    name, seen, configured = found.worst_variant, found.share, found.configured_share
    if name == plan.baseline and len(plan.candidates) == 1 and configured:
        name, seen, configured = plan.candidates[0], 1 - seen, 1 - configured
    # A share that is the configured one but for its last bits needs no digits.
    most = 1 if math.isclose(seen, configured) else 4
    digits = next((n for n in (1, 2, 3) if f"{seen:.{n + 2}f}" != f"{configured:.{n + 2}f}"), most)
    said = f"{100 * configured:.{digits}f} % is" if configured else "none is"
    return f"{name} received {100 * seen:.{digits}f} % of {what}; {said} configured"


def _p(value: float) -> str:
    """A p-value; below the smallest double it is no 0."""
    return f"p = {value:.2g}" if value > 0 else f"p < {sys.float_info.min:.1g}"
