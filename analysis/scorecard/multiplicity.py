"""Many tests at once: adjusted p-values for one planned look, e-values for any number of looks.

Families lie on the last axis; leading axes are families of their own. A nan stands for no test:
it stays nan and doesn't count.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from analysis.arrays import BoolArray, FloatArray


def holm(p_values: ArrayLike) -> FloatArray:
    """Adjusted p-values that bound the family-wise error, under any dependence (Holm 1979)."""
    p, tests, rank = _ranked(p_values)
    return _returned(p, np.maximum.accumulate((tests - rank) * _sorted(p), axis=-1))


def hochberg(p_values: ArrayLike) -> FloatArray:
    """Adjusted p-values that bound the family-wise error of independent tests (Hochberg 1988)."""
    p, tests, rank = _ranked(p_values)
    return _returned(p, _running_minimum((tests - rank) * _sorted(p)))


def benjamini_hochberg(p_values: ArrayLike) -> FloatArray:
    """Adjusted p-values that bound the false discovery rate (Benjamini, Hochberg 1995).

    Of independent or positively dependent tests.
    """
    p, tests, rank = _ranked(p_values)
    return _returned(p, _running_minimum(tests / (rank + 1) * _sorted(p)))


def benjamini_yekutieli(p_values: ArrayLike) -> FloatArray:
    """Adjusted p-values that bound the false discovery rate under any dependence.

    Benjamini, Yekutieli 2001.
    """
    p, tests, rank = _ranked(p_values)
    longest = int(tests.max(initial=0))
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, longest + 1))])
    factor = harmonic[tests.astype(np.intp)] * tests / (rank + 1)
    return _returned(p, _running_minimum(factor * _sorted(p)))


def weighted_bonferroni(p_values: ArrayLike, weights: ArrayLike) -> FloatArray:
    """Adjusted p-values with alpha shared out by weight (Rosenthal, Rubin 1983)."""
    p, w = np.broadcast_arrays(np.asarray(p_values, dtype=np.float64), weights)
    w = np.where(np.isnan(p), 0.0, w)
    with np.errstate(divide="ignore", invalid="ignore"):
        shared = p * w.sum(axis=-1, keepdims=True) / w
    return np.asarray(np.where(np.isnan(p), np.nan, np.minimum(shared, 1.0)))


def e_bh(log_e_values: ArrayLike, alpha: float) -> BoolArray:
    """Which hypotheses are rejected at a false discovery rate of alpha (Wang, Ramdas 2022).

    Of any dependence, and at any stopping time. log_e_values: natural logarithms.
    """
    log_e = np.where(np.isnan(log_e_values), -np.inf, np.asarray(log_e_values, dtype=np.float64))
    tests = np.sum(~np.isnan(log_e_values), axis=-1, keepdims=True)
    descending = -np.sort(-log_e, axis=-1)
    rank = np.arange(1, log_e.shape[-1] + 1)
    enough = descending >= np.log(np.maximum(tests, 1)) - np.log(alpha * rank)
    count = np.where(enough, rank, 0).max(axis=-1, keepdims=True, initial=0)
    least = np.take_along_axis(descending, np.maximum(count - 1, 0), axis=-1)
    return np.asarray((count > 0) & (log_e >= least))


def _ranked(p_values: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The p-values, the number of tests in each family, and ranks from 0 of the sorted ones."""
    p = np.asarray(p_values, dtype=np.float64)
    if np.any((p < 0) | (p > 1)):
        raise ValueError("p-values must lie between 0 and 1")
    tests = np.sum(~np.isnan(p), axis=-1, keepdims=True).astype(np.float64)
    return p, tests, np.arange(p.shape[-1], dtype=np.float64)


def _sorted(p: FloatArray) -> FloatArray:
    """Ascending; nan last."""
    return np.sort(p, axis=-1)


def _running_minimum(values: FloatArray) -> FloatArray:
    """The least of each value and those after it; nan is passed over."""
    known = np.where(np.isnan(values), np.inf, values)
    return np.minimum.accumulate(known[..., ::-1], axis=-1)[..., ::-1]


def _returned(p: FloatArray, adjusted: FloatArray) -> FloatArray:
    """Adjusted sorted values back in the order of p, at most 1; nan where p is."""
    order = np.argsort(p, axis=-1, kind="stable")
    answer = np.empty_like(p)
    np.put_along_axis(answer, order, np.minimum(adjusted, 1.0), axis=-1)
    return np.where(np.isnan(p), np.nan, answer)
