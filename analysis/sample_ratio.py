"""Sample ratio mismatch: is traffic, or are users, divided as configured?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc

ALARM_P_VALUE = 0.001  # what A/B platforms use: a false alarm in a thousand


@dataclass(frozen=True, slots=True)
class StageCounts:
    """Observed counts and configured shares by variant, in one stage."""

    counts: Mapping[str, float]
    shares: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """What the check found.

    worst_odds_ratio: observed odds of a variant against the rest over the configured odds, of the
        variant farthest from 1.
    mismatch: the counts can't be chance and the deviation exceeds the tolerance.
    """

    statistic: float
    p_value: float
    worst_variant: str
    worst_odds_ratio: float
    mismatch: bool


def check_sample_ratio(stages: Sequence[StageCounts], *, tolerance: float) -> SampleRatio | None:
    """Compares counts with the shares configured in each stage; None if there is nothing to test.

    Each stage is tested against its own split (a chi-square against the last split of a ramp
    always alarms) and the statistics add up with their degrees of freedom.
    tolerance: relative deviation of the odds that doesn't matter yet; evidence grows with
    traffic, so without it every harmless deviation ends as an alarm.
    """
    tested = [_tested(stage) for stage in stages]
    used = [stage for stage in tested if len(stage.shares) > 1 and sum(stage.counts.values()) > 0]
    if not used:
        return None
    statistic = sum(_chi_square(stage) for stage in used)
    degrees = sum(len(stage.shares) - 1 for stage in used)
    p_value = float(chdtrc(degrees, statistic))
    variant, ratio = _worst_odds(used)
    deviates = abs(np.log(ratio)) > np.log1p(tolerance)
    return SampleRatio(
        statistic, p_value, variant, ratio, bool(p_value < ALARM_P_VALUE and deviates)
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


def _worst_odds(stages: Sequence[StageCounts]) -> tuple[str, float]:
    """The variant whose odds deviate most, over all stages (Mantel, Haenszel 1959)."""
    ratios: dict[str, float] = {}
    for name in {name for stage in stages for name in stage.shares}:
        ratios[name] = _odds_ratio(name, [stage for stage in stages if name in stage.shares])
    return max(sorted(ratios.items()), key=lambda item: abs(np.log(item[1])))


def _odds_ratio(name: str, stages: Sequence[StageCounts]) -> float:
    """Observed odds over configured odds, half a count added so that it is never 0 or infinite."""
    observed = expected = 0.5
    for stage in stages:
        mean = _expected(stage)
        total = sum(stage.counts.values())
        observed += stage.counts[name] * (total - mean[name]) / total
        expected += mean[name] * (total - stage.counts[name]) / total
    return observed / expected
