"""Relative lift by other ways than Fieller's, for those who compare with engines that use them.

The product's own interval is Fieller's (analysis/fixed/comparison.py): it agrees with the test of
the difference, and stays right where the baseline is near zero. The ways here don't: the delta
method covers too seldom for large lifts, and neither knows that a baseline may be zero; there the
answer is Fieller's, and says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr

from analysis.arrays import BoolArray, FloatArray
from analysis.fixed.comparison import Comparison

# With a baseline nearer to zero than this many standard errors only Fieller's set is right.
_SURE_BASELINE = 4.0
_MOST_DEGREES = 1e15  # Student's t is the normal to the last digit there


@dataclass(frozen=True, slots=True)
class Lift:
    """The difference over the baseline's size: float64[...] each, and which method gave it.

    p_value: two-sided, of no lift, from the test whose inversion the interval is: below alpha
        exactly where a bounded interval of level 1 - alpha leaves 0 out. Fieller's may be
        unbounded though the difference is sure: the baseline may be zero. nan, and unbounded, where
        a variant has no known error.
    """

    lift: FloatArray
    lower: FloatArray
    upper: FloatArray
    p_value: FloatArray
    is_fieller: BoolArray
    otherwise: Literal["delta", "log"]

    @property
    def method(self) -> NDArray[np.str_]:
        """delta, log or fieller: str[...]."""
        return np.where(self.is_fieller, "fieller", self.otherwise)


def relative_lift(
    comparison: Comparison, multiplier: ArrayLike, method: Literal["delta", "log"] = "delta"
) -> Lift:
    """The lift's interval by the delta method, of the ratio or of its logarithm.

    multiplier: standard errors to each side; comparison.fixed_multiplier(alpha) goes with p_value.
    Where the baseline isn't sure to be off zero, or a logarithm doesn't exist, it is Fieller's.
    """
    z = np.asarray(multiplier, dtype=np.float64)
    b, c = comparison.baseline, comparison.candidate
    v_b, v_c = b.variance_of_mean, c.variance_of_mean
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = c.mean / b.mean
        growth = comparison.difference / b.mean
        error = comparison.error_at(growth) / np.abs(b.mean)
        if method == "delta":
            lower, upper = growth - z * error, growth + z * error
            statistic = growth / error
        else:
            of_log = error / np.abs(ratio)
            spread = np.exp(z * of_log)
            lower, upper = ratio / spread - 1, ratio * spread - 1
            statistic = np.log(np.where(ratio > 0, ratio, np.nan)) / of_log
        # In units of the baseline's size, so that a loss that shrinks is a rise.
        falls = b.mean < 0
        lower, upper = np.where(falls, -upper, lower), np.where(falls, -lower, upper)
        unsure = ~(np.abs(b.mean) > _SURE_BASELINE * np.sqrt(v_b))
    # A variant in which nobody differs from another shows no error: its lift would be certain.
    known = np.isfinite(comparison.standard_error) & (v_b > 0) & (v_c > 0)
    unsure = unsure | ~known
    if method == "log":
        unsure = unsure | ~(ratio > 0)
    fieller_low, fieller_high = comparison.relative_interval(z)
    degrees = np.minimum(comparison.degrees_of_freedom, _MOST_DEGREES)
    p_value = 2 * stdtr(degrees, -np.abs(statistic))
    return Lift(
        np.where(falls, -growth, growth),
        np.where(known, np.where(unsure, fieller_low, lower), -np.inf),
        np.where(known, np.where(unsure, fieller_high, upper), np.inf),
        np.where(known, np.where(unsure, comparison.p_value, p_value), np.nan),
        unsure,
        method,
    )
