"""A few values of each version, 2 to 10: what an exact rank test can show, and what it can't.

No bound on a mean holds with three values of unknown spread. What is exact is to count: of all
ways to share out the values of both versions, in how many would the experiment look as harmed as it
does? The ways are those of whole intervals, of all metrics at once, and the statistic is the
largest over the metrics, so that the share of false failures is at most alpha whatever the number
of metrics and however they depend on each other (Westfall, Young 1993). With three values a side
there are 20 ways: only metrics whose values are all beyond the control's are found.

Two values a side have 6 ways, too few to count on. There a t-test stands in: it rests on values
that are near normal, and each metric has alpha to itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
from scipy.special import stdtr

from analysis.arrays import BoolArray, FloatArray

FEWEST, MOST = 2, 10
_FEWEST_TO_COUNT = 3
# Ties of ranks are broken by the gap between both versions, in the size of the values.
_GAP_WEIGHT = 1 / 32
# Of so many ways ties are a small part.
_MANY_WAYS = 1_000
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Sides:
    """One harm of one metric: what is known of both versions, larger is worse: float64[values].

    What is allowed is taken off the experiment.
    """

    control: FloatArray
    experiment: FloatArray

    @property
    def are_few(self) -> bool:
        """Whether each has from 2 to 10 values."""
        sizes = self.control.size, self.experiment.size
        return min(sizes) >= FEWEST and max(sizes) <= MOST

    @property
    def shift(self) -> float:
        """The median of the differences (Hodges, Lehmann 1963): harm beyond what is allowed."""
        return float(np.median(self.experiment[:, None] - self.control))

    @property
    def apart(self) -> bool:
        """Whether every value of the experiment is worse than every one of the control."""
        return bool(self.experiment.min() > self.control.max())


@dataclass(frozen=True, slots=True)
class FewValuesTest:
    """p_value: of no harm beyond what is allowed, over all metrics; alone: of this one only.

    ways: how many ways there are to share the values out; 0 where a t-test stands in.
    """

    p_value: float
    alone: float
    ways: int


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
        some = [sides[i] for i in rows]
        tests = _counted(some, *size) if min(size) >= _FEWEST_TO_COUNT else map(_by_t, some)
        # Groups of metrics share alpha by their number.
        share = len(sides) / len(rows) if min(size) >= _FEWEST_TO_COUNT else 1.0
        for i, test in zip(rows, tests, strict=True):
            p_value = min(1.0, test.p_value * share)
            found[i] = FewValuesTest(p_value, test.alone, test.ways)
    return [found[i] for i in range(len(sides))]


def _counted(sides: Sequence[Sides], n: int, m: int) -> list[FewValuesTest]:
    """By counting the ways to choose which of the values are the experiment's."""
    is_experiment = _ways(n, m)
    values = [np.concatenate([each.control, each.experiment]) for each in sides]
    seen = int(np.flatnonzero(is_experiment[:, n:].all(axis=1))[0])
    statistics = np.stack([_statistics(is_experiment, each, n * m) for each in values], axis=-1)
    largest = statistics.max(axis=-1)
    return [
        FewValuesTest(
            float(np.mean(largest >= statistics[seen, k] - _ROUNDING)),
            float(np.mean(statistics[:, k] >= statistics[seen, k] - _ROUNDING)),
            len(is_experiment),
        )
        for k in range(len(sides))
    ]


@lru_cache(maxsize=4)
def _ways(n: int, m: int) -> BoolArray:
    """Which of n + m values are the experiment's m: bool[ways, values], at most 184,756 ways."""
    chosen = np.array(list(combinations(range(n + m), m)))
    found = np.zeros((len(chosen), n + m), dtype=np.bool_)
    np.put_along_axis(found, chosen, values=True, axis=1)
    return found


def _statistics(is_experiment: BoolArray, values: FloatArray, pairs: int) -> FloatArray:
    """Of each way: the share of pairs in which the experiment is worse, ties half, and the gap."""
    below = (values[:, None] > values).sum(axis=1)
    ranks = below + (values[:, None] == values).sum(axis=1) / 2
    m = int(is_experiment[0].sum())
    wins = is_experiment @ ranks - m * m / 2
    if len(is_experiment) > _MANY_WAYS:
        return np.asarray(wins / pairs)
    lowest = np.where(is_experiment, values, np.inf).min(axis=1)
    highest = np.where(is_experiment, -np.inf, values).max(axis=1)
    size = float(np.abs(values).mean()) or 1.0
    gap = np.clip((lowest - highest) / size, -4.0, 4.0)
    return np.asarray((wins + _GAP_WEIGHT * gap) / pairs)


def _by_t(sides: Sides) -> FewValuesTest:
    """Student's test with one variance of both versions."""
    n, m = sides.control.size, sides.experiment.size
    if not sides.apart:
        return FewValuesTest(1.0, 1.0, 0)
    squares = ((sides.control - sides.control.mean()) ** 2).sum()
    squares += ((sides.experiment - sides.experiment.mean()) ** 2).sum()
    difference = float(sides.experiment.mean() - sides.control.mean())
    error = float(np.sqrt(squares / (n + m - 2) * (1 / n + 1 / m)))
    # Equal values show no spread: what is left is that one way of six to share them out is it.
    p_value = float(stdtr(n + m - 2, -difference / error)) if error > 0 else 1 / 6
    return FewValuesTest(p_value, p_value, 0)
