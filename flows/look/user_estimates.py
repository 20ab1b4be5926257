"""From sums to every variant's estimate of each metric, whole and by segment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from analysis.fixed.comparison import Pair, Sample, mean_sample, proportion_sample
from analysis.users.splits import combine_within_splits
from flows.ingest.users.daily_sums import CohortSums
from flows.ingest.users.final_values import Scales, SplitStarts, make_values
from flows.ingest.users.quantities import Cohort, MetricQuantities
from flows.look.user_strata import compare_part, compare_within_strata
from flows.spec.experiment import Experiment
from flows.warehouse.statements import statement

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_MICROSECOND = timedelta(microseconds=1)
_Z95 = 1.959964
_NOBODY = Sample(np.array(0.0), np.array(np.nan), np.array(np.nan))


@dataclass(frozen=True, slots=True)
class Estimates:
    """What has been found so far, as UserStatistics has it; removed is its variance_removed."""

    metrics: dict[str, Mapping[str, Pair]]
    final_users: dict[str, Mapping[str, float]]
    segments: dict[str, dict[str, dict[str, Mapping[str, Pair]]]]
    trends: dict[str, Mapping[str, Pair]]
    trend_days: dict[str, int]
    largest: dict[str, Mapping[str, float]]
    removed: dict[str, float]
    unknown: dict[str, str] = field(default_factory=dict)

    def withdraw(self, metric: str, why: str) -> None:
        """Takes back what was estimated of a metric: its values are none."""
        nan = np.array(np.nan)
        self.metrics[metric] = {
            candidate: (Sample(pair[0].n, nan, nan), Sample(pair[1].n, nan, nan))
            for candidate, pair in self.metrics[metric].items()
        }
        for by_metric in (self.trends, self.trend_days, self.largest, self.removed):
            by_metric.pop(metric, None)
        for segments in self.segments.values():
            for segment in segments.values():
                segment.pop(metric, None)
        self.unknown[metric] = why


def add_estimates(
    spec: Experiment, name: str, places: MetricQuantities, sums: CohortSums, found: Estimates
) -> None:
    """Adds one metric's estimates, of all users and by segment."""
    samples, removed = _samples(spec, name, places, sums, ("", ""))
    strata = spec.strata_of(spec.user_metrics[name])
    if strata and sums.whole:
        samples, removed = compare_within_strata(spec, strata, places, sums)
    found.metrics[name] = samples
    whole = {variant: sums.whole.get((variant, "", "")) for variant in spec.variants}
    found.final_users[name] = {v: float(each.n) if each else 0.0 for v, each in whole.items()}
    if places.covariates or strata:
        found.removed[name] = removed
    found.largest[name] = _largest(places, sums)
    if places.trend is not None and sums.whole:
        found.trends[name] = compare_part(spec, MetricQuantities(places.trend), sums, ("", ""))[0]
        found.trend_days[name] = places.trend_days
    for dimension, segment in sorted({key[1:] for key in sums.whole if key[1] in spec.segments}):
        of_segment = found.segments.setdefault(dimension, {}).setdefault(segment, {})
        of_segment[name] = _samples(spec, name, places, sums, (dimension, segment))[0]


def refused_cap(cohort: Cohort, places: MetricQuantities, scales: Scales) -> str | None:
    """Why a metric's cap can't be applied, and what to set; None where it can.

    A covariate goes without one.
    """
    value = places.value
    ends = (value.numerator, value.numerator if value.denominator is None else value.denominator)
    share = next((cohort.quantities[i].cap_share for i in ends if i in scales.refused), None)
    if share is None:
        return None
    percent = f"{100 * share:g}"
    return (
        f"its cap is 0, as {percent} % of users have no more than 0: every value would count as 0. "
        f"Set `cap` above {percent}%, or leave it out"
    )


def _largest(places: MetricQuantities, sums: CohortSums) -> dict[str, float]:
    """By variant, the largest value of one user that the estimate is a plain mean of.

    Empty for ratios, where one user's part is no value, and under several splits, where n is what
    users are worth: nobody can be left out of such an estimate by its mean and n alone.
    """
    numerator = places.value.numerator
    if places.value.denominator is not None or len(sums.by_split) > 1:
        return {}
    return {v: each[numerator] for v, each in sums.largest.items() if numerator in each}


def _samples(
    spec: Experiment,
    name: str,
    places: MetricQuantities,
    sums: CohortSums,
    part: tuple[str, str],
) -> tuple[dict[str, Pair], float]:
    """One metric of a part of the users, by candidate, and the variance that covariates removed."""
    if not sums.whole:
        return dict.fromkeys(spec.candidates, (_NOBODY, _NOBODY)), 0.0
    pairs, removed = compare_part(spec, places, sums, part)
    if spec.user_metrics[name].is_share and not places.covariates and len(sums.by_split) < 2:
        pairs = {name: (_as_share(pair[0]), _as_share(pair[1])) for name, pair in pairs.items()}
    return pairs, removed


def _as_share(sample: Sample) -> Sample:
    return proportion_sample(sample.n, np.round(sample.n * sample.mean))


def read_quantiles(
    con: DuckDBPyConnection,
    spec: Experiment,
    name: str,
    cohort: Cohort,
    known_until: datetime,
    splits: SplitStarts,
    found: Estimates,
) -> None:
    """Adds a quantile of users' totals; its variance from the order statistics around it.

    The variance is infinite where users are too few for the quantile to be bounded, and where the
    order statistics around it are tied: of counts that many users share, the estimate jumps.
    """
    until = known_until - cohort.window_us * _MICROSECOND
    con.execute(
        statement("load/users_at_look"), {"experiment": spec.experiment, "look_at": known_until}
    )
    unscaled = Scales([0.0] * len(cohort.quantities), [None] * len(cohort.quantities))
    make_values(con, spec, cohort, unscaled, exposed_until=until, splits=splits)
    text = statement("aggregate/user_quantiles", value="q0")
    share = spec.user_metrics[name].quantile
    n, estimate, error = (np.zeros((len(spec.variants), len(splits) + 1)) for _ in range(3))
    order = list(spec.variants)
    for variant, split, users, value, lower, upper in con.execute(
        text, {"quantile": share}
    ).fetchall():
        place = order.index(variant), split
        n[place], estimate[place] = users, value
        # Where users' values tie at the quantile the width is 0 or a step: nothing of the error.
        bounded = lower is not None and upper is not None and lower < value < upper
        error[place] = (upper - lower) / (2 * _Z95) if bounded else np.inf
    arms = {v: Sample(n[i], estimate[i], n[i] * error[i] ** 2) for i, v in enumerate(order)}
    pairs = {v: (arms[spec.baseline], arms[v]) for v in spec.candidates}
    found.metrics[name] = {
        v: combine_within_splits(*pair) if splits else (_only(pair[0]), _only(pair[1]))
        for v, pair in pairs.items()
    }
    found.final_users[name] = dict(zip(order, n.sum(axis=1).tolist(), strict=True))


def _only(arm: Sample) -> Sample:
    """A sample of the one split that there is."""
    n = float(arm.n[0])
    return mean_sample(n, arm.mean[0], arm.variance[0]) if n else _NOBODY
