"""Do the outcomes reach the users that they are compared for? Where not, nothing is compared.

An outcome that is lost looks like one that never happened: in a variant whose outcomes don't reach
its users nobody complains, and nobody buys.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import combinations

from scipy.special import ndtr

from analysis.evidence import UserEvidence
from analysis.plan import MetricPlan, Plan, Unit
from analysis.quality.quality_check import QualityCheck
from analysis.users.outcome_reach import OutcomeReach, VariantReach

# So many where none is seen are no chance, even if they come in bursts.
_SURELY_SOME = 20
# Largest share of a variant's outcomes that may have the id of one of its users in another form.
_ALIKE_SHARE = 0.05
# How far shares of users or of rows may differ between variants that differ in nothing else, and
# how unlikely a larger difference must be to alarm: at every look, and for every metric.
_TOLERANCE, _ALARM_P_VALUE = 0.02, 1e-6
_NO_VALUES_SHARE = 0.1
# With a value for so many users, zeros say who didn't do it.
_RECORDED_SHARE = 0.9
# So much of what was expected makes another name the likely cause, however harmed a candidate is.
_RENAMED_SHARE = 0.2


def check_outcomes(plan: Plan, users: UserEvidence) -> Iterator[QualityCheck]:
    """A check for every metric that is made of users' outcomes, once some have a final value."""
    for metric in plan.metrics:
        reaches = users.reach.get(metric.name, ()) if metric.unit is Unit.USER else ()
        if not any(each.users for reach in reaches for each in reach.by_variant.values()):
            continue
        problem = next((p for r in reaches for p in _problems(plan, metric, r)), None)
        counted = sum(each.counted for r in reaches for each in r.by_variant.values())
        detail = f"{metric.name}: {counted:,} outcomes count"
        if problem is not None:
            detail = f"{metric.name}: {problem}"
        yield QualityCheck(f"outcomes of {metric.name}", problem is None, detail)


def _problems(plan: Plan, metric: MetricPlan, reach: OutcomeReach) -> Iterator[str]:
    """What is wrong with the outcomes of one name, the gravest first."""
    yield from _strangers(plan, reach)
    yield from _before_exposure(plan, metric, reach)
    yield from _elsewhere(plan, metric, reach)
    yield from _dates(reach)
    yield from _renamed(metric, reach)
    yield from _unrecorded(reach)
    yield from _differences(reach)


def _strangers(plan: Plan, reach: OutcomeReach) -> Iterator[str]:
    """Outcomes that belong to no exposed user."""
    name = repr(reach.outcome)
    shown = ""
    if reach.examples is not None:
        shown = (
            f": outcomes have ids such as {reach.examples[0]!r}, exposures {reach.examples[1]!r}"
        )
    enough = all(v.users >= plan.minimum_exposure for v in reach.by_variant.values())
    if reach.rows and reach.foreign == reach.rows:
        if reach.alike or (enough and reach.rows >= _SURELY_SOME):
            yield (
                f"none of the {reach.rows:,} outcomes {name} belongs to an exposed user{shown}; "
                "write ids alike in both"
            )
        return
    for variant, each in reach.by_variant.items():
        if each.alike > max(1, _ALIKE_SHARE * (each.rows + each.alike)):
            yield (
                f"{each.alike:,} outcomes {name} reach no user of {variant} only because of the "
                f"form of their ids, {each.rows:,} do{shown}; write ids alike in both"
            )


def _before_exposure(plan: Plan, metric: MetricPlan, reach: OutcomeReach) -> Iterator[str]:
    """Outcomes that all come before the exposure: what lies there can't be an effect.

    A candidate that ends what users did before is harm where more is better, and no fault.
    """
    counted = sum(each.counted for each in reach.by_variant.values())
    before = sum(each.just_before for each in reach.by_variant.values())
    name = repr(reach.outcome)
    cause = "are clocks or time zones off, or exposures logged after what they lead to?"
    if not counted and before >= _SURELY_SOME:
        yield f"all {before:,} outcomes {name} come before their user's exposure: {cause}"
        return
    for variant, each in reach.by_variant.items():
        flatters = variant == plan.baseline or not metric.higher_is_better
        if flatters and not each.counted and each.just_before >= _SURELY_SOME:
            yield (
                f"all {each.just_before:,} outcomes {name} of {variant} come before "
                f"their user's exposure: {cause}"
            )


def _elsewhere(plan: Plan, metric: MetricPlan, reach: OutcomeReach) -> Iterator[str]:
    """Outcomes that are all long before the exposure or past the window, with a gap around it.

    Times that are off by more than the window lose every outcome, and nobody seems to have done it.
    """
    for variant, each in reach.by_variant.items():
        flatters = variant == plan.baseline or not metric.higher_is_better
        if not flatters or each.counted or each.just_before or each.rows < _SURELY_SOME:
            continue
        if max(each.expected_before, each.expected_in_window) >= _SURELY_SOME:
            yield (
                f"none of the {each.rows:,} outcomes {reach.outcome!r} of {variant}'s users is "
                "near their exposure, before it or within the window after it: are dates, clocks "
                "or time zones off, or is the window too short?"
            )


