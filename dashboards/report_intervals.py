"""Where the ends of a small picture of an interval lie."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from analysis.metric_result import Estimate

WIDTH = 220.0
_RIM = 3.0
_WORD = 44.0  # how wide "allowed" is


@dataclass(frozen=True, slots=True)
class Scale:
    """A straight map from values to places, which it never leaves."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        inside = min(max(value, self.low), self.high)
        place = self.start + (inside - self.low) / (self.high - self.low) * (self.end - self.start)
        return round(place, 2)

    def holds(self, value: float) -> bool:
        """Whether the value is shown where it is, not at the rim."""
        return self.low <= value <= self.high


def covering(values: Sequence[float], start: float, end: float) -> Scale:
    """A scale that holds all finite values, zero too, with a rim of a twelfth."""
    finite = [value for value in values if math.isfinite(value)]
    low, high = min([*finite, 0.0]), max([*finite, 0.0])
    rim = (high - low) / 12 or 1.0
    return Scale(low - rim, high + rim, start, end)


@dataclass(frozen=True, slots=True)
class IntervalBar:
    """Places from the left: of zero, the value, both ends, their caps, what is allowed.

    word: where "allowed" is written; None where it would lie on the zero's number.
    """

    zero: float
    value: float
    lower: float
    upper: float
    caps: tuple[float, ...]
    allowed: float | None
    word: float | None


def interval_bar(estimate: Estimate, allowed: float | None) -> IntervalBar | None:
    """An interval against zero and what is allowed; None where nothing is known.

    allowed: as a difference, so below zero where less is harm; None where nothing is.
    """
    if not math.isfinite(estimate.value):
        return None
    marks = [] if allowed is None else [allowed]
    ends = estimate.lower, estimate.upper
    x = covering([estimate.value, *ends, *marks], _RIM, WIDTH - _RIM)
    limit = None if not allowed else x(allowed)
    word = None
    if limit is not None and abs(limit - x(0)) > _WORD:
        word = min(max(limit, _WORD / 2), WIDTH - _WORD / 2)
    return IntervalBar(
        zero=x(0),
        value=x(estimate.value),
        lower=x(ends[0]),
        upper=x(ends[1]),
        caps=tuple(x(end) for end in ends if x.holds(end)),
        allowed=limit,
        word=word,
    )
