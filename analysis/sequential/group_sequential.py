"""Looks that are planned: boundaries that spend alpha over the information so far.

Where the looks are few and their number is no secret of chance, these boundaries are much nearer
than those of a test that holds at any look (2.11 standard errors at the end instead of 3). Lan,
DeMets 1983: each look may spend what the spending function allows up to its information, so looks
may come at any time, as long as the data don't decide when.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from analysis.arrays import FloatArray
from analysis.sequential.e_values import check_level
from analysis.sequential.roots import bracket_root

Spending = Callable[[FloatArray, float], FloatArray]

_FARTHEST = 38.0  # standard errors; the normal tail underflows beyond
_NODES_PER_STEP = 3.0  # nodes of integration per standard deviation of a step
_BATCH = 64  # nodes come in such numbers, so that few sets of them are computed
_P_TOLERANCE = 1e-6  # of a p-value, relative
_NO_MASS = 12.0  # standard errors beyond which there is no probability to integrate


@dataclass(frozen=True, slots=True)
class Boundaries:
    """When to stop: at look i as soon as the estimate lies z[i] standard errors from the null.

    information: float64[looks], share of the planned information at each look. spent: float64
    [looks], one-sided probability of having stopped by then under the null.
    alpha, two_sided: the tuning, with the spending function that gave spent.
    """

    information: FloatArray
    z: FloatArray
    spent: FloatArray
    alpha: float
    two_sided: bool

    def interval(self, estimate: ArrayLike, standard_error: ArrayLike) -> tuple[FloatArray, ...]:
        """Repeated confidence intervals, one a look: float64[..., looks] each.

        They hold at all the looks together (Jennison, Turnbull 1989). One-sided: the lower bound,
        and infinity.
        """
        d, error = np.asarray(estimate, np.float64), np.asarray(standard_error, np.float64)
        lower = d - self.z * error
        upper = d + self.z * error if self.two_sided else np.full(lower.shape, np.inf)
        return lower, upper


def power_spending(power: float = 2.0) -> Spending:
    """alpha t^power (Kim, DeMets 1987): 2 spends early enough for a canary, 3 is near O'Brien."""

    def spend(information: FloatArray, alpha: float) -> FloatArray:
        return np.asarray(alpha * np.minimum(information, 1.0) ** power)

    return spend


def obrien_fleming_spending() -> Spending:
    """Lan and DeMets' form of O'Brien and Fleming: next to nothing early, 2.03 at the end."""

    def spend(information: FloatArray, alpha: float) -> FloatArray:
        t = np.clip(information, 1e-12, 1.0)
        return np.asarray(2 * ndtr(ndtri(alpha / 2) / np.sqrt(t)))

    return spend


def spend_alpha(
    information: Sequence[float],
    *,
    alpha: float,
    spending: Spending | None = None,
    two_sided: bool = True,
) -> Boundaries:
    """Boundaries at looks with these shares of the planned information, ascending, above 0.

    spending: power_spending() if None. Two-sided: two one-sided tests of alpha / 2 each, stopped
    by either. After the planned end (share 1) nothing is left to spend: the z is infinite.
    Armitage, McPherson, Rowe 1969: the density of the score is carried from look to look by
    Gauss-Legendre integration over the region in which the test goes on.
    """
    check_level(alpha)
    times = np.asarray(information, dtype=np.float64)
    if times.size == 0 or times[0] <= 0 or np.any(np.diff(times) <= 0):
        raise ValueError(f"information is {information!r}, must be ascending and above 0")
    side = alpha / 2 if two_sided else alpha
    spent = (spending or power_spending())(times, side)
    return Boundaries(times, _boundaries(times, spent, two_sided), spent, alpha, two_sided)


def repeated_p_value(
    z: ArrayLike, information: Sequence[float], *, spending: Spending | None = None
) -> FloatArray:
    """Two-sided p-values, one a look, that hold at all the looks together: float64[looks].

    z: float64[looks], the statistic at each look so far. The least alpha whose boundary the
    statistic reaches at that look (Jennison, Turnbull 2000, section 9.5).
    """
    statistic = np.abs(np.asarray(z, dtype=np.float64))
    looks = range(1, statistic.size + 1)
    return np.array([_repeated_p(statistic[i - 1], information[:i], spending) for i in looks])


def _repeated_p(z: float, information: Sequence[float], spending: Spending | None) -> float:
    low, high = np.log(2 * ndtr(-z)) - 1e-9, 0.0  # spending all at this look gives the least
    while high - low > _P_TOLERANCE:
        middle = (low + high) / 2
        reached = (
            z >= spend_alpha(information, alpha=float(np.exp(middle)), spending=spending).z[-1]
        )
        low, high = (low, middle) if reached else (middle, high)
    return float(np.exp(high))


def _boundaries(times: FloatArray, spent: FloatArray, two_sided: bool) -> FloatArray:
    boundaries = np.empty_like(times)
    # The score so far: nodes, and the probability that goes with each.
    score, mass, before = np.zeros(1), np.ones(1), 0.0
    for i, time in enumerate(times):
        step = np.sqrt(time - before)
        allowed = spent[i] - (spent[i - 1] if i else 0.0)
        boundaries[i] = _boundary(score, mass, step, allowed, time)
        low = -boundaries[i] if two_sided else -np.inf
        score, mass = _carry(score, mass, step, (low, boundaries[i]), time)
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
