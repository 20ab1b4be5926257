"""From sums to every variant's estimate of each metric, whole and by segment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.evidence import Denominator, LateUsers
from analysis.fixed.comparison import Pair, Sample, mean_sample, proportion_sample
from analysis.users.estimates import Quantity
from analysis.users.splits import combine_within_splits
from flows.formats.time import shown_duration
from flows.ingest.users.cohort_sums import CohortSums
from flows.ingest.users.quantities import Cohort, MetricQuantities
from flows.ingest.users.sums_at_look import QuantileRow, Quantiles, SumsAtLook
from flows.look.user_strata import compare_users, why_not_within
from flows.spec.experiment import Experiment

_Z95 = 1.959964
_NOBODY = Sample(np.array(0.0), np.array(np.nan), np.array(np.nan))


@dataclass(frozen=True, slots=True)
class Estimates:
    """Estimates by metric, as UserEvidence has them; removed is its variance_removed."""

    samples: dict[str, Mapping[str, Pair]]
    final_users: dict[str, Mapping[str, float]]
    segments: dict[str, dict[str, dict[str, Mapping[str, Pair]]]]
    trends: dict[str, Mapping[str, Pair]]
    trend_days: dict[str, int]
    denominators: dict[str, Denominator]
    covariates: dict[str, dict[str, Mapping[str, Pair]]]
    largest: dict[str, Mapping[str, float]]
    removed: dict[str, float]
    late: dict[str, tuple[LateUsers, ...]]
    unknown: dict[str, str]

    def withdraw(self, metric: str, why: str) -> None:
        """Takes back what was estimated of a metric: its values are none."""
        nan = np.array(np.nan)
        self.samples[metric] = {
            candidate: (Sample(pair[0].n, nan, nan), Sample(pair[1].n, nan, nan))
            for candidate, pair in self.samples[metric].items()
        }
        means = self.trends, self.trend_days, self.denominators, self.largest, self.removed
        for by_metric in (*means, self.covariates, self.late):
            by_metric.pop(metric, None)
        for segments in self.segments.values():
            for segment in segments.values():
                segment.pop(metric, None)
        self.unknown[metric] = why


def estimate_metrics(spec: Experiment, users: SumsAtLook) -> Estimates:
    """Every metric that is made of users' values."""
    found = Estimates({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {})
    for cohort, sums in users.cohorts:
        for name, places in cohort.metrics.items():
            _add_metric(spec, name, places, sums, found)
            strata = spec.strata_of(spec.user_metrics[name])
            refused = _refused_cap(cohort, places, sums) or why_not_within(spec, strata, sums)
            if refused is not None:
                found.withdraw(name, refused)
    for name, rows in users.quantiles.items():
        _add_quantile(spec, name, rows, users.splits, found)
    return found


def _add_metric(
    spec: Experiment, name: str, places: MetricQuantities, sums: CohortSums, found: Estimates
) -> None:
    """Adds one metric's estimates, of all users and by segment."""
    strata = spec.strata_of(spec.user_metrics[name])
    found.samples[name], removed = _samples(spec, name, places, sums, strata=strata)
    whole = {variant: sums.whole.get((variant, "", "")) for variant in spec.variants}
    found.final_users[name] = {v: float(each.n) if each else 0.0 for v, each in whole.items()}
    if places.covariates or strata:
        found.removed[name] = removed
    if sums.whole:
        found.covariates[name] = _covariates(spec, name, places, sums)
    found.largest[name] = _largest(places, sums)
    found.late[name] = tuple(
        LateUsers(
            part.since.isoformat(),
            _samples(spec, name, places, part.late)[0],
            _samples(spec, name, places, part.before)[0],
        )
        for part in sums.late
    )
    if places.trend is not None and sums.whole:
        found.trends[name] = compare_users(spec, MetricQuantities(places.trend), sums)[0]
        found.trend_days[name] = places.trend_days
    below = _uncounted(spec, name)
    if below is not None and places.value.denominator is not None and sums.whole:
        pairs = compare_users(spec, MetricQuantities(Quantity(places.value.denominator)), sums)[0]
        found.denominators[name] = Denominator(below, pairs)
    for dimension, segment in sorted({key[1:] for key in sums.whole if key[1] in spec.segments}):
        of_segment = found.segments.setdefault(dimension, {}).setdefault(segment, {})
        of_segment[name] = _samples(spec, name, places, sums, part=(dimension, segment))[0]


def _covariates(
    spec: Experiment, name: str, places: MetricQuantities, sums: CohortSums
) -> dict[str, Mapping[str, Pair]]:
    """What a metric is adjusted by, each alone, by what it is."""
    metric = spec.user_metrics[name]
    return {
        f"{(each.outcome or metric.outcome)!r} in the {shown_duration(each.before)} before": (
            compare_users(spec, MetricQuantities(covariate), sums)[0]
        )
        for each, covariate in zip(metric.adjust, places.covariates, strict=True)
    }


def _uncounted(spec: Experiment, name: str) -> str | None:
    """The outcome that a ratio is divided by, unless another metric is made of it alone."""
    below = spec.user_metrics[name].per
    counted = {metric.outcome for metric in spec.user_metrics.values() if metric.per is None}
    return None if below in counted else below


def _refused_cap(cohort: Cohort, places: MetricQuantities, sums: CohortSums) -> str | None:
    """Why a metric's cap can't be applied, and what to set; None where it can.

    A covariate goes without one.
    """
    value = places.value
    ends = (value.numerator, value.numerator if value.denominator is None else value.denominator)
    share = next((cohort.quantities[i].cap_share for i in ends if i in sums.refused), None)
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
    *,
    part: tuple[str, str] = ("", ""),
    strata: Sequence[str] = (),
) -> tuple[dict[str, Pair], float]:
    """One metric of a part of the users, by candidate, and the share of its variance removed."""
    if not sums.whole:
        return dict.fromkeys(spec.candidates, (_NOBODY, _NOBODY)), 0.0
    pairs, removed = compare_users(spec, places, sums, part=part, strata=strata)
    is_plain = not places.covariates and not strata and len(sums.by_split) < 2
    if spec.user_metrics[name].is_share and is_plain:
        pairs = {name: (_as_share(pair[0]), _as_share(pair[1])) for name, pair in pairs.items()}
    return pairs, removed


