"""Asymptotic confidence sequences: intervals that hold at every look at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_ndtr, ndtr, ndtri, stdtr, stdtrit

from analysis.arrays import FloatArray

# Of a smaller tail scipy's quantile has the wrong sign, or none (6 degrees, 1e-300: inf).
_SMALLEST_TAIL = 1e-100


def tuning(alpha: ArrayLike, n_opt: ArrayLike) -> FloatArray:
    """The mixture's scale at which a two-sided sequence of level alpha is tightest at n_opt.

    Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas 2024 (Annals of Statistics), equation 24.
    """
    level = np.asarray(alpha, dtype=np.float64)
    if not np.all((level > 0) & (level < 1)):
        raise ValueError(f"alpha is {alpha!r}, must lie between 0 and 1")
    planned = np.asarray(n_opt, dtype=np.float64)
    return np.asarray(np.sqrt((-2 * np.log(level) + np.log(1 - 2 * np.log(level))) / planned))


def two_sided_multiplier(n: ArrayLike, *, alpha: ArrayLike, n_opt: ArrayLike) -> FloatArray:
    """How many standard errors an interval of level alpha extends to each side, at every n at once.

    n: float64[...], observations so far; infinite where n is below 2.
    Waudby-Smith et al. 2024, theorem 2.2.
    """
    n_array, level = np.asarray(n, dtype=np.float64), np.asarray(alpha, dtype=np.float64)
    nr2 = np.maximum(n_array, 1.0) * tuning(level, n_opt) ** 2
    width = np.sqrt((nr2 + 1) / nr2 * np.log((nr2 + 1) / level**2))
    return np.where(n_array < 2, np.inf, width)


def one_sided_multiplier(n: ArrayLike, *, alpha: ArrayLike, n_opt: float) -> FloatArray:
    """How many standard errors a one-sided bound of level alpha lies off, at every n at once.

    n: float64[...], observations so far; infinite where n is below 2.
    Waudby-Smith et al. 2024, proposition B.1; the tuning is the two-sided one at 2 alpha.
    """
    n_array, level = np.asarray(n, dtype=np.float64), np.asarray(alpha, dtype=np.float64)
    if not np.all((level > 0) & (level < 1)):
        raise ValueError(f"alpha is {alpha!r}, must lie between 0 and 1")
    nr2 = np.maximum(n_array, 1.0) * tuning(np.minimum(2 * level, 0.999), n_opt) ** 2
    width = np.sqrt(2 * (nr2 + 1) / nr2 * np.log1p(np.sqrt(nr2 + 1) / (2 * level)))
    return np.where(n_array < 2, np.inf, width)


def student_adjusted(multiplier: ArrayLike, degrees_of_freedom: ArrayLike) -> FloatArray:
    """The multiplier that keeps a normal multiplier's tail probability under Student's t.

    The sequences hold asymptotically, with the variance known. With few buckets it is estimated,
    and a normal multiplier alarms too often; the Student quantile of the same tail restores the
    level (checked by simulation in tests/analysis). Infinite below one degree of freedom, and
    where the quantile is too large for a number.
    """
    normal = np.asarray(multiplier, dtype=np.float64)
    dof = np.asarray(degrees_of_freedom, dtype=np.float64)
    tail = np.maximum(ndtr(-normal), _SMALLEST_TAIL)
    adjusted = -stdtrit(np.maximum(dof, 1.0), tail)
    # scipy's quantile has the wrong sign where it overflows: a bound would prove anything.
    known = (dof >= 1) & np.isfinite(normal) & ((adjusted > 0) | (normal <= 0))
    return np.where(known, np.maximum(adjusted, normal), np.inf)


def log_e_value(z: ArrayLike, n: ArrayLike, *, alpha: float, n_opt: ArrayLike) -> FloatArray:
    """Log e-value of the two-sided sequence for an estimate z standard errors from the null.

    e >= 1 / alpha exactly where the interval excludes the null; p = min(1, 1 / e).
    Waudby-Smith et al. 2024; mixture of Robbins 1970.
    """
    z_array, n_array = np.asarray(z, dtype=np.float64), np.asarray(n, dtype=np.float64)
    nr2 = n_array * tuning(alpha, n_opt) ** 2
    return np.asarray(z_array**2 * nr2 / (2 * (nr2 + 1)) - np.log1p(nr2) / 2)


def one_sided_log_e(
    z: FloatArray, n: FloatArray, alpha: FloatArray, n_opt: FloatArray
) -> FloatArray:
    """Log e-value of a mean z standard errors above the null after n buckets.

    Robbins' mixture over positive effects (1970), tightest at n_opt; its threshold is that of
    one_sided_multiplier.
    """
    nr2 = n * tuning(np.minimum(2 * alpha, 0.999), n_opt) ** 2
    shrunk = nr2 / (nr2 + 1)
    return np.asarray(
        np.log(2.0) - np.log1p(nr2) / 2 + z**2 * shrunk / 2 + log_ndtr(z * np.sqrt(shrunk))
    )


def normal_of_student(t: FloatArray, degrees: FloatArray) -> FloatArray:
    """The normal value with the tail of a Student's one; 0 below one degree of freedom."""
    tail = np.maximum(stdtr(np.maximum(degrees, 1.0), -t), _SMALLEST_TAIL)
    return np.where(degrees >= 1, np.maximum(-ndtri(tail), 0.0), 0.0)
