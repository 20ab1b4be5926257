"""Relative lift by other ways than Fieller's, for those who compare with engines that use them.

The product's own interval is Fieller's (analysis/comparison.py): it agrees with the test of the
difference, and stays right where the baseline is near zero. The ways here don't: the delta method
covers too seldom for large lifts, and neither knows that a baseline may be zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.comparison import Comparison

FloatArray = NDArray[np.float64]

# With a baseline nearer to zero than this many standard errors only Fieller's set is right.
_SURE_BASELINE = 4.0


@dataclass(frozen=True, slots=True)
class Lift:
    """Candidate over baseline less 1: float64[...] each, and which method gave the interval."""

    lift: FloatArray
    lower: FloatArray
    upper: FloatArray
    is_fieller: NDArray[np.bool_]


def relative_lift(
    comparison: Comparison, multiplier: ArrayLike, method: Literal["delta", "log"]
) -> Lift:
    """The lift's interval by the delta method, of the ratio or of its logarithm.

    Where the baseline isn't sure to be off zero, or a logarithm doesn't exist, it is Fieller's.
    """
    z = np.asarray(multiplier, dtype=np.float64)
    b, c = comparison.baseline, comparison.candidate
    v_b, v_c = b.variance_of_mean, c.variance_of_mean
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.abs(b.mean)  # so that a loss that shrinks is a rise
        ratio = 1 + (c.mean - b.mean) / size
        relative_variance = v_b / b.mean**2 + v_c / c.mean**2
        if method == "delta":
            half_width = z * np.sqrt(v_c / b.mean**2 + v_b * ratio**2 / b.mean**2)
            lower, upper = ratio - 1 - half_width, ratio - 1 + half_width
        else:
            spread = np.exp(z * np.sqrt(relative_variance))
            lower, upper = ratio / spread - 1, ratio * spread - 1
        unsure = ~(np.abs(b.mean) > _SURE_BASELINE * np.sqrt(v_b))
    if method == "log":
        unsure = unsure | ~(ratio > 0)
    fieller_low, fieller_high = comparison.relative_interval(z)
    return Lift(
        ratio - 1,
        np.where(unsure, fieller_low, lower),
        np.where(unsure, fieller_high, upper),
        unsure,
    )
