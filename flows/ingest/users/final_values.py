"""Users' final values, a row each, and their sums: from the rows of exposures and outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from flows.ingest.users.quantities import Cohort, dimensions_of
from flows.spec.experiment import Experiment
from flows.warehouse.statements import statement

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
from datetime import UTC

from analysis.plan import Plan
from flows.formats.time import instant

_MICROSECOND = timedelta(microseconds=1)


_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class SumsRow:
    """The sums of one day's users of a variant; dimension and segment are '' for all users.

    split: how many of the plan's splits came before that they were exposed under.
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


@dataclass(frozen=True, slots=True)
class Scales:
    """By quantity: the constant that sums are about, and the largest value (None: no cap).

    refused: quantities whose percentile is 0. Such a cap would take every value away.
    """

    shifts: list[float]
    caps: list[float | None]
    refused: frozenset[int] = frozenset()


def scales_of(con: DuckDBPyConnection, spec: Experiment, cohort: Cohort) -> Scales:
    """The shifts and caps of a cohort's quantities, as far as they are set."""
    key = {"experiment": spec.experiment}
    kinds = {"count": "count", "sum": "mean"}
    shifts = {
        (outcome, kind): shift
        for outcome, kind, shift in con.execute(statement("aggregate/user_shifts"), key).fetchall()
    }
    caps = dict(con.execute(statement("aggregate/user_caps"), key).fetchall())
    return Scales(
        [
            shifts.get((q.outcome, kinds.get(q.counts, "")), 0.0) if q.middle_day is None else 0.0
            for q in cohort.quantities
        ],
        [caps.get(q.identity) or None for q in cohort.quantities],
        frozenset(i for i, q in enumerate(cohort.quantities) if caps.get(q.identity) == 0),
    )


def name_variants(con: DuckDBPyConnection, spec: Experiment) -> None:
    """Makes the temporary relation that says which variants count."""
    con.execute(statement("load/user_variants_table"), {"variants": list(spec.variants)})


def make_values(
    con: DuckDBPyConnection,
    spec: Experiment,
    cohort: Cohort,
    scales: Scales,
    *,
    exposed_until: datetime,
    days: tuple[date, date] | None = None,
    splits: SplitStarts = (),
) -> None:
    """Makes user_values: each user of users_at_look with a final value.

    days: the first and last day of exposure in users_at_look: only outcomes near them are read.
    splits: when those of the plan begin, but for the first.
    """
    con.execute(
        statement("load/user_quantities_table"),
        {
            "outcomes": [q.outcome for q in cohort.quantities],
            "counts": [q.counts for q in cohort.quantities],
            "from_us": [q.from_us for q in cohort.quantities],
            "until_us": [q.until_us for q in cohort.quantities],
            "middle_days": [q.middle_day for q in cohort.quantities],
        },
    )
    before, after = (us * _MICROSECOND for us in cohort.reach_us)
    text = statement(
        "load/user_values",
        totals=",\n        ".join(
            f"sum(amount) filter (quantity = {i}) as q{i}" for i in range(len(cohort.quantities))
        ),
        values=",\n    ".join(_value(cohort, scales, i) for i in range(len(cohort.quantities))),
        split=split_number(splits, "u.exposed_at"),
    )
    con.execute(
        text,
        {
            "experiment": spec.experiment,
            "exposed_until": exposed_until,
            "earliest": midnight(days[0], exposed_until) - before if days else "-infinity",
            "latest": midnight(days[1], exposed_until) + _DAY + after if days else "infinity",
        },
    )


def midnight(day: date, like: datetime) -> datetime:
    """The start of a day."""
    return datetime(day.year, day.month, day.day, tzinfo=like.tzinfo)


def _value(cohort: Cohort, scales: Scales, i: int) -> str:
    """The expression of a user's value, as distance to its shift."""
    value = f"coalesce(t.q{i}, 0)"
    cap = 1.0 if cohort.quantities[i].counts == "happened" else scales.caps[i]
    if cap is not None:
        value = f"least({value}, {cap!r}::double)"
    return f"{value} - {scales.shifts[i]!r}::double as q{i}"


def sum_values(con: DuckDBPyConnection, spec: Experiment, cohort: Cohort) -> list[SumsRow]:
    """The sums of user_values, for all users and by segment."""
    lists = {
        "totals": ", ".join(f"sum(q{i})" for i in range(len(cohort.quantities))),
        "products": ", ".join(f"sum(q{i} * q{j})" for i, j in cohort.pairs),
    }
    rows = con.execute(statement("aggregate/user_sums", **lists)).fetchall()
    largest = dict.fromkeys((row[:3] for row in rows), ())
    if cohort.amounts:
        text = statement(
            "aggregate/user_maxima", maxima=", ".join(f"max(q{i})" for i in cohort.amounts)
        )
        largest |= {tuple(part): values for *part, values in con.execute(text).fetchall()}
    found = [SumsRow(*(*row, largest[row[:3]])) for row in rows]
    if spec.segments:
        dimensions = dimensions_of(spec)
        segments = ", ".join(_segment(spec, columns) for columns in dimensions.values())
        parts = con.execute(
            statement("aggregate/user_segment_sums", **lists, segments=segments),
            {"dimensions": list(dimensions), "columns": len(spec.segments)},
        ).fetchall()
        found += [SumsRow(*(*row, ())) for row in parts]
    return found


def _segment(spec: Experiment, columns: Sequence[str]) -> str:
    """The expression of a user's segment; of several columns, their values in order."""
    places = [f"v.segments[{spec.segments.index(column) + 1}]" for column in columns]
    if len(places) == 1:
        return places[0]
    values = ", ".join(f"coalesce({place}, '')" for place in places)
    return f"concat_ws(chr(31), {values})"


# When each split but the first begins.
SplitStarts = Sequence[datetime]


def split_starts(plan: Plan) -> SplitStarts:
    """When the plan's splits begin; empty where the split never changes."""
    return [instant(split.start_ms) for split in plan.splits[1:]]


def begun(starts: SplitStarts, until: datetime) -> SplitStarts:
    """Those that have begun; what lies ahead can still move in a delivery."""
    return [start for start in starts if start <= until]


def split_number(starts: SplitStarts, column: str) -> str:
    """The expression of how many splits came before that of a time: 0 under the first one."""
    times = [f"timestamptz '{start.astimezone(UTC).isoformat()}'" for start in starts]
    terms = " + ".join(f"cast({column} >= {time} as smallint)" for time in times)
    return f"cast({terms or 0} as smallint)"
