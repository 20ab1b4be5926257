"""What sums from another warehouse say at a look, in the form in which rows of users say it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Literal

import numpy as np

from analysis.users.estimates import Quantity
from analysis.users.outcome_reach import DayCounts, OutcomeReach, reach_of_counts
from analysis.users.sums import Sums
from flows.formats.time import milliseconds_of
from flows.ingest.coverage import users_known_until
from flows.ingest.sources.aggregate_rows import COVARIATE, DENOMINATOR, VALUE
from flows.ingest.users.cohort_sums import CohortSums, LateSums, Part, late_days
from flows.ingest.users.exposed_users import BySplit, ExposedUsers
from flows.ingest.users.final_values import midnight
from flows.ingest.users.known_aggregates import (
    KnownAggregates,
    VariantRow,
    read_known_aggregates,
    users_of,
)
from flows.ingest.users.quantities import Cohort, MetricQuantities, UserQuantity
from flows.ingest.users.sums_at_look import SumsAtLook
from flows.spec.experiment import Experiment
from flows.spec.metrics import UserMetric
from flows.warehouse.statements import Connection

_DAY = timedelta(days=1)
_MICROSECOND = timedelta(microseconds=1)
# A row has all users of its variant; counts made at different times differ by so little.
_ALL_USERS = 0.99
# So many where none is seen are no chance.
_SURELY_SOME = 20


def read_aggregates_at_look(con: Connection, spec: Experiment, at: datetime) -> SumsAtLook:
    """Sums of users who came on days that ended by the look; with a final value, where the metric's
    window has passed since. Without days all are final.
    """
    known_until = min(at, users_known_until(con, spec) or at)
    known = read_known_aggregates(con, spec)
    cohorts, unknown, counted = [], {}, {}
    for name, rows in known.by_metric.items():
        window = _window(spec, name)
        cohort = _cohort(name, spec.user_metrics[name], window)
        final = list(_until(spec, rows, known_until - window))
        cohorts.append((cohort, replace(_cohort_sums(final), late=_late_sums(spec, final))))
        why = _why_unknown(spec, name, final, known)
        if why is not None:
            unknown[name] = why
        if not spec.sources.is_timeless:
            counted[name] = tuple(_reaches(spec, name, final))
    return SumsAtLook(
        known_until=known_until,
        splits=1,
        exposed=_exposed(spec, known, known_until),
        cohorts=cohorts,
        quantiles={},
        reach={},
        outcome_names={},
        unknown=unknown,
        counted=counted,
        faults=known.faults,
    )


def _reaches(spec: Experiment, name: str, rows: Sequence[VariantRow]) -> Iterator[OutcomeReach]:
    """Of each quantity: how many users did it, on which day the last came, how many came later."""
    metric = spec.user_metrics[name]
    of_day: dict[tuple[str, date], Sums] = {}
    for each in rows:
        if each.row.segment or each.row.day is None:
            continue
        sums, key = each.row.sums.at(np.zeros(3)), (each.variant, each.row.day)
        of_day[key] = of_day[key] + sums if key in of_day else sums
    quantities = ((VALUE, metric.outcome), (DENOMINATOR, metric.per))
    for quantity, outcome in quantities:
        if outcome is not None:
            did = {key: _did(sums, quantity) for key, sums in sorted(of_day.items())}
            yield _reach(spec, outcome, {key: float(s.n) for key, s in of_day.items()}, did)


def _reach(
    spec: Experiment,
    outcome: str,
    users: Mapping[tuple[str, date], float],
    did: Mapping[tuple[str, date], float],
) -> OutcomeReach:
    days, last = {}, {}
    for variant in spec.variants:
        of_variant = {day: n for (v, day), n in did.items() if v == variant}
        days[variant] = [
            DayCounts(day.isoformat(), round(users[variant, day]), round(n))
            for day, n in of_variant.items()
        ]
        seen = max((day for day, n in of_variant.items() if n), default=None)
        if seen is not None:
            ended = datetime(seen.year, seen.month, seen.day, tzinfo=UTC) + _DAY
            later = sum(users[variant, day] for day in of_variant if day > seen)
            last[variant] = milliseconds_of(ended), round(later)
    return reach_of_counts(outcome, days, last)


def _did(sums: Sums, quantity: int) -> float:
    """At least so many users have a value, by its mean and its square's (Cauchy 1821)."""
    moments, n = sums.moments, float(sums.n)
    mean, spread = float(moments.mean[quantity]), float(moments.covariance[quantity, quantity])
    if not n or not mean:
        return 0.0
    square = mean**2 + (spread * (n - 1) / n if n > 1 else 0.0)
    return n * mean**2 / square if np.isfinite(square) else 1.0


