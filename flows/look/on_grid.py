"""Rows of the warehouse that have numbers for their places, summed on a look's grid."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.arrays import FloatArray, IntArray


def on_grid(
    amounts: ArrayLike, places: tuple[ArrayLike, ...], shape: tuple[int, ...]
) -> FloatArray:
    """The sum of the amounts of each place: float64[shape], 0 where there is no row.

    places: by dimension of the grid, the index of each row.
    """
    return GridCells.of(places, shape).sums(amounts)


@dataclass(frozen=True, slots=True)
class GridCells:
    """In which cell of a grid each row lies."""

    at: IntArray
    shape: tuple[int, ...]

    @classmethod
    def of(cls, places: tuple[ArrayLike, ...], shape: tuple[int, ...]) -> GridCells:
        """By dimension of the grid, the index of each row."""
        at = np.array(places[0], dtype=np.int64)
        for place, size in zip(places[1:], shape[1:], strict=True):
            at *= size
            at += np.asarray(place)
        return cls(at if math.prod(shape) else np.zeros(0, np.int64), shape)

    @property
    def rows(self) -> IntArray:
        """How many rows each cell has: int64[shape]."""
        return np.bincount(self.at, minlength=math.prod(self.shape)).reshape(self.shape)

    def sums(self, amounts: ArrayLike) -> FloatArray:
        """The sum of the amounts of each cell: float64[shape]."""
        weights = np.asarray(amounts, dtype=np.float64)
        if not weights.any():
            return np.zeros(self.shape)
        found = np.bincount(self.at, weights, math.prod(self.shape))
        return np.asarray(found.reshape(self.shape), np.float64)


def steps_since(at_us: ArrayLike, since_ms: int, step_ms: int) -> IntArray:
    """In which of the steps of so many milliseconds since a time each instant lies, from 0 on.

    at_us: as epoch_us has them; DuckDB takes several times as long to divide them.
    """
    return np.asarray((np.asarray(at_us) - 1000 * since_ms) // (1000 * step_ms), np.int64)


def distinct(values: NDArray[Any]) -> tuple[NDArray[Any], IntArray]:
    """The values that there are, in rising order, and the place among them of each.

    As np.unique has it, but a sort of runs alone: a table's rows mostly repeat the one before.
    """
    if not values.size:
        return values, np.zeros(0, np.int64)
    begin = np.flatnonzero(np.append(True, values[1:] != values[:-1]))
    found, at = np.unique(values[begin], return_inverse=True)
    return found, np.repeat(at, np.diff(np.append(begin, values.size)))
