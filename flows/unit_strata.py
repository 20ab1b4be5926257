"""The parts of users that sums are kept of, and metrics that are compared within them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from analysis.post_strata import Stratified, post_stratify
from analysis.sums import Sums
from flows.spec import Experiment
from flows.unit_quantities import MetricQuantities

# Between the columns of a crossing, so that no column's name is taken for one.
_CROSSED = "\x1f"


def dimensions_of(spec: Experiment) -> Mapping[str, tuple[str, ...]]:
    """By name, the columns of every set of segments: each alone, and crossed where strata are."""
    alone = {column: (column,) for column in spec.segments}
    asked = [spec.strata_of(metric) for metric in spec.unit_metrics.values()]
    return alone | {_CROSSED.join(strata): strata for strata in asked if len(strata) > 1}


def stratified(
    spec: Experiment,
    strata: Sequence[str],
    places: MetricQuantities,
    sums: Mapping[tuple[str, str, str], Sums],
) -> Stratified:
    """One metric within its strata; users whose segments aren't known are a stratum too.

    sums: by variant, dimension and segment, those of all users under two empty texts.
    """
    dimension = _CROSSED.join(strata)
    names = sorted({part for _, of, part in sums if of == dimension})
    q = next((len(each.shift) for each in sums.values()), 0)
    nobody = Sums(np.array(0.0), np.zeros(q), np.zeros(q), np.zeros((q, q)))
    arms = []
    for variant in spec.variants:
        parts = [sums.get((variant, dimension, name), nobody) for name in names]
        whole = sums.get((variant, "", ""), nobody)
        arms.append([*parts, _rest(whole, parts)])
    # The baseline comes first: what strata add to the variance is of differences to it.
    order = (spec.baseline, *spec.candidates)
    by_name = dict(zip(spec.variants, arms, strict=True))
    found = post_stratify([by_name[v] for v in order], places.value, places.covariates)
    samples = dict(zip(order, found.samples, strict=True))
    return Stratified(
        tuple(samples[v] for v in spec.variants), found.variance_removed, found.strata
    )


def _rest(whole: Sums, parts: Sequence[Sums]) -> Sums:
    """Users in no part; all sums are about the same shift."""
    n, total, products = whole.n, whole.total, whole.products
    for part in parts:
        n, total, products = n - part.n, total - part.total, products - part.products
    if float(n) == 0:
        return Sums(n, whole.shift, np.zeros_like(total), np.zeros_like(products))
    return Sums(n, whole.shift, total, products)
