"""Whether values are those of a counter, whose level says how long it has run."""

from __future__ import annotations

import numpy as np

from analysis.arrays import FloatArray

# So many values that never fall are no chance: one order of 11! is.
_FEWEST, _MOSTLY = 11, 0.5


def only_grows(values: FloatArray, *, resets: bool = False) -> bool:
    """Whether enough values, without those that aren't finite, never fall and mostly rise.

    resets: whether a fall to at most half, as a counter's that begins again, is none.
    """
    known = values[np.isfinite(values)]
    steps = np.diff(known)
    falls = (steps < 0) & (known[1:] > known[:-1] / 2) if resets else steps < 0
    return bool(known.size >= _FEWEST and not falls.any() and np.mean(steps > 0) >= _MOSTLY)
