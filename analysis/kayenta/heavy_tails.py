"""Series whose mean a single value decides: bounds of their shift by ranks, for one look.

Where one value of the control makes up most of its spread, means differ by chance as much as by
harm, and their bounds say nothing for hours. Ranks do: the bounds are those of the shift between
both versions (Hodges, Lehmann 1963; mann_whitney.py), widened where neighbours are alike. They see
what most values do, not rare ones: that is left to the comparison of spreads.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.special import ndtr, ndtri

from analysis.arrays import BoolArray, FloatArray
from analysis.kayenta.few_values import Sides
from analysis.kayenta.harms import medians
from analysis.kayenta.mann_whitney import location_shifts
from analysis.kayenta.series_means import SeriesMeans

# Of the sum of squares around the median, in one value: of 20 normal ones 30 % or less.
_MOST_IN_ONE = 0.5


def have_heavy_tails(values: FloatArray) -> BoolArray:
    """Whether one value makes up most of the spread of those that are known: bool[rows].

    values: float64[rows, intervals], NaN where nothing is known.
    """
    squares = (values - medians(values)[:, None]) ** 2
    squares[np.isnan(squares)] = 0.0
    whole = squares.sum(axis=1)
    return np.asarray((whole > 0) & (squares.max(axis=1) > _MOST_IN_ONE * whole))


def bounded_by_ranks(
    means: SeriesMeans, row: int, sides: Sides, *, lower_alpha: float, upper_alpha: float
) -> SeriesMeans:
    """The bounds with those of one row replaced by its shift's, each of its own one-sided level."""
    count, independent = float(means.count[row]), float(means.independent[row])
    wider = np.sqrt(count / max(independent, 1.0))
    ends = []
    for alpha in (lower_alpha, upper_alpha):
        confidence = float(2 * ndtr(-ndtri(alpha) * wider) - 1)
        found = location_shifts(
            sides.experiment[None], sides.control[None], confidence=min(confidence, 1 - 1e-12)
        )
        ends.append(found)
    value, lower, upper = float(ends[0].estimate[0]), ends[0].lower[0], ends[1].upper[0]
    error = float(upper - lower) / float(-ndtri(lower_alpha) - ndtri(upper_alpha))
    changed = {}
    for name, number in (("mean", value), ("lower", lower), ("upper", upper), ("error", error)):
        values = getattr(means, name).copy()
        values[row] = number
        changed[name] = values
    return replace(means, **changed)
