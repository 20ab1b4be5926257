"""Rows of the warehouse that have numbers for their places, summed on a look's grid."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from analysis.arrays import FloatArray


def on_grid(
    amounts: ArrayLike, places: tuple[ArrayLike, ...], shape: tuple[int, ...]
) -> FloatArray:
    """The sum of the amounts of each place: float64[shape], 0 where there is no row.

    places: by dimension of the grid, the index of each row.
    """
    at = tuple(np.asarray(place, dtype=np.int64) for place in places)
    flat = np.ravel_multi_index(at, shape) if math.prod(shape) else np.zeros(0, np.int64)
    weights = np.asarray(amounts, dtype=np.float64)
    return np.asarray(np.bincount(flat, weights, math.prod(shape)).reshape(shape), np.float64)
