"""Answers over all variants of a metric, and over its segments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from analysis.arrays import FloatArray
from analysis.fixed.comparison import Sample
from analysis.fixed.several_variants import (
    Heterogeneity,
    compare_means,
    compare_shares,
    compare_split,
)
from analysis.judge.segments import compare_segments
from analysis.sequential.e_values import SequentialTest, always_valid_p
from analysis.sequential.multinomial import compare_shares as compare_split_at_every_look
from flows.aggregates.analyzed_document import OverVariants, SegmentsDiffer, SplitShare
from flows.aggregates.group_estimates import Estimated
from flows.aggregates.groups import Group

_Arms = dict[str, Sample]


def over_variants(
    estimated: Sequence[Estimated], *, alpha: float, n_opt: float
) -> Iterator[OverVariants]:
    """One row per metric and segment, shape by shape."""
    for part in estimated:
        users, means, variances = (
            np.stack([getattr(sample, name) for sample in part.samples], axis=-1)
            for name in ("n", "mean", "variance")
        )
        found = _heterogeneity(part, Sample(users, means, variances))
        split = compare_split(users, part.share)
        known = np.isfinite(part.share).all(axis=-1) & (users.sum(axis=-1) > 0)
        null = np.where(known[:, None], part.share, 1.0)
        always = compare_split_at_every_look(users, null, alpha=alpha, n_opt=n_opt)
        log_e = np.where(known, always.log_e, np.nan)
        for i, group in enumerate(part.groups):
            yield OverVariants(
                experiment=group.identity["experiment"],
                metric=group.identity["metric"],
                segment=group.identity["segment"],
                variants=group.variants,
                test="chi-square" if part.is_share else "Welch's analysis of variance",
                statistic=found.statistic[i],
                degrees=found.degrees[i],
                degrees_within=found.degrees_within[i],
                p_value=found.p_value[i],
                split_p=split.p_value[i],
                split_log_e=log_e[i],
                split_anytime_p=float(always_valid_p(log_e[i])),
                split=tuple(_split(group, users[i], always, i)) if known[i] else (),
            )


def _split(group: Group, users: FloatArray, found: SequentialTest, i: int) -> Iterator[SplitShare]:
    total = sum(group.share)
    for v, variant in enumerate(group.variants):
        yield SplitShare(
            variant=variant,
            configured=group.share[v] / total,
            observed=users[v] / users.sum(),
            lower=found.lower[i, v],
            upper=found.upper[i, v],
        )


def _heterogeneity(part: Estimated, sample: Sample) -> Heterogeneity:
    if part.is_share:
        return compare_shares(sample.n, np.nan_to_num(sample.n * sample.mean))
    return compare_means(sample)


def segments_differ(
    estimated: Sequence[Estimated], *, alpha: float, n_opt: float
) -> Iterator[SegmentsDiffer]:
    """One row per metric, candidate and dimension that has two or more segments of enough users.

    A segment named "country = DE" is one of the dimension country; without "=" of one without name.
    """
    for (experiment, metric, baseline), (is_share, dimensions) in _by_metric(estimated).items():
        candidates = dict.fromkeys(
            name
            for parts in dimensions.values()
            for arms in parts.values()
            for name in arms
            if name != baseline
        )
        for candidate in candidates:
            shared = {
                dimension: {
                    name: (arms[baseline], arms[candidate])
                    for name, arms in parts.items()
                    if candidate in arms
                }
                for dimension, parts in dimensions.items()
            }
            table = compare_segments(
                metric, candidate, shared, is_share=is_share, alpha=alpha, n_opt=n_opt
            )
            for one in table.interactions:
                yield SegmentsDiffer(
                    experiment=experiment,
                    metric=metric,
                    baseline=baseline,
                    candidate=candidate,
                    dimension=one.dimension,
                    segments=sum(e.dimension == one.dimension for e in table.effects),
                    p_value=one.p_value,
                    pooled=one.pooled,
                    stratified=one.stratified,
                    reversed=one.reversed,
                )


def _by_metric(
    estimated: Sequence[Estimated],
) -> dict[tuple[str, str, str], tuple[bool, dict[str, dict[str, _Arms]]]]:
    """By experiment, metric and baseline: whether it is a share, and samples by dimension,
    segment and variant."""
    found: dict[tuple[str, str, str], tuple[bool, dict[str, dict[str, _Arms]]]] = {}
    for part in estimated:
        for i, group in enumerate(part.groups):
            if not group.identity["segment"]:
                continue
            key = tuple(group.identity[name] for name in ("experiment", "metric", "baseline"))
            dimension, _, name = group.identity["segment"].rpartition("=")
            _, dimensions = found.setdefault((key[0], key[1], key[2]), (part.is_share, {}))
            dimensions.setdefault(dimension.strip(), {})[name.strip()] = {
                variant: Sample(sample.n[i], sample.mean[i], sample.variance[i])
                for variant, sample in zip(group.variants, part.samples, strict=True)
            }
    return found
