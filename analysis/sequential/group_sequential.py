"""Looks that are planned: boundaries that spend alpha over the information so far.

Where the looks are few and their number is no secret of chance, these boundaries are much nearer
than those of a test that holds at any look (2.03 standard errors at the end instead of 3). Lan,
DeMets 1983: each look may spend what the spending function allows up to its information, so looks
may come at any time, as long as the data don't decide when.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from scipy.special import ndtr, ndtri

from analysis.arrays import FloatArray
from analysis.sequential.e_values import check_level
from analysis.sequential.roots import bracket_root

_FARTHEST = 38.0  # standard errors; the normal tail underflows beyond
_NODES_PER_STEP = 3.0  # nodes of integration per standard deviation of a step
_BATCH = 64  # nodes come in such numbers, so that few sets of them are computed
_NO_MASS = 12.0  # standard errors beyond which there is no probability to integrate


def spend_alpha(information: Sequence[float], *, alpha: float) -> FloatArray:
    """When to stop: as soon as the estimate lies so many standard errors from the null, by look.

    information: shares of the planned information at the looks, ascending, above 0. Two one-sided
    tests of alpha / 2 each, stopped by either; spending is Lan and DeMets' form of O'Brien and
    Fleming: next to nothing early, 2.03 standard errors at the end of five looks. After the planned
    end (share 1) nothing is left to spend: infinite.
    Armitage, McPherson, Rowe 1969: the density of the score is carried from look to look by
    Gauss-Legendre integration over the region in which the test goes on.
    """
    check_level(alpha)
    times = np.asarray(information, dtype=np.float64)
    if times.size == 0 or times[0] <= 0 or np.any(np.diff(times) <= 0):
        raise ValueError(f"information is {information!r}, must be ascending and above 0")
    spent = 2 * ndtr(ndtri(alpha / 4) / np.sqrt(np.clip(times, 1e-12, 1.0)))
    boundaries = np.empty_like(times)
    # The score so far: nodes, and the probability that goes with each.
    score, mass, before = np.zeros(1), np.ones(1), 0.0
    for i, time in enumerate(times):
        step = np.sqrt(time - before)
        allowed = spent[i] - (spent[i - 1] if i else 0.0)
        boundaries[i] = _boundary(score, mass, step, allowed, time)
        score, mass = _carry(score, mass, step, (-boundaries[i], boundaries[i]), time)
        before = time
    return boundaries


def _boundary(
    score: FloatArray, mass: FloatArray, step: float, allowed: float, time: float
) -> float:
    """The z beyond which the test stops with just the allowed probability."""
    if allowed <= 0:
        return np.inf

    def rising(z: FloatArray) -> FloatArray:
        beyond = ndtr((score - z[..., None] * np.sqrt(time)) / step) @ mass
        return np.asarray(allowed - beyond)

    return float(bracket_root(rising, np.array([-_FARTHEST]), _FARTHEST)[1][0])


def _carry(
    score: FloatArray, mass: FloatArray, step: float, region: tuple[float, float], time: float
) -> tuple[FloatArray, FloatArray]:
    """Nodes and masses of the score after a step, within the region of z in which one goes on."""
    low, high = (np.clip(z, -_NO_MASS, _NO_MASS) * np.sqrt(time) for z in region)
    x, weights = _gauss_legendre(int(_NODES_PER_STEP * (high - low) / step / _BATCH) + 1)
    after = (low + high) / 2 + (high - low) / 2 * x
    kernel = np.exp(-(((after[:, None] - score) / step) ** 2) / 2) / (step * np.sqrt(2 * np.pi))
    return after, (high - low) / 2 * weights * (kernel @ mass)


@cache
def _gauss_legendre(batches: int) -> tuple[FloatArray, FloatArray]:
    x, weights = np.polynomial.legendre.leggauss(batches * _BATCH)
    return np.asarray(x), np.asarray(weights)
