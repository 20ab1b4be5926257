"""Effects that deserve doubt: carried by one user, fading with time, or too large to be true."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr

from analysis.fixed.comparison import Sample, compare_means

# An effect is called fading or growing below this p-value: one of several exploratory checks.
_TREND_LEVEL = 0.001
# Twyman's law: what looks so interesting is usually wrong. In standard deviations of the prior.
_TOO_LARGE = 4.0


@dataclass(frozen=True, slots=True)
class LargestUser:
    """What the one user with the largest value does to the difference.

    difference, without: candidate minus baseline, with and without that user of each variant.
    influential: leaving them out moves the difference by half a standard error, or turns it. (One
        huge value makes the difference and its error alike, so it can't move it by much more.)
    """

    difference: float
    without: float
    influential: bool


def largest_user(
    baseline: Sample, candidate: Sample, largest: tuple[float, float]
) -> LargestUser | None:
    """The influence of each variant's largest value; None where there are too few users.

    largest: the largest value of one user of the baseline, and of the candidate.
    """
    if min(float(baseline.n), float(candidate.n)) < 3:
        return None
    left, right = (
        float((sample.n * sample.mean - value) / (sample.n - 1))
        for sample, value in zip((baseline, candidate), largest, strict=True)
    )
    comparison = compare_means(baseline, candidate)
    difference, without = float(comparison.difference), right - left
    error = float(comparison.standard_error)
    turned = difference * without < 0 and abs(difference) > error
    return LargestUser(difference, without, bool(abs(difference - without) > error / 2 or turned))


@dataclass(frozen=True, slots=True)
class Trend:
    """How the effect changes with the days since a user's first exposure.

    slope: change of the effect of one day's value per day, in the metric's unit; standard_error:
    of it. p_value: of no change, for a single look. kind: 'fading' (novelty), 'growing' (primacy)
    or 'steady'.
    """

    slope: float
    standard_error: float
    p_value: float
    kind: str


def effect_trend(baseline: Sample, candidate: Sample, *, days: int, effect: float) -> Trend:
    """The trend of the effect over a window of so many days.

    baseline, candidate: of each user's sum over days of (day - middle) x the day's value, whose
    difference is the slope times the sum of (day - middle)^2: a regression on the day, user by
    user, so that a user's days may depend on each other. effect: of the whole window.
    """
    comparison = compare_means(baseline, candidate)
    centred = np.arange(days) - (days - 1) / 2
    scale = float((centred**2).sum())
    slope, error = float(comparison.difference) / scale, float(comparison.standard_error) / scale
    if not np.isfinite(error):
        return Trend(slope, error, 1.0, "steady")
    p_value = float(2 * stdtr(float(comparison.degrees_of_freedom), -abs(slope) / error))
    if p_value >= _TREND_LEVEL:
        return Trend(slope, error, p_value, "steady")
    return Trend(slope, error, p_value, "fading" if slope * effect < 0 else "growing")


def too_large_to_be_true(lower: float, upper: float, prior_sd: float) -> bool:
    """Whether an interval of the relative effect lies beyond anything the prior allows for."""
    return max(lower, -upper) > _TOO_LARGE * prior_sd
