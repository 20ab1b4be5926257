"""Power, minimum detectable effect and sample size of a difference between two variants.

Everything starts from the variance of one user's value: p (1 - p) for a share, a mean's variance,
the influence's variance of a ratio (analysis/users/estimates.py), n times the squared error of a
quantile; times 1 - r^2 with covariates of correlation r. Harm and gain are one-sided; give half of
alpha for a two-sided test.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import nctdtr, ndtri, stdtrit

from analysis.arrays import FloatArray
from analysis.sequential.confidence_sequence import one_sided_multiplier, student_adjusted

_LEAST_USERS = 2.0
_DOUBLINGS = 50
_STEPS = 60


@dataclass(frozen=True, slots=True)
class Design:
    """Two variants: variances of one user's value, and the candidate's share of the users.

    alpha: one-sided. n_opt: None for one look at the end, else the users at which a sequence that
    holds at every look is tightest. Both are of Student's t, as the variance is estimated.
    """

    variance_baseline: FloatArray | float
    variance_candidate: FloatArray | float
    share: FloatArray | float = 0.5
    alpha: float = 0.025
    n_opt: float | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for a share or an alpha that can't be."""
        if not np.all((np.asarray(self.share) > 0) & (np.asarray(self.share) < 1)):
            raise ValueError(f"share is {self.share}, must lie between 0 and 1")
        if not 0 < self.alpha < 0.5:
            raise ValueError(f"alpha is {self.alpha}, must lie between 0 and 0.5")

    def error(self, users: ArrayLike) -> FloatArray:
        """Standard error of the difference with so many users in both variants together."""
        n = np.asarray(users, dtype=np.float64)
        return np.asarray(
            np.sqrt(
                np.asarray(self.variance_baseline) / (n * (1 - self.share))
                + np.asarray(self.variance_candidate) / (n * self.share)
            )
        )

    def multiplier(self, users: ArrayLike) -> FloatArray:
        """Standard errors between the estimate and its one-sided bound."""
        n = np.asarray(users, dtype=np.float64)
        if self.n_opt is not None:
            normal = one_sided_multiplier(n, alpha=self.alpha, n_opt=self.n_opt)
            return student_adjusted(normal, self.degrees(n))
        return np.asarray(-stdtrit(self.degrees(n), self.alpha))

    def degrees(self, n: FloatArray) -> FloatArray:
        """Welch's degrees of freedom; at least 1, so that tiny designs have an answer too."""
        v_b = np.asarray(self.variance_baseline) / (n * (1 - self.share))
        v_c = np.asarray(self.variance_candidate) / (n * self.share)
        parts = v_b**2 / np.maximum(n * (1 - self.share) - 1, 0.5)
        parts = parts + v_c**2 / np.maximum(n * self.share - 1, 0.5)
        with np.errstate(divide="ignore", invalid="ignore"):
            degrees = np.where(parts > 0, (v_b + v_c) ** 2 / parts, np.inf)
        return np.asarray(np.clip(degrees, 1.0, 1e15))


def power(design: Design, effect: ArrayLike, users: ArrayLike) -> FloatArray:
    """Probability that the bound excludes zero after so many users: at the last look alone.

    For a sequence this is a lower bound, as an earlier look may find it first.
    """
    n = np.asarray(users, dtype=np.float64)
    shift = np.asarray(effect, dtype=np.float64) / design.error(n)
    degrees = np.minimum(design.degrees(n), 1e6)
    below = nctdtr(degrees, np.clip(shift, -1e3, 37.0), design.multiplier(n))
    return np.asarray(np.where(shift > 37.0 + design.multiplier(n), 1.0, 1 - below))


def detectable_effect(design: Design, users: ArrayLike, *, wanted: float = 0.8) -> FloatArray:
    """The effect that is found with the wanted power after so many users."""
    n = np.asarray(users, dtype=np.float64)
    return np.asarray((design.multiplier(n) + ndtri(wanted)) * design.error(n))


def users_needed(design: Design, effect: ArrayLike, *, wanted: float = 0.8) -> FloatArray:
    """Users of both variants together with which the effect is found with the wanted power.

    By doubling and bisection, so that a share of 1 % has an answer as well; infinite for no effect.
    """
    size = np.abs(np.asarray(effect, dtype=np.float64))
    low = 2 * _LEAST_USERS / np.minimum(design.share, 1 - np.asarray(design.share))
    low = np.array(np.broadcast_arrays(low, size)[0])
    high = low.copy()
    for _ in range(_DOUBLINGS):
        enough = detectable_effect(design, high, wanted=wanted) <= size
        if np.all(enough | (size == 0)):
            break
        high = np.where(enough, high, 2 * high)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        enough = detectable_effect(design, middle, wanted=wanted) <= size
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return np.where(size > 0, np.ceil(high), np.inf)