def _as_share(sample: Sample) -> Sample:
    return proportion_sample(sample.n, np.round(sample.n * sample.mean))


def _add_quantile(
    spec: Experiment, name: str, rows: Quantiles, splits: int, found: Estimates
) -> None:
    """Adds a quantile of users' totals."""
    found.samples[name], users = _quantile_pairs(spec, rows.whole, splits)
    found.final_users[name] = users
    found.late[name] = tuple(
        LateUsers(
            since.isoformat(), *(_quantile_pairs(spec, part, splits)[0] for part in late_and_before)
        )
        for since, late_and_before in rows.late.items()
    )


def _quantile_pairs(
    spec: Experiment, rows: Sequence[QuantileRow], splits: int
) -> tuple[dict[str, Pair], dict[str, float]]:
    """By candidate, both variants' quantiles, and how many users each variant has.

    The variance is that of the order statistics around it. It is infinite where users are too few
    for the quantile to be bounded, and where the order statistics around it are tied: of counts
    that many users share, the estimate jumps.
    """
    order = list(spec.variants)
    n, estimate, error = (np.zeros((len(order), splits)) for _ in range(3))
    for row in rows:
        place = order.index(row.variant), row.split
        n[place], estimate[place] = row.users, row.value
        error[place] = np.inf
        # Where users' values tie at the quantile the width is 0 or a step: nothing of the error.
        if row.lower is not None and row.upper is not None and row.lower < row.value < row.upper:
            error[place] = (row.upper - row.lower) / (2 * _Z95)
    arms = {v: Sample(n[i], estimate[i], n[i] * error[i] ** 2) for i, v in enumerate(order)}
    pairs = {v: (arms[spec.baseline], arms[v]) for v in spec.candidates}
    compared = {
        v: combine_within_splits(*pair) if splits > 1 else (_only(pair[0]), _only(pair[1]))
        for v, pair in pairs.items()
    }
    return compared, dict(zip(order, n.sum(axis=1).tolist(), strict=True))


def _only(arm: Sample) -> Sample:
    """A sample of the one split that there is."""
    n = float(arm.n[0])
    return mean_sample(n, arm.mean[0], arm.variance[0]) if n else _NOBODY
