"""Bounds of a series of looks: never above 0 at one look and below 0 at another.

A confidence sequence covers one effect at all looks at once. A look that shows a fall where an
earlier one showed a rise doesn't show two effects: it shows that the effect isn't one (users of
different times differ, or their totals drift). Then nothing is bounded any more, and what was
declared first is said to be contradicted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from analysis.arrays import FloatArray

Direction = Literal["", "higher", "lower"]


@dataclass(frozen=True, slots=True)
class BoundsOverLooks:
    """lower, upper: of each look, float64[looks]; infinite from a contradiction on.

    first: the look that first left 0 out, and on which side; None and '' if none did.
    contradicted: the first look after it that left 0 out on the other side; None if none did.
    """

    lower: FloatArray
    upper: FloatArray
    direction: Direction
    first: int | None
    contradicted: int | None


def in_one_direction(lower: FloatArray, upper: FloatArray) -> BoundsOverLooks:
    """What a series of intervals says together; lower, upper: float64[looks], in order of time."""
    low, high = np.nan_to_num(lower, nan=-np.inf), np.nan_to_num(upper, nan=np.inf)
    above, below = np.flatnonzero(low > 0), np.flatnonzero(high < 0)
    rises = above.size > 0 and (below.size == 0 or above[0] < below[0])
    own, other = (above, below) if rises else (below, above)
    if not own.size:
        return BoundsOverLooks(low, high, "", None, None)
    contradicted = int(other[0]) if other.size else None
    if contradicted is not None:
        low[contradicted:], high[contradicted:] = -np.inf, np.inf
    direction: Direction = "higher" if rises else "lower"
    return BoundsOverLooks(low, high, direction, int(own[0]), contradicted)