def _dates(reach: OutcomeReach) -> Iterator[str]:
    """Outcomes without a time of day, of which those on the day of the exposure are lost."""
    if reach.exposures_dated:
        return
    for variant, each in reach.by_variant.items():
        if each.dated and each.rows >= _SURELY_SOME and each.same_day:
            yield (
                f"outcomes {reach.outcome!r} of {variant} are dates, all of one time of day: "
                f"{each.same_day:,} of {each.rows:,} lie before the exposure on the same day and "
                "are lost; give outcomes their time, or exposures their date only"
            )


def _renamed(metric: MetricPlan, reach: OutcomeReach) -> Iterator[str]:
    """A variant that has none of what others have: under another name, or of other ids?"""
    for (_, other), (variant, each) in _ordered_pairs(reach):
        if each.happened or not each.users or not other.users:
            continue
        expected = other.happened * each.users / other.users
        if expected < _SURELY_SOME:
            continue
        said = (
            f"none of {variant}'s {each.users:,} users has an outcome {reach.outcome!r}, where "
            f"{expected:.0f} were expected"
        )
        for name, by_variant in reach.others.items():
            rows = by_variant.get(variant, 0)
            if _RENAMED_SHARE * expected <= rows and len(by_variant) == 1:
                yield (
                    f"{said}; only {variant}'s users have {name!r} ({rows:,} rows): is it the same?"
                )
        if not metric.higher_is_better and reach.foreign >= expected:
            yield (
                f"{said}; {reach.foreign:,} such outcomes belong to no exposed user: do those of "
                f"{variant} have ids of another kind?"
            )


def _unrecorded(reach: OutcomeReach) -> Iterator[str]:
    """A value for nearly every user of a variant, also where it did not happen, but not of another.

    Such a table tells by a zero that it didn't happen; where it has no value, nothing is known.
    """
    if all(each.counted == each.happened for each in reach.by_variant.values()):
        return
    for (full, other), (variant, each) in _ordered_pairs(reach):
        whole, part = _with_a_row(other), _with_a_row(each)
        is_fuller = whole[0] * part[1] > part[0] * whole[1]
        if is_fuller and whole[0] >= _RECORDED_SHARE * whole[1] and _differs(whole, part):
            yield (
                f"{_share(*whole)} of {full}'s users have a value of {reach.outcome!r}, zero or "
                f"not, and {_share(*part)} of {variant}'s: the others' are missing or infinite"
            )


def _with_a_row(each: VariantReach) -> tuple[int, int]:
    """Users of the sample with a row, whatever it says, and all of the sample, about."""
    return each.with_row, max(each.users // each.each, each.with_row)


def _differences(reach: OutcomeReach) -> Iterator[str]:
    """What differs between the variants' data and can't be an effect."""
    name = repr(reach.outcome)
    for (first, a), (second, b) in combinations(reach.by_variant.items(), 2):
        if _differs(_before(a), _before(b)):
            yield (
                f"before their exposure, {_share(*_before(a))} of {first}'s users had "
                f"an outcome {name} and {_share(*_before(b))} of {second}'s: users "
                "are not divided at random, or the clocks of a variant are off"
            )
        if _differs((a.repeated, a.sampled), (b.repeated, b.sampled)):
            yield (
                f"{_share(a.repeated, a.sampled)} of {first}'s outcomes {name} equal another one, "
                f"{_share(b.repeated, b.sampled)} of {second}'s: rows of a variant are duplicated"
            )
        if _differs((a.without_value, a.counted), (b.without_value, b.counted)):
            yield (
                f"{_share(a.without_value, a.counted)} of {first}'s outcomes {name} have no value, "
                f"{_share(b.without_value, b.counted)} of {second}'s: these can't be compared"
            )
    for variant, each in reach.by_variant.items():
        if each.counted and each.without_value > _NO_VALUES_SHARE * each.counted:
            yield (
                f"{_share(each.without_value, each.counted)} of {variant}'s outcomes {name} have "
                f"no value (limit {_NO_VALUES_SHARE:.0%}): give each row one, 1 where it is to be "
                "counted, or name their column (sources.outcomes.columns: {value: COLUMN})"
            )


def _before(each: VariantReach) -> tuple[int, int]:
    """Users of the sample who did it before their exposure, and all of the sample, about."""
    return each.users_before, max(each.users // each.each, each.users_before)


def _ordered_pairs(
    reach: OutcomeReach,
) -> Iterator[tuple[tuple[str, VariantReach], tuple[str, VariantReach]]]:
    """Every two variants, both ways round."""
    for a, b in combinations(reach.by_variant.items(), 2):
        yield a, b
        yield b, a


def _differs(first: tuple[int, int], second: tuple[int, int]) -> bool:
    """Whether two shares differ by more than chance and tolerance (two-sided z-test)."""
    (x, n), (y, m) = first, second
    if not n or not m or abs(x / n - y / m) <= _TOLERANCE:
        return False
    pooled = (x + y) / (n + m)
    error = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    return error > 0 and 2 * float(ndtr(-abs(x / n - y / m) / error)) < _ALARM_P_VALUE


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "none"
