"""What one estimate shows at one planned look: a difference, non-inferiority, TOST.

Each p-value and its interval come of one test, so they can't contradict each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr, stdtrit

FloatArray = NDArray[np.float64]
_MOST_DEGREES = 1e15  # Student's t is the normal to the last digit there


@dataclass(frozen=True, slots=True)
class Shown:
    """p-values, whether they are below alpha, and the interval that says the same: float64[...]."""

    p_value: FloatArray
    shown: NDArray[np.bool_]
    lower: FloatArray
    upper: FloatArray


def two_sided(
    difference: ArrayLike,
    error: ArrayLike,
    degrees: ArrayLike = np.inf,
    *,
    null: float = 0.0,
    alpha: float = 0.05,
) -> Shown:
    """Whether the difference is another than null, in either direction.

    The interval has the level 1 - alpha and leaves null out exactly then.
    """
    d, se, nu = _arrays(difference, error, degrees)
    with np.errstate(divide="ignore", invalid="ignore"):
        p_value = 2 * stdtr(nu, -np.abs(d - null) / se)
        half_width = -stdtrit(nu, alpha / 2) * se
    return Shown(p_value, p_value < alpha, d - half_width, d + half_width)


def non_inferiority(
    difference: ArrayLike,
    error: ArrayLike,
    degrees: ArrayLike = np.inf,
    *,
    margin: ArrayLike,
    alpha: float = 0.05,
) -> Shown:
    """Whether the difference (higher is better) is above -margin: one-sided.

    Not shown doesn't mean inferior: that the harm exceeds the margin is another test.
    """
    d, se, nu = _arrays(difference, error, degrees)
    with np.errstate(divide="ignore", invalid="ignore"):
        p_value = stdtr(nu, -(d + np.asarray(margin)) / se)
        lower = d + stdtrit(nu, alpha) * se
    return Shown(p_value, p_value < alpha, lower, np.full_like(d, np.inf))


def equivalence(
    difference: ArrayLike,
    error: ArrayLike,
    degrees: ArrayLike = np.inf,
    *,
    margin: ArrayLike,
    alpha: float = 0.05,
) -> Shown:
    """Whether the difference lies within the margin on both sides: two one-sided tests.

    Schuirmann 1987; the interval has the level 1 - 2 alpha and lies inside exactly then.
    """
    d, se, nu = _arrays(difference, error, degrees)
    with np.errstate(divide="ignore", invalid="ignore"):
        least = np.asarray(margin)
        p_value = np.maximum(stdtr(nu, -(d + least) / se), stdtr(nu, (d - least) / se))
        half_width = -stdtrit(nu, alpha) * se
    return Shown(p_value, p_value < alpha, d - half_width, d + half_width)


def _arrays(*values: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    d, se, nu = np.broadcast_arrays(*(np.asarray(v, dtype=np.float64) for v in values))
    return np.array(d), np.array(se), np.minimum(nu, _MOST_DEGREES)
