"""Users' final values, a row each: from the rows of exposures and outcomes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from datetime import date, datetime, timedelta

from flows.ingest.users.plan_splits import SplitStarts, split_number
from flows.ingest.users.quantities import Cohort
from flows.ingest.users.scales import Scales
from flows.spec.experiment import Experiment
from flows.warehouse.statements import Connection, joined_as_written, run

_MICROSECOND = timedelta(microseconds=1)
_DAY = timedelta(days=1)
# Of so many users, threads take the values in turns: their sums may differ in the last digit.
_IN_ORDER = 122_880


def make_final_values(
    con: Connection,
    spec: Experiment,
    cohort: Cohort,
    scales: Scales,
    *,
    known_until: datetime,
    days: Sequence[date] = (),
    splits: SplitStarts = (),
) -> None:
    """Makes final_values: each user of users_at_look that has a final value by known_until.

    days: the days of exposure in users_at_look, if they are few: only outcomes near them are read.
    splits: when those of the plan begin, but for the first.
    """
    outcomes = list(dict.fromkeys(q.outcome for q in cohort.quantities))
    run(con, "load/user_outcomes", outcomes=outcomes)
    before, after = (us * _MICROSECOND for us in cohort.reach_us)
    places = range(len(cohort.quantities))
    [(users,)] = run(con, "aggregate/kept_users", experiment=spec.experiment).fetchall()
    are_many = users > _IN_ORDER
    with joined_as_written(con) if are_many else nullcontext():
        run(
            con,
            "load/final_values",
            {
                "totals": ", ".join(
                    total for i in places for total in _totals(cohort, i, outcomes)
                ),
                "values": ", ".join(value for i in places for value in _values(cohort, scales, i)),
                "split": split_number(splits, "u.exposed_at"),
                "rows": "found" if are_many else "(select * from found order by user_id)",
            },
            experiment=spec.experiment,
            exposed_until=cohort.exposed_until(known_until),
            earliest=midnight(min(days), known_until) - before if days else "-infinity",
            latest=midnight(max(days), known_until) + _DAY + after if days else "infinity",
        )


def midnight(day: date, like: datetime) -> datetime:
    """The start of a day."""
    return datetime(day.year, day.month, day.day, tzinfo=like.tzinfo)


def is_counted(cohort: Cohort, i: int) -> bool:
    """Whether final_values has how many of a quantity's outcomes a user has, as n0, n1, ..."""
    return i in cohort.shown_places and cohort.quantities[i].counts != "happened"


def is_capped(cohort: Cohort, scales: Scales, i: int) -> bool:
    """Whether final_values has a quantity also as it came, as r0, r1, ..."""
    return is_counted(cohort, i) and scales.caps[i] is not None


def _totals(cohort: Cohort, i: int, outcomes: Sequence[str]) -> Iterator[str]:
    """A user's total of a quantity, and the number of its outcomes."""
    quantity = cohort.quantities[i]
    counted = (
        f"filter (number = {outcomes.index(quantity.outcome)} "
        f"and after_us >= {quantity.from_us} and after_us < {quantity.until_us})"
    )
    amount = "value" if quantity.counts == "sum" else "cast(1 as double)"
    if quantity.middle_day is not None:
        # Weighs by the distance to it.
        amount += f" * (after_us // 86400000000 - {float(quantity.middle_day)!r}::double)"
    yield f"sum({amount}) {counted} as q{i}"
    if is_counted(cohort, i):
        yield f"count(*) {counted} as n{i}"


def _values(cohort: Cohort, scales: Scales, i: int) -> Iterator[str]:
    """The expression of a user's value, as distance to its shift, and of what else is shown."""
    value = f"coalesce(t.q{i}, 0)"
    cap = 1.0 if cohort.quantities[i].counts == "happened" else scales.caps[i]
    limited = value if cap is None else f"least({value}, {cap!r}::double)"
    yield f"{limited} - {scales.shifts[i]!r}::double as q{i}"
    if is_counted(cohort, i):
        yield f"t.n{i}"
    if is_capped(cohort, scales, i):
        yield f"{value} as r{i}"
