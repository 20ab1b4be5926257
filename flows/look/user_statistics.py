"""What one look sees of the users: a final value each, reduced to sums per variant and metric."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from analysis.fixed.comparison import Pair, proportion_sample
from flows.ingest.users.daily_sums import (
    CohortSums,
    added,
    asked_of,
    day_sums,
    days_of,
    last_pull,
    stored_sums,
    sums_identity,
)
from flows.ingest.users.final_values import (
    Scales,
    SplitStarts,
    begun,
    make_values,
    name_variants,
    scales_of,
    split_number,
    sum_values,
)
from flows.ingest.users.quantities import Cohort, cohorts_of, quantile_cohorts
from flows.look.user_estimates import Estimates, add_estimates, read_quantiles, refused_cap
from flows.spec.experiment import Experiment
from flows.spec.metrics import UserMetric
from flows.spec.sources import CounterSource
from flows.warehouse.statements import statement

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_MICROSECOND = timedelta(microseconds=1)
_BySplit = tuple[dict[str, int], ...]


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
    exposure, and by dimension and segment. mixed_users: seen in two variants. maturing: by metric
    and variant, users whose window still runs. known_until: the look, or the last pull if that
    was earlier. warnings: what contradicts itself in the data. unknown: by metric of which nothing
    is known whatever its users did, why, and what would help.
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
    maturing: Mapping[str, Mapping[str, int]]
    known_until: datetime
    warnings: tuple[str, ...] = field(default=())
    unknown: Mapping[str, str] = field(default_factory=dict)


def read_user_statistics(
    con: DuckDBPyConnection, spec: Experiment, at: datetime, *, splits: SplitStarts = ()
) -> UserStatistics:
    """The users' evidence at a look. A read-only connection will do; its time zone must be UTC.

    splits: when those of the plan begin, but for the first; users are compared within each.

    Nothing after the last pull is known: a user whose window ends later is still maturing. A look
    at the last pull or later takes kept sums and reads what is new; an earlier one reads the rows.
    """
    counters = spec.sources.conversions
    known_until = min(at, last_pull(con, spec) or at)
    name_variants(con, spec)
    state = con.execute(
        statement("aggregate/user_state"), {"experiment": spec.experiment}
    ).fetchone()
    is_kept = state is not None and state == (asked_of(spec), known_until)
    if not is_kept:
        con.execute(
            statement("load/users_at_look"),
            {"experiment": spec.experiment, "look_at": known_until},
        )
    table = "kept_users" if is_kept else "users_by_variant"
    exposed = _Exposed.read(con, spec, table, splits)
    found = Estimates({}, {}, {}, {}, {}, {}, {})
    for cohort in cohorts_of(spec):
        scales = scales_of(con, spec, cohort)
        sums = _sums(con, spec, cohort, scales, known_until, splits, is_kept=is_kept)
        for name, places in cohort.metrics.items():
            add_estimates(spec, name, places, sums, found)
            refused = refused_cap(cohort, places, scales)
            if refused is not None:
                found.withdraw(name, refused)
    for name, cohort in quantile_cohorts(spec).items():
        read_quantiles(con, spec, name, cohort, known_until, splits, found)
    maturing = {
        name: {variant: exposed.users[variant] - int(final[variant]) for variant in final}
        for name, final in found.final_users.items()
    }
    warnings: tuple[str, ...] = ()
    users = exposed.users
    if counters is not None:
        counts = _counted(con, spec, at)
        if spec.sources.exposures is None:
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
            maturing[name] = dict.fromkeys(spec.variants, 0)
        warnings = tuple(_contradictions(spec, counters, counts))
    metrics = {name: found.metrics[name] for name in spec.user_metrics}
    return UserStatistics(
        metrics,
        found.segments,
        found.trends,
        found.trend_days,
        found.largest,
        found.removed,
        found.final_users,
        users,
        exposed.by_split if users is exposed.users else (),
        exposed.by_day,
        exposed.by_segment,
        exposed.mixed,
        maturing,
        known_until,
        warnings,
        found.unknown,
    )


@dataclass(frozen=True, slots=True)
class _Exposed:
    """Exposed users, counted; those seen in two variants apart."""

    users: dict[str, int]
    by_split: _BySplit
    by_day: dict[date, _BySplit]
    by_segment: dict[str, dict[str, _BySplit]]
    mixed: int

    @classmethod
    def read(
        cls, con: DuckDBPyConnection, spec: Experiment, name: str, splits: SplitStarts
    ) -> _Exposed:
        def nobody() -> _BySplit:
            return tuple(dict.fromkeys(spec.variants, 0) for _ in range(len(splits) + 1))

        exposed, mixed = cls(dict.fromkeys(spec.variants, 0), nobody(), {}, {}, 0), 0
        asked: dict[str, object] = {"dimensions": list(spec.segments)}
        if name == "kept_users":
            asked["experiment"] = spec.experiment
        text = statement(f"aggregate/{name}", split=split_number(splits, "exposed_at"))
        for day, split, variant, dimension, segment, count in con.execute(text, asked).fetchall():
            if variant is None:
                mixed += 0 if dimension else count
            elif dimension:
                segments = exposed.by_segment.setdefault(dimension, {})
                segments.setdefault(segment, nobody())[split][variant] += count
            else:
                exposed.users[variant] += count
                exposed.by_split[split][variant] += count
                exposed.by_day.setdefault(day, nobody())[split][variant] += count
        return replace(exposed, mixed=mixed)


def _sums(
    con: DuckDBPyConnection,
    spec: Experiment,
    cohort: Cohort,
    scales: Scales,
    known_until: datetime,
    splits: SplitStarts,
    *,
    is_kept: bool,
) -> CohortSums:
    """The sums of all users with a final value."""
    until = known_until - cohort.window_us * _MICROSECOND
    if is_kept:
        identity = sums_identity(spec, cohort, scales, begun(splits, known_until))
        days = days_of(con, spec, identity)
        open_days = [d for d, is_stored in days.items() if not is_stored and d <= until.date()]
        rows = stored_sums(con, spec, identity)
        rows += day_sums(con, spec, cohort, scales, open_days, exposed_until=until, splits=splits)
    else:
        make_values(con, spec, cohort, scales, exposed_until=until, splits=splits)
        rows = sum_values(con, spec, cohort)
    return added(rows, cohort, scales)


def _proportions(spec: Experiment) -> Iterator[tuple[str, UserMetric]]:
    return ((k, m) for k, m in spec.user_metrics.items() if m.kind == "proportion")


def _counted(
    con: DuckDBPyConnection, spec: Experiment, at: datetime
) -> defaultdict[tuple[str, str], int]:
    """Users by variant and outcome from counters, in whole buckets up to the look."""
    until = at - spec.plan.bucket + _MICROSECOND
    rows = _rows(con, "aggregate/user_conversions", {"experiment": spec.experiment, "until": until})
    return defaultdict(int, {(variant, outcome): int(users) for variant, outcome, users in rows})


def _contradictions(
    spec: Experiment, counters: CounterSource, counts: Mapping[tuple[str, str], int]
) -> Iterator[str]:
    for name, metric in _proportions(spec):
        for variant in spec.variants:
            x, n = counts[variant, metric.outcome], counts[variant, counters.exposed]
            if x > n:
                yield (
                    f"{name}, {variant}: {x:,} users with {metric.outcome!r} of {n:,} with "
                    f"{counters.exposed!r}: one of the counters doesn't count users"
                )


def _rows(con: DuckDBPyConnection, name: str, parameters: Mapping[str, Any]) -> list[Any]:
    return con.execute(statement(name), dict(parameters)).fetchall()
