"""A metric compared within strata, and within the plan's splits where these changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from analysis.comparison import Sample
from analysis.estimates import adjust, sample_of
from analysis.post_strata import Stratified, post_stratify
from analysis.splits import compare_within_splits
from analysis.sums import Sums
from flows.spec import Experiment
from flows.unit_quantities import MetricQuantities
from flows.unit_strata import dimension_name
from flows.unit_sums import CohortSums, Part


def compare_within_strata(
    spec: Experiment,
    strata: Sequence[str],
    places: MetricQuantities,
    sums: CohortSums,
) -> Stratified:
    """One metric within its strata; users whose segments aren't known are a stratum too."""
    if len(sums.by_split) < 2:
        cells = _cells(spec, strata, sums.whole)
        found = post_stratify(_baseline_first(spec, cells), places.value, places.covariates)
        return replace(found, samples=_as_in_spec(spec, found.samples))
    cells = _of_every_split(sums, lambda parts: _cells(spec, strata, parts))
    samples = compare_within_splits(cells, places.value, places.covariates)
    plain = compare_within_splits(_whole(spec, sums, ("", "")), places.value)
    return Stratified(samples, _removed(plain, samples), len(cells[0]))


def compare_part(
    spec: Experiment, places: MetricQuantities, sums: CohortSums, part: tuple[str, str]
) -> tuple[tuple[Sample, ...], float]:
    """One metric of some users (all, or a segment), each split's compared among themselves.

    Returns every variant's estimate and the share of their variance that covariates removed.
    """
    if len(sums.by_split) < 2:
        moments = [_of(sums.whole, (variant, *part)).moments for variant in spec.variants]
        if places.covariates:
            adjusted = adjust(moments, places.value, places.covariates)
            return adjusted.samples, float(adjusted.variance_removed)
        return tuple(sample_of(each, places.value) for each in moments), 0.0
    cells = _whole(spec, sums, part)
    samples = compare_within_splits(cells, places.value, places.covariates)
    plain = compare_within_splits(cells, places.value) if places.covariates else samples
    return samples, _removed(plain, samples)


def _whole(spec: Experiment, sums: CohortSums, part: tuple[str, str]) -> list[list[Sums]]:
    """For each variant, a part's users under every split."""
    return _of_every_split(
        sums, lambda parts: [[_of(parts, (variant, *part))] for variant in spec.variants]
    )


def _removed(before: Sequence[Sample], after: Sequence[Sample]) -> float:
    whole, left = (sum(float(s.variance_of_mean) for s in each) for each in (before, after))
    return (whole - left) / whole if np.isfinite(whole) and whole > 0 else 0.0


def _of_every_split(
    sums: CohortSums, cells_of: Callable[[Mapping[Part, Sums]], list[list[Sums]]]
) -> list[list[Sums]]:
    """For each variant, the cells of every split one after the other."""
    by_split = [cells_of(parts) for _, parts in sorted(sums.by_split.items())]
    return [[cell for arms in by_split for cell in arms[i]] for i in range(len(by_split[0]))]


def _cells(spec: Experiment, strata: Sequence[str], parts: Mapping[Part, Sums]) -> list[list[Sums]]:
    """For each variant of the spec, the sums of every stratum in the same order."""
    dimension = dimension_name(strata)
    names = sorted({part for _, of, part in parts if of == dimension})
    arms = []
    for variant in spec.variants:
        cells = [_of(parts, (variant, dimension, name)) for name in names]
        arms.append([*cells, _rest(_of(parts, (variant, "", "")), cells)])
    return arms


def _of(parts: Mapping[Part, Sums], part: Part) -> Sums:
    """The sums of a part, or of nobody."""
    found = parts.get(part)
    if found is not None:
        return found
    shift = next((each.shift for each in parts.values()), np.zeros(0))
    q = len(shift)
    return Sums(np.array(0.0), shift, np.zeros(q), np.zeros((q, q)))


# The baseline comes first where what strata add to the variance is of differences to it.


def _baseline_first(spec: Experiment, arms: Sequence[list[Sums]]) -> list[list[Sums]]:
    by_name = dict(zip(spec.variants, arms, strict=True))
    return [by_name[v] for v in (spec.baseline, *spec.candidates)]


def _as_in_spec(spec: Experiment, samples: Sequence[Sample]) -> tuple[Sample, ...]:
    by_name = dict(zip((spec.baseline, *spec.candidates), samples, strict=True))
    return tuple(by_name[v] for v in spec.variants)


def _rest(whole: Sums, parts: Sequence[Sums]) -> Sums:
    """Users in no part; all sums are about the same shift."""
    n, total, products = whole.n, whole.total, whole.products
    for part in parts:
        n, total, products = n - part.n, total - part.total, products - part.products
    if float(n) == 0:
        return Sums(n, whole.shift, np.zeros_like(total), np.zeros_like(products))
    return Sums(n, whole.shift, total, products)
