"""Segments of users: the effect in each, whether it differs between them, and Simpson's paradox.

Exploratory: nothing here decides. Segments are many and looked at often, so what is called notable
is so by e-values and e-BH, the one correction that holds at every look and under any dependence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from analysis.fixed.comparison import Pair, Sample, difference_of, standard_error
from analysis.metric_result import Estimate
from analysis.scorecard.scorecard import Cells, make_scorecard
from analysis.users.estimates import stratified_samples
from analysis.users.guarded_comparison import compare_guarded

_Row = tuple[str, str, Pair]

# Below so many users of a variant a segment's variance is a guess.
_LEAST_USERS = 30
# Below so many expected successes or failures of a variant a share isn't near normal.
_LEAST_EXPECTED = 5


@dataclass(frozen=True, slots=True)
class SegmentEffect:
    """One metric in one segment: candidate minus baseline, with bounds that hold at every look.

    notable: the effect isn't zero, with a false discovery rate of alpha over all segments.
    """

    dimension: str
    segment: str
    baseline: float
    candidate: float
    difference: Estimate
    users_baseline: float
    users_candidate: float
    log_e: float
    notable: bool


@dataclass(frozen=True, slots=True)
class Interaction:
    """One dimension of one metric, for a single look.

    p_value: of equal effects in all segments (Cochran 1954). stratified: the effect with each
    segment weighed by its share of all users. reversed: it points the other way than the pooled
    effect, and one of the two is beyond chance: Simpson's paradox (1951). Of a share, segments in
    which a variant expects fewer than five successes or failures don't count here.
    """

    dimension: str
    p_value: float
    pooled: float
    stratified: float
    reversed: bool


@dataclass(frozen=True, slots=True)
class SegmentTable:
    """All segments of one metric and candidate."""

    metric: str
    candidate: str
    effects: tuple[SegmentEffect, ...]
    interactions: tuple[Interaction, ...]


def compare_segments(
    metric: str,
    candidate: str,
    samples: Mapping[str, Mapping[str, Pair]],
    *,
    is_share: bool,
    alpha: float,
    n_opt: float,
) -> SegmentTable:
    """The segments of one metric and candidate.

    Effects and their evidence are a scorecard's at every look. samples: by dimension and segment,
    the baseline's and the candidate's. Segments with too few users are left out.
    """
    rows = [
        (dimension, segment, variants)
        for dimension, parts in samples.items()
        for segment, variants in parts.items()
        if all(float(variant.n) >= _LEAST_USERS for variant in variants)
    ]
    if not rows:
        return SegmentTable(metric, candidate, (), ())
    left, right = (Sample.stacked([variants[i] for _, _, variants in rows]) for i in (0, 1))
    card = make_scorecard(
        Cells(
            left,
            right,
            np.full(len(rows), is_share),
            np.zeros(len(rows), dtype=np.int64),
            np.full(len(rows), np.nan),
        ),
        alpha=alpha,
        n_opt=n_opt,
    )
    low, high = card.anytime.lower, card.anytime.upper
    effects = tuple(
        SegmentEffect(
            dimension=dimension,
            segment=segment,
            baseline=float(left.mean[i]),
            candidate=float(right.mean[i]),
            difference=Estimate(float(card.difference[i]), float(low[i]), float(high[i])),
            users_baseline=float(left.n[i]),
            users_candidate=float(right.n[i]),
            log_e=float(card.log_e[i]),
            notable=bool(card.discovery[i]),
        )
        for i, (dimension, segment, _) in enumerate(rows)
    )
    interactions = tuple(_interactions(rows, left, right, is_share=is_share))
    return SegmentTable(metric, candidate, effects, interactions)


def _interactions(
    rows: list[_Row], baseline: Sample, candidate: Sample, *, is_share: bool
) -> Iterator[Interaction]:
    """Of every dimension of which two segments can be compared."""
    names = np.array([dimension for dimension, _, _ in rows])
    enough = _near_normal(baseline, candidate) if is_share else np.full(len(rows), fill_value=True)
    # Chance can't bring a guarded variance near zero, in which a segment would outweigh all others.
    guarded = compare_guarded(baseline, candidate, is_share=is_share)
    for name in dict.fromkeys(names.tolist()):
        kept = (names == name) & enough
        if kept.sum() > 1:
            yield _interaction(name, guarded.baseline.part(kept), guarded.candidate.part(kept))


def _near_normal(baseline: Sample, candidate: Sample) -> NDArray[np.bool_]:
    """Whether both variants expect some successes and failures, without an effect: bool[segments].

    Expected, not found: to leave out what came out as zero would itself bias what is left.
    """
    share = (baseline.n * baseline.mean + candidate.n * candidate.mean) / (baseline.n + candidate.n)
    least = np.minimum(baseline.n, candidate.n) * np.minimum(share, 1 - share)
    return np.asarray(least >= _LEAST_EXPECTED)


def _interaction(dimension: str, baseline: Sample, candidate: Sample) -> Interaction:
    """Whether a dimension's segments differ in effect, and whether pooling them misleads."""
    effects = candidate.mean - baseline.mean
    variances = baseline.variance_of_mean + candidate.variance_of_mean
    known = np.isfinite(variances)
    weights = np.divide(1.0, variances, out=np.zeros_like(variances), where=known)
    centre = float((weights * effects).sum() / weights.sum()) if weights.sum() > 0 else 0.0
    statistic = float((weights * (effects - centre) ** 2).sum())
    degrees = int(known.sum()) - 1
    pooled, pooled_error = _difference(_pool(baseline), _pool(candidate))
    (left, right), _ = stratified_samples([baseline, candidate])
    stratified, stratified_error = _difference(left, right)
    beyond_chance = abs(pooled) > 1.96 * pooled_error or abs(stratified) > 1.96 * stratified_error
    return Interaction(
        dimension=dimension,
        p_value=float(chdtrc(degrees, statistic)) if degrees > 0 else 1.0,
        pooled=pooled,
        stratified=stratified,
        reversed=bool(pooled * stratified < 0 and beyond_chance),
    )


def _difference(baseline: Sample, candidate: Sample) -> tuple[float, float]:
    """The difference and its standard error, infinite where nobody differs from another."""
    return float(difference_of(baseline, candidate)), float(standard_error(baseline, candidate))


def _pool(parts: Sample) -> Sample:
    """All segments of one variant as one sample."""
    n = parts.n.sum()
    mean = (parts.n * parts.mean).sum() / n
    between = (parts.n * (parts.mean - mean) ** 2).sum()
    within = (np.maximum(parts.n - 1, 0) * parts.variance).sum()
    return Sample(np.asarray(n), np.asarray(mean), np.asarray((within + between) / (n - 1)))
