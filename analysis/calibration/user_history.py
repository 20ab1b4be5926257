"""The users of an experiment, each with a final value, in the order in which they came."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.arrays import FloatArray, IntArray
from analysis.users.estimates import Quantity


@dataclass(frozen=True, slots=True)
class UserHistory:
    """One metric's users, of all variants.

    final_ms: int64[users], ascending: when each value became final, since the first exposure.
    values: float64[users, q], as distances to shift float64[q]: everything that value and
    covariates are made of. is_share: the value is 0 or 1.
    arrivals_ms: int64[exposed], ascending: when users came, whether final or not.
    """

    metric: str
    final_ms: IntArray
    arrivals_ms: IntArray
    values: FloatArray
    shift: FloatArray
    value: Quantity
    covariates: tuple[Quantity, ...]
    is_share: bool

    @property
    def users(self) -> int:
        """How many have a final value."""
        return len(self.final_ms)

    @property
    def mean(self) -> float:
        """The metric over all users."""
        means = self.values.mean(axis=0) + self.shift
        below = self.value.denominator
        return float(means[self.value.numerator] / (1.0 if below is None else means[below]))
