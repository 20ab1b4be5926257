"""Users' final values, a row each: from the rows of exposures and outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from flows.ingest.users.plan_splits import SplitStarts, split_number
from flows.ingest.users.quantities import Cohort
from flows.ingest.users.scales import Scales
from flows.spec.experiment import Experiment
from flows.warehouse.statements import Connection, run

_MICROSECOND = timedelta(microseconds=1)
_DAY = timedelta(days=1)


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
    run(
        con,
        "load/user_quantities",
        outcomes=[q.outcome for q in cohort.quantities],
        counts=[q.counts for q in cohort.quantities],
        from_us=[q.from_us for q in cohort.quantities],
        until_us=[q.until_us for q in cohort.quantities],
        middle_days=[q.middle_day for q in cohort.quantities],
    )
    before, after = (us * _MICROSECOND for us in cohort.reach_us)
    places = range(len(cohort.quantities))
    run(
        con,
        "load/final_values",
        {
            "totals": ", ".join(f"sum(amount) filter (quantity = {i}) as q{i}" for i in places),
            "values": ", ".join(_value(cohort, scales, i) for i in places),
            "split": split_number(splits, "u.exposed_at"),
        },
        experiment=spec.experiment,
        exposed_until=cohort.exposed_until(known_until),
        earliest=midnight(min(days), known_until) - before if days else "-infinity",
        latest=midnight(max(days), known_until) + _DAY + after if days else "infinity",
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
