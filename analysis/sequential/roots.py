"""Where a monotone function changes sign, for many cells at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from analysis.arrays import FloatArray

_STEPS = 200  # more than any function here needs; bisection alone takes 60
_RELATIVE = 4e-16  # how near the ends come, by their size


def bracket_root(
    rising: Callable[[FloatArray], FloatArray],
    low: ArrayLike,
    high: ArrayLike,
    *,
    apart: int | None = None,
    of_bracket: float = 1e-17,
) -> tuple[FloatArray, FloatArray]:
    """The two neighbours of the root of each cell's rising function: float64[...] each.

    low, high: float64[...], ends of the cells' brackets. Without a change of sign both answers are
    the end next to which the root would lie. Two numbers, so that a bound can be the outer one.
    apart: an axis along which the answers are, to the bit, those of a call each.
    of_bracket: how near the answers come, by the bracket's size, where that isn't the float's own.
    Inverse quadratic interpolation where it is safe, else bisection (Chandrupatla 1997).
    """
    ends = np.broadcast_arrays(np.asarray(low, np.float64), np.asarray(high, np.float64))
    start, end = (np.array(e) for e in ends)
    f_start, f_end = rising(start), rising(end)
    # Where there is no root inside, or nothing is known, the bracket is one point from the start.
    end = np.where((f_start >= 0) | np.isnan(f_start) & np.isnan(f_end), start, end)
    start = np.where(f_end < 0, end, start)
    x1, x2, x3 = start, end, end
    f1, f2, f3 = f_start, f_end, f_end
    least = of_bracket * np.abs(end - start)
    t = np.full(start.shape, 0.5)
    others = tuple(axis for axis in range(start.ndim) if axis != apart)
    is_found, lower, upper = np.False_, start, end
    for _ in range(_STEPS):
        x = x1 + t * (x2 - x1)
        f = rising(x)
        same = (f >= 0) == (f1 >= 0)
        x3, f3 = np.where(same, x1, x2), np.where(same, f1, f2)
        x2, f2 = np.where(same, x2, x1), np.where(same, f2, f1)
        x1, f1 = x, f
        # A root that is hit exactly needs no neighbour.
        x2 = np.where(f == 0, x1, x2)
        width = np.abs(x2 - x1)
        near = _RELATIVE * np.maximum(np.abs(x1), np.abs(x2)) + least
        lower = np.where(is_found, lower, np.minimum(x1, x2))
        upper = np.where(is_found, upper, np.maximum(x1, x2))
        is_found = is_found | np.all(width <= 2 * near, axis=others, keepdims=True)
        if np.all(is_found):
            break
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            margin = np.minimum(near / width, 0.5)
            t = np.clip(_interpolated(x1, x2, x3, f1, f2, f3), margin, 1 - margin)
        t = np.where(np.isfinite(t), t, 0.5)
    return lower, upper


def _interpolated(
    x1: FloatArray, x2: FloatArray, x3: FloatArray, f1: FloatArray, f2: FloatArray, f3: FloatArray
) -> FloatArray:
    """The share of the way from x1 to x2; half where the three points are no good parabola."""
    xi, phi = (x1 - x2) / (x3 - x2), (f1 - f2) / (f3 - f2)
    safe = (phi**2 < xi) & ((1 - phi) ** 2 < 1 - xi)
    first = f1 / (f2 - f1) * f3 / (f2 - f3)
    second = (x3 - x1) / (x2 - x1) * f1 / (f3 - f1) * f2 / (f3 - f2)
    return np.where(safe, first + second, 0.5)
