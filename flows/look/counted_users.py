"""Users as a service's own counters tell them at a look, in place of rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple

from analysis.evidence import LateUsers
from analysis.fixed.comparison import Pair, proportion_sample
from analysis.users.outcome_reach import DayCounts, OutcomeReach, reach_of_counts
from flows.formats.time import milliseconds_of
from flows.ingest.users.cohort_sums import late_days
from flows.look.user_estimates import Estimates
from flows.spec.experiment import Experiment
from flows.spec.metrics import UserMetric
from flows.spec.sources import CounterSource
from flows.warehouse.statements import Connection, run

_MICROSECOND = timedelta(microseconds=1)
# Users by variant and outcome.
_Counts = defaultdict[tuple[str, str], int]


class _Counted(NamedTuple):
    """Users whom counters counted on a day, and the last bucket that has some."""

    variant: str
    outcome: str
    day: date
    users: float
    latest: datetime


@dataclass(frozen=True, slots=True)
class CountedUsers:
    """What counters tell beside estimates.

    exposed: users by variant; reach: by metric, when its outcome was counted last; contradictions:
    what can't be in the counts, as sentences.
    """

    exposed: Mapping[str, int]
    reach: Mapping[str, tuple[OutcomeReach, ...]]
    contradictions: tuple[str, ...]


def count_users(
    con: Connection, spec: Experiment, counters: CounterSource, at: datetime, found: Estimates
) -> CountedUsers:
    """Adds the estimates of shares to those that were found."""
    rows = _counted(con, spec, _whole_buckets(spec, at))
    counts = _users(rows)
    exposed = {variant: counts[variant, counters.exposed] for variant in spec.variants}
    reach = {}
    for name, metric in _proportions(spec):
        arms = {v: proportion_sample(n, counts[v, metric.outcome]) for v, n in exposed.items()}
        found.samples[name] = {v: (arms[spec.baseline], arms[v]) for v in spec.candidates}
        found.final_users[name] = {v: float(arm.n) for v, arm in arms.items()}
        reach[name] = (_reach(con, spec, counters, metric.outcome, rows),)
        found.late[name] = _late(spec, reach[name][0])
    contradictory = dict(_contradictions(spec, counters, counts))
    for name, why in contradictory.items():
        found.withdraw(name, why)
    return CountedUsers(exposed, reach, tuple(contradictory.values()))


def _proportions(spec: Experiment) -> Iterator[tuple[str, UserMetric]]:
    return ((k, m) for k, m in spec.user_metrics.items() if m.kind == "proportion")


def _whole_buckets(spec: Experiment, at: datetime) -> datetime:
    """Before when a bucket has begun that has ended by the look."""
    return at - spec.plan.bucket + _MICROSECOND


def _counted(con: Connection, spec: Experiment, until: datetime) -> list[_Counted]:
    """Users from counters, of buckets that begin before a time."""
    key = spec.experiment
    rows = run(con, "aggregate/user_conversions", experiment=key, until=until).fetchall()
    return [_Counted(*row) for row in rows]


def _users(rows: Iterable[_Counted]) -> _Counts:
    counts: _Counts = defaultdict(int)
    for row in rows:
        counts[row.variant, row.outcome] += int(row.users)
    return counts


def _reach(
    con: Connection,
    spec: Experiment,
    counters: CounterSource,
    outcome: str,
    rows: Sequence[_Counted],
) -> OutcomeReach:
    """When an outcome was counted last of each variant, and how many users were exposed since."""
    exposed, did = (
        {(r.variant, r.day): int(r.users) for r in rows if r.outcome == o}
        for o in (counters.exposed, outcome)
    )
    days = {
        variant: [
            DayCounts(day.isoformat(), users, did.get((variant, day), 0))
            for (v, day), users in exposed.items()
            if v == variant
        ]
        for variant in spec.variants
    }
    latest: dict[tuple[str, str], datetime] = {}
    for r in rows:
        latest[r.variant, r.outcome] = max(r.latest, latest.get((r.variant, r.outcome), r.latest))
    last = {}
    for variant in spec.variants:
        seen = latest.get((variant, outcome))
        if seen is None:
            continue
        later = 0
        if latest.get((variant, counters.exposed), seen) > seen:
            earlier = _users(_counted(con, spec, seen + _MICROSECOND))
            later = sum(day.users for day in days[variant]) - earlier[variant, counters.exposed]
        last[variant] = milliseconds_of(seen + spec.plan.bucket), later
    return reach_of_counts(outcome, days, last)


def _late(spec: Experiment, reach: OutcomeReach) -> tuple[LateUsers, ...]:
    """Users whom counters counted since several days, apart from those before."""
    days = {v: reach.by_variant[v].days for v in spec.variants}

    def pairs(since: str, *, is_late: bool) -> dict[str, Pair]:
        of = {v: [d for d in found if (d.day >= since) == is_late] for v, found in days.items()}
        arms = {
            v: proportion_sample(sum(d.users for d in found), sum(d.did for d in found))
            for v, found in of.items()
        }
        return {v: (arms[spec.baseline], arms[v]) for v in spec.candidates}

    starts = late_days(date.fromisoformat(d.day) for found in days.values() for d in found)
    return tuple(
        LateUsers(since, pairs(since, is_late=True), pairs(since, is_late=False))
        for since in map(date.isoformat, starts)
    )


def _contradictions(
    spec: Experiment, counters: CounterSource, counts: _Counts
) -> Iterator[tuple[str, str]]:
    """Metrics whose counters can't both be right, and why."""
    for name, metric in _proportions(spec):
        for variant in spec.variants:
            x, n = counts[variant, metric.outcome], counts[variant, counters.exposed]
            if x > n:
                why = (
                    f"{name}, {variant}: {x:,} users with {metric.outcome!r} of {n:,} with "
                    f"{counters.exposed!r}: one of the counters doesn't count users"
                )
                yield name, why
