"""What one look sees of the users: a final value each, reduced to sums per variant and metric."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from analysis.fixed.comparison import Pair, proportion_sample
from analysis.users.outcome_reach import OutcomeReach
from flows.ingest.users.parts import lost_outcomes
from flows.ingest.users.plan_splits import SplitStarts
from flows.ingest.users.sums_at_look import read_sums_at_look
from flows.look.user_estimates import estimate_metrics
from flows.spec.experiment import Experiment
from flows.spec.metrics import UserMetric
from flows.spec.sources import CounterSource
from flows.warehouse.statements import statement

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class UserStatistics:
    """Users and what they did, up to a look.

    metrics: by metric and candidate of the spec, all of both, the baseline's estimate and its own;
    after adjustment by covariates.
    segments: by dimension, segment, metric and candidate; empty where the spec names no segments.
    trends: by metric, users' trends over the days of the window, where it has several; trend_days:
    how many. largest: by metric and variant, the largest value of one user.
    variance_removed: by metric, the share of the variance that the covariates explain.
    final_users: by metric and variant, users with a final value; where the split changed, a
    metric's n is what they are worth when compared within each.
    users: exposed users by variant, those seen in two variants left out; users_by_split,
    users_by_day and users_by_segment: the same for each split, and these by day of the first
    exposure, and by dimension and segment. mixed_users: seen in two variants. known_until: the
    look, or the last pull if that was earlier. contradictions: what can't be in the data. unknown:
    by metric of which nothing is known whatever its users did, why, and what would help. reach: by
    metric, which outcomes reach whom; outcome_names: rows up to the look by name.
    lost_outcomes: rows that lack a user, a name or a time.
    """

    metrics: Mapping[str, Mapping[str, Pair]]
    segments: Mapping[str, Mapping[str, Mapping[str, Mapping[str, Pair]]]]
    trends: Mapping[str, Mapping[str, Pair]]
    trend_days: Mapping[str, int]
    largest: Mapping[str, Mapping[str, float]]
    variance_removed: Mapping[str, float]
    final_users: Mapping[str, Mapping[str, float]]
    users: Mapping[str, int]
    users_by_split: tuple[Mapping[str, int], ...]
    users_by_day: Mapping[date, tuple[Mapping[str, int], ...]]
    users_by_segment: Mapping[str, Mapping[str, tuple[Mapping[str, int], ...]]]
    mixed_users: int
    known_until: datetime
    contradictions: tuple[str, ...] = ()
    unknown: Mapping[str, str] = field(default_factory=dict)
    reach: Mapping[str, tuple[OutcomeReach, ...]] = field(default_factory=dict)
    outcome_names: Mapping[str, int] = field(default_factory=dict)
    lost_outcomes: int = 0


def read_user_statistics(
    con: DuckDBPyConnection, spec: Experiment, at: datetime, *, splits: SplitStarts = ()
) -> UserStatistics:
    """The users' evidence at a look. A read-only connection will do; its time zone must be UTC.

    splits: when those of the plan begin, but for the first; users are compared within each.
    """
    seen = read_sums_at_look(con, spec, at, splits)
    found, exposed = estimate_metrics(spec, seen), seen.exposed
    contradictions: tuple[str, ...] = ()
    users = exposed.users
    counters = spec.sources.conversions
    if counters is not None:
        counts = _counted(con, spec, at)
        if not spec.sources.rows:
            users = {variant: counts[variant, counters.exposed] for variant in spec.variants}
        for name, metric in _proportions(spec):
            arms = {
                variant: proportion_sample(
                    counts[variant, counters.exposed], counts[variant, metric.outcome]
                )
                for variant in spec.variants
            }
            found.metrics[name] = {v: (arms[spec.baseline], arms[v]) for v in spec.candidates}
            found.final_users[name] = {v: float(arm.n) for v, arm in arms.items()}
        contradictory = dict(_contradictions(spec, counters, counts))
        for name, why in contradictory.items():
            found.withdraw(name, why)
        contradictions = tuple(contradictory.values())
    return UserStatistics(
        metrics={name: found.metrics[name] for name in spec.user_metrics},
        segments=found.segments,
        trends=found.trends,
        trend_days=found.trend_days,
        largest=found.largest,
        variance_removed=found.removed,
        final_users=found.final_users,
        users=users,
        users_by_split=exposed.by_split if users is exposed.users else (),
        users_by_day=exposed.by_day,
        users_by_segment=exposed.by_segment,
        mixed_users=exposed.mixed,
        known_until=seen.known_until,
        contradictions=contradictions,
        unknown=found.unknown,
        reach=seen.reach,
        outcome_names=seen.outcome_names,
        lost_outcomes=lost_outcomes(con, spec),
    )


def _proportions(spec: Experiment) -> Iterator[tuple[str, UserMetric]]:
    return ((k, m) for k, m in spec.user_metrics.items() if m.kind == "proportion")


def _counted(
    con: DuckDBPyConnection, spec: Experiment, at: datetime
) -> defaultdict[tuple[str, str], int]:
    """Users by variant and outcome from counters, in whole buckets up to the look."""
    until = at - spec.plan.bucket + _MICROSECOND
    rows = con.execute(
        statement("aggregate/user_conversions"), {"experiment": spec.experiment, "until": until}
    ).fetchall()
    return defaultdict(int, {(variant, outcome): int(users) for variant, outcome, users in rows})


def _contradictions(
    spec: Experiment, counters: CounterSource, counts: Mapping[tuple[str, str], int]
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