def _until(spec: Experiment, rows: Iterable[VariantRow], until: datetime) -> Iterator[VariantRow]:
    """The rows of the days that ended by then; all of sums without days."""
    for each in rows:
        day = None if spec.sources.is_timeless else each.row.day
        if day is None or midnight(day, until) + _DAY <= until:
            yield each


def _cohort(name: str, metric: UserMetric, window: timedelta) -> Cohort:
    counts: Literal["happened", "count", "sum"] = "happened" if metric.is_share else "sum"
    window_us = window // _MICROSECOND
    quantities = tuple(
        UserQuantity(outcome, counts, 0, window_us)
        for outcome in (metric.outcome, metric.per or "", "covariate")
    )
    value = Quantity(VALUE, DENOMINATOR) if metric.per is not None else Quantity(VALUE)
    covariates = (Quantity(COVARIATE),) if metric.adjust else ()
    return Cohort(window_us, quantities, {name: MetricQuantities(value, covariates)})


def _cohort_sums(rows: Sequence[VariantRow]) -> CohortSums:
    """The sums of each part, about one shift; strata are all users together."""
    found: dict[Part, Sums] = {}

    def add(part: Part, sums: Sums) -> None:
        found[part] = found[part] + sums if part in found else sums

    for each in rows:
        sums = each.row.sums.at(rows[0].row.sums.shift)
        if each.row.segment:
            dimension, _, segment = each.row.segment.rpartition("=")
            add((each.variant, dimension.strip(), segment.strip()), sums)
            continue
        add((each.variant, "", ""), sums)
        if each.row.stratum:
            add((each.variant, "stratum", each.row.stratum), sums)
    return CohortSums(found, {}, {}, frozenset())


def _late_sums(spec: Experiment, rows: Sequence[VariantRow]) -> tuple[LateSums, ...]:
    """Those of users who came lately apart, where sums are by day."""
    of_day: defaultdict[date, list[VariantRow]] = defaultdict(list)
    for each in rows:
        if each.row.day is not None and not each.row.segment and not spec.sources.is_timeless:
            of_day[each.row.day].append(each)

    def of(days: Iterable[date]) -> CohortSums:
        return _cohort_sums([each for day in days for each in of_day[day]])

    days = sorted(of_day)
    return tuple(
        LateSums(since, of(d for d in days if d >= since), of(d for d in days if d < since))
        for since in late_days(days)
    )


def _exposed(spec: Experiment, known: KnownAggregates, until: datetime) -> ExposedUsers:
    """Users by variant: of the metric that counts most of them; by day, and by metric."""
    seen = {name: list(_until(spec, rows, until)) for name, rows in known.by_metric.items()}
    users = _most(spec, seen.values())
    by_segment: dict[str, dict[str, BySplit]] = {}
    for dimension in spec.segments:
        names = {part[2] for rows in seen.values() for part in _parts(rows) if part[1] == dimension}
        by_segment[dimension] = {
            name: (_most_of_part(spec, seen.values(), dimension, name),) for name in names
        }
    if len(seen) > 1:
        by_segment["metric"] = {n: (_counts(spec, rows),) for n, rows in seen.items() if rows}
    days = {each.row.day for rows in seen.values() for each in rows if each.row.day is not None}
    by_day: dict[date, BySplit] = {
        day: (_most(spec, ([e for e in rows if e.row.day == day] for rows in seen.values())),)
        for day in days
        if not spec.sources.is_timeless
    }
    return ExposedUsers(users, (users,), by_day, by_segment, 0)


