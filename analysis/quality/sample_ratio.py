"""Sample ratio mismatch: is traffic, or are users, divided as configured?

The test is an e-process with the declared split of each stage, so it may be asked at every look of
a ramp: the probability that it ever alarms without a mismatch is at most ALARM_P_VALUE, where a
chi-square at each of a hundred looks alarms fifteen times as often as it says. The price is
traffic: 52/48 instead of 50/50 is found after 12,000 users (median, tolerance of 1 % included), by
a chi-square at each look after 6,900 (benchmarks.sequential_validity). A deviation must be about
4.5 standard errors wide where a single chi-square is content with 3.3. The chi-square is reported
beside it, for a single look.

A variant that is configured at 0 has no odds to deviate from. Its requests or users alarm where
they are surely more than test traffic would be: above a fifth of the tolerance, as odds, that is
4.8 % of requests and 0.2 % of users as the limits are by default (analysis.quality.zero_share).
What is in flight while the split changes is left out (StageCounts.settled).

Users are independent; requests of one connection are not, and a balancer may divide requests more
evenly than chance. So requests need a wide tolerance, and users a narrow one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import chdtrc

from analysis.evidence import StageCounts
from analysis.quality.split_deviations import Deviations, deviations_of
from analysis.quality.zero_share import ZeroShareTraffic, check_zero_share
from analysis.sequential.e_values import always_valid_p

ALARM_P_VALUE = 0.001  # what A/B platforms use: a false alarm in a thousand
# Level of the intervals that say whether a deviation exceeds the tolerance.
BEYOND_TOLERANCE_LEVEL = 0.05


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """What the check found.

    statistic, chi_square_p_value: Pearson's chi-square, the stages' added; for a single look.
    p_value: always-valid, 1 / e of log_e; that of the e-process that decides.
    worst_variant, worst_odds_ratio: observed odds of a variant against the rest over the
        configured odds: of the variant and stage that make the mismatch, else of the variant
        farthest from 1 over all stages.
        Of a variant configured at 0: over the largest odds that may be there all the same.
    worst_stage: its position among the stages, or None for all of them together.
    odds_interval: bounds of that odds ratio that hold at every look, with all the others'.
    exceeds: some deviation surely exceeds the tolerance.
    mismatch: it does, and the counts can't be chance.
    spreads: the tuning, standard deviations of the log odds that are looked for.
    share, configured_share: the worst variant's share of the traffic, in its stage or in those that
        it is meant to be in; 0 is configured where it is meant to have none.
    """

    statistic: float
    chi_square_p_value: float
    log_e: float
    p_value: float
    worst_variant: str
    worst_odds_ratio: float
    worst_stage: int | None
    odds_interval: tuple[float, float]
    exceeds: bool
    mismatch: bool
    spreads: tuple[float, ...]
    share: float
    configured_share: float


def check_sample_ratio(
    stages: Sequence[StageCounts], *, tolerance: float, level: float = BEYOND_TOLERANCE_LEVEL
) -> SampleRatio | None:
    """Compares counts with the shares configured in each stage; None if there is nothing to test.

    stages: all that are planned, those to come without counts; each is held against its own split.
    A variant that a stage's shares don't name is configured at 0, unless they name none.
    tolerance: relative deviation of the odds that doesn't matter yet; evidence grows with
    traffic, so without it every harmless deviation ends as an alarm. level: of the intervals that
    say whether a deviation exceeds it.

    Alarms where the e-process of "every split is as configured" reaches 1 / ALARM_P_VALUE and the
    confidence sequence of some variant's odds, over all stages or in one, lies outside the
    tolerance. The e-process averages over the variants (each against the rest), and over two
    alternatives: one deviation common to all stages, and one in each stage. Where variants are
    configured at 0, it is the mean of that and of theirs, and each of the two alarms by its half.
    """
    return check_sample_ratios([stages], tolerance=tolerance, level=level)[0]


def check_sample_ratios(
    wholes: Sequence[Sequence[StageCounts]],
    *,
    tolerance: float,
    level: float = BEYOND_TOLERANCE_LEVEL,
) -> list[SampleRatio | None]:
    """The same of several wholes, each by itself."""
    found: list[SampleRatio | None] = []
    for stages, divided in zip(wholes, _check_divided(wholes, tolerance, level), strict=True):
        strays = check_zero_share(stages, tolerance=tolerance, alpha=level / 2)
        if divided is None or strays is None:
            found.append(divided if strays is None else _of_zero_share(strays))
        else:
            found.append(_of_both(divided, _of_zero_share(strays)))
    return found


def _of_both(divided: SampleRatio, strays: SampleRatio) -> SampleRatio:
    """Both tests as one, each with half the evidence; says what the one that alarms says."""
    log_e = float(np.logaddexp(divided.log_e, strays.log_e) - np.log(2))
    halves = [(found, always_valid_p(found.log_e - np.log(2))) for found in (divided, strays)]
    alarms = [(p, found) for found, p in halves if found.mismatch and p < ALARM_P_VALUE]
    said = min(alarms, key=lambda alarm: alarm[0])[1] if alarms else divided
    return replace(
        said,
        statistic=divided.statistic,
        chi_square_p_value=divided.chi_square_p_value,
        log_e=log_e,
        p_value=float(always_valid_p(log_e)),
        exceeds=divided.exceeds or strays.exceeds,
        mismatch=bool(alarms),
    )


def _check_divided(
    wholes: Sequence[Sequence[StageCounts]], tolerance: float, level: float
) -> list[SampleRatio | None]:
    """The test of the variants that are meant to have traffic; None where fewer than two are."""
    tested = [[_tested(stage) for stage in stages] for stages in wholes]
    # Those with the same variants in the same stages at once.
    alike: dict[tuple[tuple[str, ...], ...], list[int]] = {}
    for place, stages in enumerate(tested):
        if _used(stages):
            shape = tuple(tuple(sorted(stage.shares)) for stage in stages)
            alike.setdefault(shape, []).append(place)
    found: list[SampleRatio | None] = [None] * len(wholes)
    for places in alike.values():
        deviations = deviations_of([tested[place] for place in places], tolerance, level)
        for place, each in zip(places, deviations, strict=True):
            found[place] = _said(tested[place], each, tolerance)
    return found


def _used(tested: Sequence[StageCounts]) -> list[StageCounts]:
    """The stages with something to test."""
    return [stage for stage in tested if len(stage.shares) > 1 and sum(stage.counts.values()) > 0]


def _said(tested: Sequence[StageCounts], found: Deviations, tolerance: float) -> SampleRatio:
    """What the deviations of a whole say."""
    used = _used(tested)
    statistic = sum(_chi_square(stage) for stage in used)
    degrees = sum(len(stage.shares) - 1 for stage in used)
    p_value = float(always_valid_p(found.log_e))
    outside = np.maximum(found.lower, -found.upper).round(9)  # the first of two that tie
    exceeds = bool(outside.max() > np.log1p(tolerance))
    mismatch = exceeds and p_value < ALARM_P_VALUE
    name, stage_index = found.keys[int(outside.argmax())] if mismatch else _worst(used)
    row = found.keys.index((name, stage_index))
    within = used if stage_index is None else [tested[stage_index]]
    within = [stage for stage in within if name in stage.shares]
    total = sum(sum(stage.counts.values()) for stage in within)
    return SampleRatio(
        statistic=statistic,
        chi_square_p_value=float(chdtrc(degrees, statistic)),
        log_e=found.log_e,
        p_value=p_value,
        worst_variant=name,
        worst_odds_ratio=_odds_ratio(name, within),
        worst_stage=stage_index,
        odds_interval=(float(np.exp(found.lower[row])), float(np.exp(found.upper[row]))),
        exceeds=exceeds,
        mismatch=mismatch,
        spreads=found.spreads,
        share=sum(stage.counts[name] for stage in within) / total,
        configured_share=sum(_expected(stage)[name] for stage in within) / total,
    )


def _of_zero_share(found: ZeroShareTraffic) -> SampleRatio:
    """What the check says of the variants that are configured at 0."""
    p_value = float(always_valid_p(found.log_e))
    return SampleRatio(
        statistic=0.0,
        chi_square_p_value=1.0,
        log_e=found.log_e,
        p_value=p_value,
        worst_variant=found.variant,
        worst_odds_ratio=found.odds_ratio,
        worst_stage=found.stage,
        odds_interval=found.odds_interval,
        exceeds=found.odds_interval[0] > 1,
        mismatch=p_value < ALARM_P_VALUE,
        spreads=(),
        share=found.share,
        configured_share=0.0,
    )


def _tested(stage: StageCounts) -> StageCounts:
    """Only variants that are meant to have traffic: a share of zero has no chi-square."""
    shares = {name: share for name, share in stage.shares.items() if share > 0}
    return StageCounts({name: stage.counts.get(name, 0.0) for name in shares}, shares)


def _expected(stage: StageCounts) -> dict[str, float]:
    total = sum(stage.counts.values()) / sum(stage.shares.values())
    return {name: share * total for name, share in stage.shares.items()}


def _chi_square(stage: StageCounts) -> float:
    """Pearson 1900."""
    expected = _expected(stage)
    return sum((stage.counts[name] - mean) ** 2 / mean for name, mean in expected.items())


def _worst(stages: Sequence[StageCounts]) -> tuple[str, None]:
    """The variant whose odds deviate most, over all stages (Mantel, Haenszel 1959)."""
    ratios: dict[str, float] = {}
    for name in {name for stage in stages for name in stage.shares}:
        ratios[name] = _odds_ratio(name, [stage for stage in stages if name in stage.shares])
    return max(sorted(ratios.items()), key=lambda item: abs(np.log(item[1])))[0], None


def _odds_ratio(name: str, stages: Sequence[StageCounts]) -> float:
    """Observed odds over configured odds, half a count added so that it is never 0 or infinite."""
    observed = expected = 0.5
    for stage in stages:
        mean = _expected(stage)
        total = sum(stage.counts.values())
        observed += stage.counts[name] * (total - mean[name]) / total
        expected += mean[name] * (total - stage.counts[name]) / total
    return observed / expected
