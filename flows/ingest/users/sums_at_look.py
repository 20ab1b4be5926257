"""What the warehouse knows of users at a look: how many were exposed, and sums of their values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from analysis.users.outcome_reach import OutcomeReach
from flows.ingest.coverage import users_known_until
from flows.ingest.engine.kept_answers import rows_of
from flows.ingest.users.cohort_sums import CohortSums, add_days, late_days
from flows.ingest.users.daily_sums import SumsRow, sum_by_day
from flows.ingest.users.exposed_users import ExposedUsers, count_exposed, make_users_at
from flows.ingest.users.final_values import make_final_values
from flows.ingest.users.kept_reach import reach_at_look
from flows.ingest.users.kept_sums import kept_sums, users_asked
from flows.ingest.users.kept_users import is_kept_at
from flows.ingest.users.plan_splits import SplitStarts, begun
from flows.ingest.users.quantities import Cohort, cohorts_of, quantile_cohorts
from flows.ingest.users.scales import Scales, scales_of
from flows.spec.experiment import Experiment
from flows.warehouse.statements import Connection, run


@dataclass(frozen=True, slots=True)
class QuantileRow:
    """A quantile of the totals of a variant's users under one split.

    lower, upper: the order statistics around it; None where users are too few to bound it.
    """

    variant: str
    split: int
    users: int
    value: float
    lower: float | None
    upper: float | None


@dataclass(frozen=True, slots=True)
class Quantiles:
    """A quantile of all users with a final value; late: of those who came since several days, and
    of those who came before, by that day."""

    whole: Sequence[QuantileRow] = ()
    late: Mapping[date, tuple[Sequence[QuantileRow], Sequence[QuantileRow]]] = field(
        default_factory=dict
    )


@dataclass(frozen=True, slots=True)
class SumsAtLook:
    """Users up to a look: those exposed, and what those with a final value did.

    known_until: the look, or the last pull if that was earlier. cohorts: the sums of each;
    quantiles: by metric. splits: how many the plan has by then. reach: by metric, which outcomes
    reach whom; outcome_names: rows by name. unknown: by metric of which nothing is known, why.
    counted: of sums by day, by metric, what they tell of its outcome. faults: what can't be right
    in the data, as sentences.
    """

    known_until: datetime
    splits: int
    exposed: ExposedUsers
    cohorts: Sequence[tuple[Cohort, CohortSums]]
    quantiles: Mapping[str, Quantiles]
    reach: Mapping[str, tuple[OutcomeReach, ...]]
    outcome_names: Mapping[str, int]
    unknown: Mapping[str, str] = field(default_factory=dict)
    counted: Mapping[str, tuple[OutcomeReach, ...]] = field(default_factory=dict)
    faults: tuple[str, ...] = ()


def read_sums_at_look(
    con: Connection, spec: Experiment, at: datetime, splits: SplitStarts
) -> SumsAtLook:
    """Users' sums at a look. A read-only connection will do; its time zone must be UTC.

    Nothing after the last pull is known: a user whose window ends later has no final value yet. A
    look at the last pull or later takes kept sums and reads what is new; an earlier one reads the
    rows.
    """
    con = rows_of(con, spec)
    known_until = min(at, users_known_until(con, spec) or at)
    is_kept = is_kept_at(con, spec, known_until)
    if not is_kept:
        make_users_at(con, spec, known_until)
    kept_as = users_asked(spec, begun(splits, known_until)) if is_kept else None
    exposed = count_exposed(con, spec, kept_as=kept_as, splits=splits)
    cohorts = [
        (cohort, _sums(con, spec, cohort, known_until, splits, is_kept=is_kept))
        for cohort in cohorts_of(spec)
    ]
    reach = reach_at_look(con, spec, known_until, is_kept=is_kept)
    quantiles = quantile_cohorts(spec)
    if quantiles and is_kept:
        make_users_at(con, spec, known_until)
    return SumsAtLook(
        known_until,
        len(splits) + 1,
        exposed,
        cohorts,
        {
            name: _quantile(con, spec, name, cohort, known_until, splits)
            for name, cohort in quantiles.items()
        },
        reach.metrics,
        reach.names,
    )


def _sums(
    con: Connection,
    spec: Experiment,
    cohort: Cohort,
    known_until: datetime,
    splits: SplitStarts,
    *,
    is_kept: bool,
) -> CohortSums:
    """The sums of all users with a final value."""
    scales = scales_of(con, spec, cohort)
    rows: list[SumsRow] = []
    days = None
    if is_kept:
        rows, missing = kept_sums(con, spec, cohort, scales, begun(splits, known_until))
        last = cohort.exposed_until(known_until).date()
        days = [day for day in missing if day <= last]
    rows += sum_by_day(con, spec, cohort, scales, known_until=known_until, splits=splits, days=days)
    return add_days(rows, cohort, scales)


def _quantile(
    con: Connection,
    spec: Experiment,
    name: str,
    cohort: Cohort,
    known_until: datetime,
    splits: SplitStarts,
) -> Quantiles:
    """A quantile of the totals of the users in users_at_look; it is read, not summed."""
    make_final_values(
        con, spec, cohort, Scales.unset(cohort), known_until=known_until, splits=splits
    )
    days = [day for (day,) in run(con, "aggregate/final_days").fetchall()]
    if not days:
        return Quantiles()
    since = late_days(days)
    spans = [(days[0], days[-1])]
    for day in since:
        spans += [(day, days[-1]), (days[0], day - timedelta(days=1))]
    parts = (f"({i}, date '{first}', date '{last}')" for i, (first, last) in enumerate(spans))
    lists = {"value": "q0", "parts": ", ".join(parts)}
    quantile = spec.user_metrics[name].quantile
    found: list[list[QuantileRow]] = [[] for _ in spans]
    for part, *row in run(con, "aggregate/user_quantiles", lists, quantile=quantile).fetchall():
        found[part].append(QuantileRow(*row))
    return Quantiles(
        found[0], dict(zip(since, zip(found[1::2], found[2::2], strict=True), strict=True))
    )
