"""What has a configured split of its own: a stretch of time, and the requests of a route rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from analysis.arrays import BoolArray, IntArray, np


@dataclass(frozen=True, slots=True)
class Stage:
    """A stretch of time with one configured split.

    start_ms, end_ms: milliseconds since the epoch, start included, end not.
    shares: configured share of the traffic by variant, summing to 1; empty if none is configured.
    """

    start_ms: int
    end_ms: int
    shares: dict[str, float]

    def is_without(self, variant: str) -> bool:
        """Whether the variant is configured to have no traffic."""
        return self.shares.get(variant) == 0


@dataclass(frozen=True, slots=True)
class RequestCohort:
    """The requests under one route rule; shares: its split, empty where the plan's stages hold.

    told_by: the labels that tell it, as in a sentence.
    """

    name: str
    shares: dict[str, float]
    told_by: str

    def is_without(self, variant: str) -> bool:
        """Whether the variant is configured to have no traffic in it."""
        return self.shares.get(variant) == 0

    def split_of(self, stages: Sequence[Stage]) -> tuple[Stage, ...]:
        """The plan's stages with the cohort's own split, where it has one."""
        if not self.shares:
            return tuple(stages)
        return tuple(replace(stage, shares=self.shares) for stage in stages)


def are_without(variant: str, stages: Sequence[Stage], stage: IntArray) -> BoolArray:
    """bool[buckets]: whether the variant has no traffic; stage: int64[buckets], each one's."""
    return np.array([each.is_without(variant) for each in stages], np.bool_)[stage]


def have_most(variant: str, stages: Sequence[Stage], stage: IntArray) -> BoolArray:
    """bool[buckets]: whether the variant has half of the most traffic that it has beside others.

    True where no split is configured; stage: int64[buckets], each one's.
    """
    shares = np.array([each.shares.get(variant, 0.0) for each in stages])
    most = shares[shares < 1].max(initial=0.0)
    return np.asarray((shares >= most / 2)[stage] & ~are_without(variant, stages, stage))
