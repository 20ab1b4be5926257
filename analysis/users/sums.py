"""Sufficient statistics: shifted sums of one or several quantities per user, and their moments.

A quantity is whatever a user has a final value of: an outcome, a denominator, a covariate. Sums
are taken of the distance to a constant near the mean, so that they stay exact for means of 1e9
with a variance of 1, and they add over days, parts and warehouses (Chan, Golub, LeVeque 1983).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from analysis.arrays import FloatArray

_EPSILON = float(np.finfo(np.float64).eps)
# Squares of values above 1e150 are infinite: not known, and no reason to warn.
_BEYOND_NUMBERS = np.errstate(over="ignore", invalid="ignore")
_FEW_USERS = 16  # of fewer, the last digits of sums as they are written down count more


@dataclass(frozen=True, slots=True)
class Moments:
    """Users, means and covariances of q quantities; the covariance has n - 1 in the denominator.

    n float64[...]; mean float64[..., q], nan without users; covariance float64[..., q, q], nan
    below two users, 0 where it can't be told from rounding. rest float64[..., q]: what the means'
    last digits leave out, for differences of 1e-6 between means of 1e9. noise float64[..., q]: the
    standard deviation that rounding alone may show; infinite where squares are beyond all numbers.
    """

    n: FloatArray
    mean: FloatArray
    covariance: FloatArray
    rest: FloatArray = field(default_factory=lambda: np.array(0.0))
    noise: FloatArray = field(default_factory=lambda: np.array(0.0))

    def __post_init__(self) -> None:
        for name in ("rest", "noise"):
            values = np.broadcast_to(getattr(self, name), self.mean.shape)
            object.__setattr__(self, name, values)

    @_BEYOND_NUMBERS
    def variance_along(self, weights: FloatArray) -> FloatArray:
        """The variance of weighted sums of the quantities: float64[..., k] of [..., k, q].

        It is 0 where rounding could have made all of it: of users' values that are all equal, of
        clicks that are a fixed part of the views, of an outcome that its covariate says exactly.
        """
        found = np.einsum("...ki,...ij,...kj->...k", weights, self.covariance, weights)
        size = np.abs(weights)
        terms = np.einsum("...ki,...ij,...kj->...k", size, np.abs(self.covariance), size)
        beyond = np.isinf(self.noise)
        noise = np.einsum("...ki,...i->...k", size, np.where(beyond, 0.0, self.noise))
        is_rounding = np.isfinite(found) & (found <= noise**2 + _EPSILON * 16 * terms)
        found = np.where(is_rounding, 0.0, found)
        return np.where((beyond[..., None, :] & (size > 0)).any(axis=-1), np.inf, found)


def two_sum(a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The sum, and exactly what rounding takes from it (Knuth 1969)."""
    total = a + b
    of_b = total - a
    return total, (a - (total - of_b)) + (b - of_b)


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums over users of q quantities y, as distances to the constant c.

    n float64[...]; shift float64[..., q] is c; total float64[..., q] is sum(y - c);
    products float64[..., q, q] is sum((y - c)(y - c)'). rounded float64[..., q]: n times the sums
    of squares that these came of by subtraction, whose rounding is still in them.
    """

    n: FloatArray
    shift: FloatArray
    total: FloatArray
    products: FloatArray
    rounded: FloatArray = field(default_factory=lambda: np.array(0.0))

    def __post_init__(self) -> None:
        object.__setattr__(self, "rounded", np.broadcast_to(self.rounded, self.total.shape))

    @_BEYOND_NUMBERS
    def at(self, shift: ArrayLike) -> Sums:
        """The same sums about another constant; exact when it is near the mean."""
        new = np.broadcast_to(np.asarray(shift, dtype=np.float64), self.total.shape)
        d, n = self.shift - new, self.n[..., None]
        cross = self.total[..., :, None] * d[..., None, :]
        products = self.products + cross + np.swapaxes(cross, -1, -2)
        products = products + (n[..., None] * d[..., :, None] * d[..., None, :])
        rounded = np.where(d == 0, self.rounded, self.rounded + n * (self._squares + n * d**2))
        return Sums(self.n, np.array(new), self.total + n * d, products, rounded)

    @_BEYOND_NUMBERS
    def __add__(self, other: Sums) -> Sums:
        """The sums of both sets of users."""
        moved = other if np.array_equal(other.shift, self.shift) else other.at(self.shift)
        return Sums(
            self.n + moved.n,
            self.shift,
            self.total + moved.total,
            self.products + moved.products,
            self.rounded + moved.rounded,
        )

    @_BEYOND_NUMBERS
    def without(self, part: Sums) -> Sums:
        """The sums of the users that are not in a part; both are about one shift."""
        n = self.n[..., None]
        return Sums(
            self.n - part.n,
            self.shift,
            self.total - part.total,
            self.products - part.products,
            np.maximum(self.rounded, n * self._squares),
        )

    @property
    def _squares(self) -> FloatArray:
        return np.diagonal(self.products, axis1=-2, axis2=-1)

    @_BEYOND_NUMBERS
    def summed(self, axis: int) -> Sums:
        """The sums of all users along one of the leading axes; its shifts must be equal."""
        if axis < 0:
            raise ValueError(f"axis is {axis}, must count from the first axis")
        shift = np.take(self.shift, 0, axis=axis)
        if not np.array_equal(
            np.broadcast_to(np.expand_dims(shift, axis), self.shift.shape), self.shift
        ):
            raise ValueError("shifts differ along the axis: move them to one constant first (at)")
        return Sums(
            self.n.sum(axis),
            shift,
            self.total.sum(axis),
            self.products.sum(axis),
            self.rounded.sum(axis),
        )

    @property
    @_BEYOND_NUMBERS
    def moments(self) -> Moments:
        """Users, means and covariances; a variance that rounding could have made is 0.

        Adding n numbers rounds n times, alike for equal ones: the error grows with n (Higham 2002,
        section 4.2). It leaves values that are all equal a variance, and values that are all 0,
        about a shift, a mean.
        """
        n = self.n[..., None]
        distance = np.divide(self.total, n, out=np.full_like(self.total, np.nan), where=n > 0)
        centred = self.products - self.total[..., :, None] * distance[..., None, :]
        lost = 2 * _EPSILON * (np.maximum(n, _FEW_USERS) * self._squares + self.rounded)
        degrees = np.maximum(n - 1, 1.0)
        squares = np.diagonal(centred, axis1=-2, axis2=-1)
        finite = (np.isfinite(squares) & np.isfinite(lost)) | (n == 0)
        varies = finite & (squares > lost)
        covariance = centred / degrees[..., None]
        covariance = np.where(varies[..., :, None] & varies[..., None, :], covariance, 0.0)
        covariance = np.where(n[..., None] > 1, covariance, np.nan)
        mean, rest = two_sum(self.shift, distance)
        rounding = np.maximum(n, _FEW_USERS) * np.abs(self.shift) + np.sqrt(self.rounded)
        is_zero = finite & (np.abs(mean) <= 2 * _EPSILON * rounding)
        return Moments(
            self.n,
            np.where(is_zero, 0.0, mean),
            covariance,
            np.where(is_zero, 0.0, rest),
            np.where(finite, np.sqrt(np.where(finite, lost, 0.0) / degrees), np.inf),
        )
