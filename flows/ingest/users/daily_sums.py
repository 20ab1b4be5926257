"""Sums of users' final values, by day of the first exposure, variant and segment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from flows.ingest.users.exposed_users import make_users_of_days
from flows.ingest.users.final_values import is_capped, is_counted, make_final_values
from flows.ingest.users.plan_splits import SplitStarts
from flows.ingest.users.quantities import Cohort, dimensions_of
from flows.ingest.users.scales import Scales
from flows.spec.experiment import Experiment
from flows.warehouse.statements import Connection, run


@dataclass(frozen=True, slots=True)
class SumsRow:
    """The sums of one day's users of a variant; dimension and segment are '' for all users.

    split: how many of the plan's splits came before that they were exposed under. converted,
    amounts: of the values that are shown, users who did it and the sum of their values as they
    came; of all users only.
    """

    exposed_on: date
    split: int
    variant: str
    dimension: str
    segment: str
    users: int
    totals: Sequence[float]
    products: Sequence[float]
    maxima: Sequence[float]
    converted: Sequence[int] = ()
    amounts: Sequence[float] = ()


def sum_by_day(
    con: Connection,
    spec: Experiment,
    cohort: Cohort,
    scales: Scales,
    *,
    known_until: datetime,
    splits: SplitStarts,
    days: Sequence[date] | None = None,
) -> list[SumsRow]:
    """The sums of the users that have a final value by known_until.

    days: of the kept users, those first exposed on them; None: all users of users_at_look.
    """
    if days is not None:
        if not days:
            return []
        make_users_of_days(con, spec, days)
    make_final_values(
        con, spec, cohort, scales, known_until=known_until, days=days or (), splits=splits
    )
    return _sum_values(con, spec, cohort, scales)


def _sum_values(con: Connection, spec: Experiment, cohort: Cohort, scales: Scales) -> list[SumsRow]:
    """The sums of final_values, for all users and by segment."""
    lists = {
        "totals": ", ".join(f"sum(q{i})" for i in range(len(cohort.quantities))),
        "products": ", ".join(f"sum(q{i} * q{j})" for i, j in cohort.pairs),
    }
    shown = {
        "converted": ", ".join(_converted(cohort, i) for i in cohort.shown_places),
        "amounts": ", ".join(_amount(cohort, scales, i) for i in cohort.shown_places),
    }
    rows = run(con, "aggregate/user_sums", lists | shown).fetchall()
    largest = dict.fromkeys((row[:3] for row in rows), ())
    if cohort.amounts:
        maxima = {"maxima": ", ".join(f"max(q{i})" for i in cohort.amounts)}
        found_maxima = run(con, "aggregate/user_maxima", maxima).fetchall()
        largest |= {tuple(part): values for *part, values in found_maxima}
    found = [SumsRow(*(*row[:8], largest[row[:3]], *row[8:])) for row in rows]
    if spec.segments:
        dimensions = dimensions_of(spec)
        lists["segments"] = ", ".join(_segment(spec, columns) for columns in dimensions.values())
        asked = {"dimensions": list(dimensions), "columns": len(spec.segments)}
        parts = run(con, "aggregate/user_segment_sums", lists, **asked).fetchall()
        found += [SumsRow(*(*row, ())) for row in parts]
    return found


def _converted(cohort: Cohort, i: int) -> str:
    """The expression of how many users did it."""
    return f"count(*) filter ({'n' if is_counted(cohort, i) else 'q'}{i} > 0)"


def _amount(cohort: Cohort, scales: Scales, i: int) -> str:
    """The expression of the sum of users' values as they came."""
    if is_capped(cohort, scales, i):
        return f"sum(r{i})"
    return f"sum(q{i}) + count(*) * {scales.shifts[i]!r}::double"


def _segment(spec: Experiment, columns: Sequence[str]) -> str:
    """The expression of a user's segment; of several columns, their values in order."""
    places = [f"v.segments[{spec.segments.index(column) + 1}]" for column in columns]
    if len(places) == 1:
        return places[0]
    values = ", ".join(f"coalesce({place}, '')" for place in places)
    return f"concat_ws(chr(31), {values})"
