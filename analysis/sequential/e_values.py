"""E-values: evidence that may be looked at any time, averaged over tests, and read as a p-value.

An e-value has expectation at most 1 under its null hypothesis, at every look and at every stopping
rule; so it reaches 1 / alpha, ever, with probability at most alpha (Ville 1939). All are kept as
logarithms: evidence of a minute's outage is beyond the range of a float.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from analysis.arrays import FloatArray


@dataclass(frozen=True, slots=True)
class SequentialTest:
    """What a test says that may be looked at any time: float64[...] each.

    estimate: nan without data. lower, upper: its interval, unbounded where data are too few for
    any. log_e: against the null.
    """

    estimate: FloatArray
    lower: FloatArray
    upper: FloatArray
    log_e: FloatArray

    @property
    def p_value(self) -> FloatArray:
        """Always-valid p-value of the null."""
        return always_valid_p(self.log_e)


def always_valid_p(log_e: ArrayLike) -> FloatArray:
    """The p-value of a log e-value: min(1, 1 / e), at most alpha where e >= 1 / alpha."""
    return np.exp(-np.maximum(np.asarray(log_e, dtype=np.float64), 0.0))


def log_average(log_e: ArrayLike, *, axis: int = -1) -> FloatArray:
    """Log of the mean of e-values: an e-value however they depend (Vovk, Wang 2021)."""
    array = np.asarray(log_e, dtype=np.float64)
    return np.asarray(log_total(array, axis=axis) - np.log(array.shape[axis]))


def log_total(logs: FloatArray, *, axis: int = -1) -> FloatArray:
    """Log of the sum of what these are the logarithms of; scipy's takes ten times as long."""
    largest = logs.max(axis=axis, keepdims=True)
    shift = np.where(np.isfinite(largest), largest, 0.0)
    with np.errstate(divide="ignore"):  # the sum of zeros
        total = np.log(np.exp(logs - shift).sum(axis=axis))
    return np.asarray(total + shift.squeeze(axis))


def check_level(alpha: float) -> None:
    """Raises ValueError unless alpha lies between 0 and 1."""
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha!r}, must lie between 0 and 1")
