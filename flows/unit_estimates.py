"""From sums to every variant's estimate of each metric, whole and by segment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from analysis.comparison import Sample, mean_sample, proportion_sample
from analysis.estimates import adjust, sample_of
from analysis.sums import Moments, Sums
from flows.spec import Experiment
from flows.statements import statement
from flows.unit_quantities import Cohort, MetricQuantities
from flows.unit_strata import stratified
from flows.unit_sums import PartSums
from flows.unit_values import Scales, make_values

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_MICROSECOND = timedelta(microseconds=1)
_Z95 = 1.959964


@dataclass(frozen=True, slots=True)
class Estimates:
    """What has been found so far, as UnitStatistics has it; removed is its variance_removed."""

    metrics: dict[str, Mapping[str, Sample]]
    segments: dict[str, dict[str, dict[str, Mapping[str, Sample]]]]
    trends: dict[str, Mapping[str, Sample]]
    trend_days: dict[str, int]
    largest: dict[str, Mapping[str, float]]
    removed: dict[str, float]


def add_estimates(
    spec: Experiment,
    name: str,
    places: MetricQuantities,
    sums: Mapping[tuple[str, str, str], PartSums],
    found: Estimates,
) -> None:
    """Adds one metric's estimates, of all users and by segment."""
    samples, removed = _samples(spec, name, places, sums, ("", ""))
    strata = spec.strata_of(spec.unit_metrics[name])
    if strata and sums:
        within = stratified(spec, strata, places, {key: each.sums for key, each in sums.items()})
        samples = dict(zip(spec.variants, within.samples, strict=True))
        removed = within.variance_removed
    found.metrics[name] = samples
    if places.covariates or strata:
        found.removed[name] = removed
    whole = {variant: sums.get((variant, "", "")) for variant in spec.variants}
    found.largest[name] = {
        variant: float(each.largest[places.value.numerator])
        for variant, each in whole.items()
        if each and places.value.numerator in each.largest
    }
    if places.trend is not None:
        moments, q = _moments(spec, sums, ("", ""))
        if q:
            trends = [sample_of(each, places.trend) for each in moments]
            found.trends[name] = dict(zip(spec.variants, trends, strict=True))
            found.trend_days[name] = places.trend_days
    for dimension, segment in sorted({key[1:] for key in sums if key[1] in spec.segments}):
        of_segment = found.segments.setdefault(dimension, {}).setdefault(segment, {})
        of_segment[name] = _samples(spec, name, places, sums, (dimension, segment))[0]


def _samples(
    spec: Experiment,
    name: str,
    places: MetricQuantities,
    sums: Mapping[tuple[str, str, str], PartSums],
    part: tuple[str, str],
) -> tuple[dict[str, Sample], float]:
    """One metric of one part of the users, by variant, and the variance that covariates removed."""
    moments, q = _moments(spec, sums, part)
    if q and places.covariates:
        adjusted = adjust(moments, places.value, places.covariates)
        samples = adjusted.samples
        return dict(zip(spec.variants, samples, strict=True)), float(adjusted.variance_removed)
    if not q:
        empty = Sample(np.array(0.0), np.array(np.nan), np.array(np.nan))
        return dict.fromkeys(spec.variants, empty), 0.0
    samples = tuple(sample_of(each, places.value) for each in moments)
    if spec.unit_metrics[name].is_share:
        samples = tuple(proportion_sample(s.n, np.round(s.n * s.mean)) for s in samples)
    return dict(zip(spec.variants, samples, strict=True)), 0.0


def _moments(
    spec: Experiment, sums: Mapping[tuple[str, str, str], PartSums], part: tuple[str, str]
) -> tuple[list[Moments], int]:
    """Every variant's moments of some users, and the number of quantities."""
    q = next((len(each.sums.shift) for each in sums.values()), 0)
    nobody = Sums(np.array(0.0), np.zeros(q), np.zeros(q), np.zeros((q, q)))
    kept = {variant: sums.get((variant, *part)) for variant in spec.variants}
    return [(each.sums if each else nobody).moments for each in kept.values()], q


def read_quantiles(
    con: DuckDBPyConnection, spec: Experiment, name: str, cohort: Cohort, known_until: datetime
) -> dict[str, Sample]:
    """A quantile of users' totals by variant; its variance from the order statistics around it.

    The variance is infinite where users are too few for the quantile to be bounded.
    """
    until = known_until - cohort.window_us * _MICROSECOND
    con.execute(
        statement("aggregate/unit_arms"), {"experiment": spec.experiment, "look_at": known_until}
    )
    unscaled = Scales([0.0] * len(cohort.quantities), [None] * len(cohort.quantities))
    make_values(con, spec, cohort, unscaled, exposed_until=until)
    text = statement("aggregate/unit_quantiles", value="q0")
    share = spec.unit_metrics[name].quantile
    empty = Sample(np.array(0.0), np.array(np.nan), np.array(np.nan))
    samples = dict.fromkeys(spec.variants, empty)
    for variant, n, estimate, lower, upper in con.execute(text, {"quantile": share}).fetchall():
        bounded = lower is not None and upper is not None
        error = (upper - lower) / (2 * _Z95) if bounded else np.inf
        samples[variant] = mean_sample(n, estimate, n * error**2)
    return samples
