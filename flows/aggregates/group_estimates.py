"""From grouped sums to one estimate per variant, all groups of one shape at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.arrays import FloatArray
from analysis.fixed.comparison import Sample, proportion_sample
from analysis.users.estimates import Quantity, adjust, sample_of
from analysis.users.post_stratification import post_stratify
from analysis.users.sums import Moments
from flows.aggregates.groups import Group, Shape
from flows.ingest.sources.aggregate_rows import COVARIATE, DENOMINATOR, VALUE


@dataclass(frozen=True, slots=True)
class Estimated:
    """Groups of one shape, with float64[groups] for each variant, baseline first.

    removed: share of the variance that covariates and strata took away; nan without either.
    """

    groups: tuple[Group, ...]
    samples: tuple[Sample, ...]
    removed: FloatArray

    @property
    def is_share(self) -> bool:
        """Whether the estimates are plain shares of users, whose variance is p (1 - p)."""
        return self.groups[0].identity["type"] == "proportion" and bool(np.isnan(self.removed[0]))

    @property
    def share(self) -> FloatArray:
        """Configured shares of the users: float64[groups, variants]; nan where none is said."""
        return np.array([group.share for group in self.groups])


def estimate(groups: Iterable[Group]) -> list[Estimated]:
    """The estimates, group by group of one shape."""
    shapes: dict[Shape, list[Group]] = {}
    for group in groups:
        shapes.setdefault(group.shape, []).append(group)
    return [_estimate(same) for same in shapes.values()]


def _estimate(groups: Sequence[Group]) -> Estimated:
    kind, has_covariate, has_strata, variants = groups[0].shape
    moments = [_stacked([group.moments[v] for group in groups]) for v in range(variants)]
    value = Quantity(VALUE, DENOMINATOR) if kind == "ratio" else Quantity(VALUE)
    covariates = [Quantity(COVARIATE)] if has_covariate else []
    removed = np.full(len(groups), np.nan)
    if has_strata:
        within = [post_stratify(group.strata, value, covariates) for group in groups]
        samples = tuple(
            Sample.stacked([each.samples[v] for each in within]) for v in range(variants)
        )
        removed = np.array([each.variance_removed for each in within])
    elif has_covariate:
        adjusted = adjust(moments, value, covariates)
        samples, removed = adjusted.samples, adjusted.variance_removed
    else:
        samples = tuple(sample_of(each, value) for each in moments)
        if kind == "proportion":
            samples = tuple(proportion_sample(s.n, s.n * s.mean) for s in samples)
    return Estimated(tuple(groups), samples, removed)


def _stacked(moments: Sequence[Moments]) -> Moments:
    return Moments(
        *(np.stack([getattr(each, name) for each in moments]) for name in Moments.__slots__)
    )
