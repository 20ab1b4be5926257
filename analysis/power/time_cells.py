"""The stretches of time in which detection is simulated: buckets, in long plans several as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.arrays import FloatArray, IntArray

# So many buckets are simulated one by one; after them so many cells each of 2, 4, 8 ... buckets.
_ALONE, _CELLS_OF_A_WIDTH = 240, 60


@dataclass(frozen=True, slots=True)
class TimeCells:
    """Stretches of time that are simulated as one: int64[cells], buckets in each and up to its end.

    What bounds say depends on the requests and on the time so far, hardly on how finely that is
    divided, once there are hundreds of parts.
    """

    widths: IntArray
    ends: IntArray

    @classmethod
    def of(cls, buckets: int, *, begin: int = 0) -> TimeCells:
        """Those of so many buckets, from the first on and once more from begin on."""
        ends = np.append(_ends(begin), begin + _ends(buckets - begin))
        return cls(np.diff(ends, prepend=0), ends)

    def mean(self, values: FloatArray) -> FloatArray:
        """Of each cell: float64[cells]; values: float64[buckets]."""
        return np.asarray(np.add.reduceat(values, self.ends - self.widths) / self.widths)

    def for_bucket(self, cells: int) -> float:
        """So many independent cells in place of a bucket, as bounds count them."""
        widths = self.widths[:cells].astype(np.float64)
        return float(widths.sum() / (widths**2).sum())

    def looks(self, every: int, most: int, *, begin: int = 0) -> Sequence[int]:
        """The cells after which one looks, thinned if there are very many; the last one always.

        Evenly, but in a plan with wide cells by ever longer steps: each longer than the last in
        proportion to the time since begin. None up to there.
        """
        every = max(1, every)
        is_look = (self.ends % every < self.widths) & (self.ends >= every) & (self.ends > begin)
        looks, last = np.flatnonzero(is_look), len(self.ends) - 1
        if len(looks) == 0:
            return [last]
        if len(self.ends) < int(self.ends[-1]):
            since = self.ends[looks] - begin
            wanted = np.geomspace(since[0], since[-1], most)
            at = np.searchsorted(since, np.floor(wanted))
            return [int(cell) for cell in np.unique([*looks[at], last])]
        step = -(-len(looks) // most)
        return [int(cell) for cell in np.unique([*looks[step - 1 :: step], last])]


def _ends(buckets: int) -> IntArray:
    """Up to which bucket each cell of so many goes; the last one is cut."""
    ends = list(range(1, min(buckets, _ALONE) + 1))
    width = 2
    while ends and ends[-1] < buckets:
        ends += [ends[-1] + width * (i + 1) for i in range(_CELLS_OF_A_WIDTH)]
        width *= 2
    return np.unique(np.minimum(np.array(ends, np.int64), buckets))
