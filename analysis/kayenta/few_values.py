"""A few values of each version, 2 to 10: what an exact rank test can show, and what it can't.

No bound on a mean holds with three values of unknown spread. What is exact is to count: of all
ways to share out the values of both versions, in how many would the experiment look as harmed as it
does? The ways are those of whole intervals, of all metrics at once, and the statistic is the
largest over the metrics, so that the share of false failures is at most alpha whatever the number
of metrics and however they depend on each other (Westfall, Young 1993). With three values a side
there are 20 ways: only metrics whose values are all beyond the control's are found.

Two values a side have 6 ways, too few to count on. There a rule stands in, which is no test: of
values that differ by nothing one pair of six lies so that every one is worse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from math import comb

import numpy as np

from analysis.arrays import FloatArray

FEWEST, MOST = 2, 10
_FEWEST_WAYS = 20
# Where there are fewer ways: how far apart both versions lie at least, in what they differ by.
_CLEARLY_APART = 0.25
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Sides:
    """One harm of one metric: what is known of both versions, larger is worse: float64[values].

    What is allowed is taken off the experiment.
    """

    control: FloatArray
    experiment: FloatArray

    @property
    def ways(self) -> int:
        """How many ways there are to share the values out."""
        return comb(self.control.size + self.experiment.size, self.control.size)

    @property
    def can_be_tested(self) -> bool:
        """Whether there are enough ways for one of them to be unlikely."""
        return self.ways >= _FEWEST_WAYS

    @property
    def shift(self) -> float:
        """The median of the differences (Hodges, Lehmann 1963): harm beyond what is allowed."""
        return float(np.median(self.experiment[:, None] - self.control))

    @property
    def apart(self) -> bool:
        """Whether every value of the experiment is worse than every one of the control."""
        return self._gap > 0

    @property
    def is_clear(self) -> bool:
        """Whether they lie so far apart that it counts where nothing can be tested."""
        return self.apart and self._gap >= _CLEARLY_APART * self.shift

    @property
    def _gap(self) -> float:
        return float(self.experiment.min() - self.control.max())


@dataclass(frozen=True, slots=True)
class FewValuesTest:
    """p_value: of no harm beyond what is allowed, over all metrics; alone: of this one only."""

    p_value: float
    alone: float


def beyond_margin(
    control: FloatArray, experiment: FloatArray, *, decrease: bool, relative: float, absolute: float
) -> Sides:
    """Both versions' values, the experiment's less what is allowed, turned so that more is worse.

    The relative part scales values that are never negative, and shifts others by a part of their
    size.
    """
    values = np.concatenate([control, experiment])
    sign = -1.0 if decrease else 1.0
    if values.size and values.min() >= 0:
        allowed = (experiment - sign * absolute) / (1 + sign * min(relative, 1 - 1e-9))
    else:
        size = float(np.median(np.abs(values))) if values.size else 0.0
        allowed = experiment - sign * (absolute + relative * size)
    return Sides(sign * control, sign * allowed)


def few_values_tests(sides: Sequence[Sides]) -> list[FewValuesTest]:
    """The test of each harm, those with equal numbers of values together."""
    found: dict[int, FewValuesTest] = {}
    sizes = [(each.control.size, each.experiment.size) for each in sides]
    for size in dict.fromkeys(sizes):
        rows = [i for i, each in enumerate(sizes) if each == size]
        tests = _counted([sides[i] for i in rows], *size)
        # Groups of metrics share alpha by their number.
        for i, test in zip(rows, tests, strict=True):
            found[i] = FewValuesTest(min(1.0, test.p_value * len(sides) / len(rows)), test.alone)
    return [found[i] for i in range(len(sides))]


def _counted(sides: Sequence[Sides], n: int, m: int) -> list[FewValuesTest]:
    """By counting the ways to choose which of the values are the experiment's."""
    is_experiment = _ways(n, m)
    seen = int(np.flatnonzero(is_experiment[:, n:].all(axis=1))[0])
    # Harm within what is allowed mustn't look like a gain, which is as far apart the other way.
    values = [
        np.concatenate([each.control, each.experiment - min(each.shift, 0.0)]) for each in sides
    ]
    statistics = np.stack([_statistics(is_experiment, each, n * m) for each in values], axis=-1)
    largest = statistics.max(axis=-1)
    return [
        FewValuesTest(
            float(np.mean(largest >= statistics[seen, k] - _ROUNDING)),
            float(np.mean(statistics[:, k] >= statistics[seen, k] - _ROUNDING)),
        )
        for k in range(len(sides))
    ]


@lru_cache(maxsize=4)
def _ways(n: int, m: int) -> FloatArray:
    """1 where one of n + m values is of the experiment's m: float64[ways, values]."""
    chosen = np.array(list(combinations(range(n + m), m)))
    found = np.zeros((len(chosen), n + m))
    np.put_along_axis(found, chosen, values=1.0, axis=1)
    return found


def _statistics(is_experiment: FloatArray, values: FloatArray, pairs: int) -> FloatArray:
    """Of each way: the share of pairs in which the experiment is worse, ties half.

    Equal shares differ by the part of the variance that lies between both versions; values are
    known to the least step between any of them, so counts of 0 and 1 aren't far apart.
    """
    below = (values[:, None] > values).sum(axis=1)
    ranks = below + (values[:, None] == values).sum(axis=1) / 2
    m = int(is_experiment[0].sum())
    wins = is_experiment @ ranks - m * m / 2
    steps = np.diff(np.unique(values))
    off = values - values.mean()
    total = (off**2).sum() + values.size * (steps.min(initial=np.inf) if steps.size else 0) ** 2 / 4
    between = (is_experiment @ off) ** 2 * values.size / pairs
    part = np.divide(between, total, out=np.zeros_like(between), where=total > 0)
    return np.asarray((wins + part / 2) / pairs)