def _counts(spec: Experiment, rows: Sequence[VariantRow]) -> dict[str, int]:
    return {variant: round(users) for variant, users in users_of(spec, rows).items()}


def _most(spec: Experiment, metrics: Iterable[Sequence[VariantRow]]) -> dict[str, int]:
    counted = [_counts(spec, rows) for rows in metrics]
    return {v: max((each[v] for each in counted), default=0) for v in spec.variants}


def _parts(rows: Sequence[VariantRow]) -> dict[Part, Sums]:
    return dict(_cohort_sums(rows).whole)


def _most_of_part(
    spec: Experiment, metrics: Iterable[Sequence[VariantRow]], dimension: str, name: str
) -> dict[str, int]:
    found = [_parts(rows) for rows in metrics]
    return {
        v: max(
            (round(float(p[v, dimension, name].n)) for p in found if (v, dimension, name) in p),
            default=0,
        )
        for v in spec.variants
    }


def _why_unknown(
    spec: Experiment, name: str, rows: Sequence[VariantRow], known: KnownAggregates
) -> str | None:
    """Why nothing is known of a metric, if so."""
    metric = spec.user_metrics[name]
    if not known.by_metric[name]:
        there = ", ".join(map(repr, known.names)) or "none"
        return f"there are no sums of it; those that are there are of {there}"
    if not any(not each.row.segment for each in known.by_metric[name]):
        return "there are only sums of segments; a row without segment has all users"
    if metric.adjust and not all(each.row.has_covariate for each in known.by_metric[name]):
        return "`adjust` needs covariate_sum and its squares and products in every row of it"
    return _of_some(spec, name, known) or _nobody(spec, name, _cohort_sums(rows))


def _of_some(spec: Experiment, name: str, known: KnownAggregates) -> str | None:
    """Sums of those who did it hide how many did: another metric knows more users.

    One with a shorter window doesn't count: it may be given of later days.
    """
    window, found = _window(spec, name), users_of(spec, known.by_metric[name])
    for other, rows in known.by_metric.items():
        users = users_of(spec, rows)
        few = [v for v in spec.variants if found[v] < _ALL_USERS * users[v]]
        if few and _window(spec, other) >= window:
            v = few[0]
            return (
                f"its sums are of {found[v]:,.0f} of {v}'s users, those of {other} of "
                f"{users[v]:,.0f}: n and sums must have all users, those who didn't do it too"
            )
    return None


def _window(spec: Experiment, name: str) -> timedelta:
    return spec.span_of(spec.user_metrics[name])[1]


def _nobody(spec: Experiment, name: str, sums: CohortSums) -> str | None:
    """Where nobody of a variant did it, and that flatters the candidate, it may not be counted."""
    parts = {v: sums.whole.get((v, "", "")) for v in spec.variants}
    users = {v: float(each.n) for v, each in parts.items() if each is not None}
    mean = {v: float(e.moments.mean[VALUE]) for v, e in parts.items() if e is not None and e.n}
    idle = [v for v, each in parts.items() if each is not None and each.n and _is_nothing(each)]
    if not idle:
        return None
    if len(idle) == len(mean):
        said = " and ".join(f"{users[v]:,.0f} of {v}" for v in idle)
        return f"none of the users did it ({said}): it never happened, or the sums leave it out"
    is_share = spec.user_metrics[name].is_share
    for v in idle:
        flatters = (v == spec.baseline) == (spec.user_metrics[name].better == "higher")
        expected = max(mean.values()) * users[v] if is_share else float("inf")
        if flatters and expected >= _SURELY_SOME:
            return (
                f"none of {v}'s {users[v]:,.0f} users did it, and others did: sums don't say "
                "whether it is counted there"
            )
    return None


def _is_nothing(sums: Sums) -> bool:
    moments = sums.moments
    spread = float(moments.covariance[VALUE, VALUE])
    return float(moments.mean[VALUE]) == 0 and not spread > 0
