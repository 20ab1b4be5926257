"""Segments of users: the effect in each, whether it differs between them, and Simpson's paradox.

Exploratory: nothing here decides. Segments are many and looked at often, so what is called notable
is so by e-values and e-BH, the one correction that holds at every look and under any dependence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from analysis.comparison import Sample, compare_means, compare_proportions
from analysis.confidence import log_e_value, two_sided_multiplier
from analysis.estimates import stratified_samples
from analysis.metric_result import Estimate
from analysis.multiplicity import e_bh

FloatArray = NDArray[np.float64]

# Below so many users of a variant a segment's variance is a guess.
_LEAST_USERS = 30


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
    effect, and one of the two is beyond chance: Simpson's paradox (1951).
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
    variants: tuple[str, str],
    samples: Mapping[str, Mapping[str, Mapping[str, Sample]]],
    *,
    is_share: bool,
    alpha: float,
    n_opt: float,
) -> SegmentTable:
    """The segments of one metric. variants: baseline and candidate.

    samples: by dimension, segment and variant. Segments with too few users are left out.
    """
    rows = [
        (dimension, segment, arms)
        for dimension, parts in samples.items()
        for segment, arms in parts.items()
        if all(float(arms[v].n) >= _LEAST_USERS for v in variants)
    ]
    if not rows:
        return SegmentTable(metric, variants[1], (), ())
    baseline, candidate = (_stack([arms[v] for _, _, arms in rows]) for v in variants)
    compare = compare_proportions if is_share else compare_means
    comparison = compare(baseline, candidate)
    users = baseline.n + candidate.n
    with np.errstate(invalid="ignore"):
        z = np.nan_to_num(comparison.statistic, nan=0.0, posinf=0.0, neginf=0.0)
    log_e = log_e_value(z, users, alpha=alpha, n_opt=n_opt)
    low, high = comparison.interval(two_sided_multiplier(users, alpha=alpha, n_opt=n_opt))
    notable = e_bh(log_e, alpha)
    effects = tuple(
        SegmentEffect(
            dimension=dimension,
            segment=segment,
            baseline=float(baseline.mean[i]),
            candidate=float(candidate.mean[i]),
            difference=Estimate(float(comparison.difference[i]), float(low[i]), float(high[i])),
            users_baseline=float(baseline.n[i]),
            users_candidate=float(candidate.n[i]),
            log_e=float(log_e[i]),
            notable=bool(notable[i]),
        )
        for i, (dimension, segment, _) in enumerate(rows)
    )
    names = np.array([dimension for dimension, _, _ in rows])
    interactions = tuple(
        _interaction(name, _part(baseline, names == name), _part(candidate, names == name))
        for name in dict.fromkeys(names.tolist())
        if np.sum(names == name) > 1
    )
    return SegmentTable(metric, variants[1], effects, interactions)


def _interaction(dimension: str, baseline: Sample, candidate: Sample) -> Interaction:
    """Whether a dimension's segments differ in effect, and whether pooling them misleads."""
    effects = candidate.mean - baseline.mean
    variances = baseline.variance_of_mean + candidate.variance_of_mean
    known = variances > 0
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
    """The difference and its standard error."""
    error = np.sqrt(baseline.variance_of_mean + candidate.variance_of_mean)
    return float(candidate.mean - baseline.mean), float(error)


def _pool(parts: Sample) -> Sample:
    """All segments of one variant as one sample."""
    n = parts.n.sum()
    mean = (parts.n * parts.mean).sum() / n
    between = (parts.n * (parts.mean - mean) ** 2).sum()
    within = (np.maximum(parts.n - 1, 0) * parts.variance).sum()
    return Sample(np.asarray(n), np.asarray(mean), np.asarray((within + between) / (n - 1)))


def _stack(samples: list[Sample]) -> Sample:
    return Sample(
        np.array([float(s.n) for s in samples]),
        np.array([float(s.mean) for s in samples]),
        np.array([float(s.variance) for s in samples]),
    )


def _part(sample: Sample, keep: NDArray[np.bool_]) -> Sample:
    return Sample(sample.n[keep], sample.mean[keep], sample.variance[keep])
