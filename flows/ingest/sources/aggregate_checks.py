"""What sums over users can't be: too large to compute with, or impossible beside each other.

The sums of n users are those of some values only if every square and product lies where the others
allow it (Cauchy-Schwarz): a covariate's product that is too large would take all variance away.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Sums beyond this would overflow in the products of variances that tests are made of; squares
# below its inverse would vanish in them.
LARGEST_SUM = 1e60
LARGEST_SQUARES = LARGEST_SUM**2
MOST_USERS = 1e15
_ROUNDING = 1e-9  # of sums that another system computed, relative


@dataclass(frozen=True, slots=True)
class Summed:
    """One quantity's sum and sum of squares about its shift."""

    shift: float
    total: float
    squares: float

    def centred(self, n: float) -> float:
        """n times the sum of squares about the mean; below 0 if the two contradict each other."""
        return n * self.squares - self.total**2


def named(prefix: str, what: str) -> str:
    """The field of a quantity: sum of the value, covariate_sum of the covariate."""
    return f"{prefix}_{what}" if prefix else what


def contradictions(
    n: float, summed: Mapping[str, Summed], products: Mapping[tuple[str, str], tuple[str, float]]
) -> Iterator[str]:
    """What can't be in one row, each with its field, its value and what would be right.

    summed: by prefix ("" is the value). products: by two prefixes, the field and its value.
    """
    found = list(_out_of_range(n, summed, products))
    if not found and n == 0:
        found = list(_of_nobody(summed, products))
    if not found:
        found = list(_impossible_squares(n, summed))
    if not found:
        found = list(_impossible_products(n, summed, products))
    if not found and not _fit_together(n, summed, products):
        fields = ", ".join(field for field, _ in products.values())
        found = [f"{fields} can't all be of the same users: check them against each other"]
    yield from found


def _out_of_range(
    n: float, summed: Mapping[str, Summed], products: Mapping[tuple[str, str], tuple[str, float]]
) -> Iterator[str]:
    if n > MOST_USERS:
        yield f"n is {n:g}, must be at most {MOST_USERS:g} users"
    for prefix, one in summed.items():
        for what, value in (("sum", one.total), ("shift", one.shift * max(n, 1.0))):
            if abs(value) > LARGEST_SUM:
                shown = one.total if what == "sum" else one.shift
                yield (
                    f"{named(prefix, what)} is {shown:g}, its size must be at most "
                    f"{LARGEST_SUM:g} over all users: give the values in a larger unit"
                )
        if one.squares > LARGEST_SQUARES:
            yield (
                f"{named(prefix, 'sum_squares')} is {one.squares:g}, must be at most "
                f"{LARGEST_SQUARES:g}: give the values in a larger unit"
            )
        if 0 < one.squares < 1 / LARGEST_SQUARES:
            yield (
                f"{named(prefix, 'sum_squares')} is {one.squares:g}, must be 0 or at least "
                f"{1 / LARGEST_SQUARES:g}: give the values in a smaller unit"
            )
    for field, value in products.values():
        if abs(value) > LARGEST_SQUARES:
            yield f"{field} is {value:g}, its size must be at most {LARGEST_SQUARES:g}"


def _of_nobody(
    summed: Mapping[str, Summed], products: Mapping[tuple[str, str], tuple[str, float]]
) -> Iterator[str]:
    fields = [
        (named(prefix, what), value)
        for prefix, one in summed.items()
        for what, value in (("sum", one.total), ("sum_squares", one.squares))
    ]
    for field, value in (*fields, *products.values()):
        if value != 0:
            yield f"{field} is {value:g}, must be 0 where n is 0"


def _impossible_squares(n: float, summed: Mapping[str, Summed]) -> Iterator[str]:
    for prefix, one in summed.items():
        if n > 0 and one.centred(n) < -_ROUNDING * one.total**2:
            yield (
                f"{named(prefix, 'sum_squares')} is {one.squares:g}, must be at least "
                f"{named(prefix, 'sum')}^2 / n ({one.total**2 / n:g})"
            )


def _impossible_products(
    n: float, summed: Mapping[str, Summed], products: Mapping[tuple[str, str], tuple[str, float]]
) -> Iterator[str]:
    for (first, second), (field, value) in products.items():
        a, b = summed[first], summed[second]
        if n == 0:
            continue
        widest = math.sqrt(max(a.centred(n), 0.0)) * math.sqrt(max(b.centred(n), 0.0))
        slack = _ROUNDING * n * math.sqrt(a.squares) * math.sqrt(b.squares)
        centre, reach = a.total * b.total, widest + slack
        if abs(n * value - centre) > reach:
            yield (
                f"{field} is {value:g}, must lie between {(centre - widest) / n:g} and "
                f"{(centre + widest) / n:g}: as far as the sums and squares of both allow"
            )


def _fit_together(
    n: float, summed: Mapping[str, Summed], products: Mapping[tuple[str, str], tuple[str, float]]
) -> bool:
    """Whether three correlations, each possible by itself, are possible together."""
    names = list(summed)
    if n == 0 or len(names) < 3:
        return True
    correlation: NDArray[np.float64] = np.eye(len(names))
    for (first, second), (_, value) in products.items():
        i, j = names.index(first), names.index(second)
        a, b = summed[first], summed[second]
        scale = math.sqrt(max(a.centred(n), 0.0)) * math.sqrt(max(b.centred(n), 0.0))
        covariance = n * value - a.total * b.total
        # Below this share of the sums themselves a variance is rounding, and says nothing.
        known = scale > _ROUNDING * n * math.sqrt(a.squares) * math.sqrt(b.squares)
        correlation[i, j] = correlation[j, i] = covariance / scale if known else 0.0
    return bool(np.linalg.eigvalsh(correlation)[0] > -1e-6)
