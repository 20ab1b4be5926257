"""Users' final values as sums by day, variant and segment: from the rows, or kept from before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis.sums import Sums
from flows.spec import Experiment
from flows.statements import statement
from flows.unit_quantities import Cohort, cohorts_of

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

FloatArray = NDArray[np.float64]

_MICROSECOND = timedelta(microseconds=1)
_DAY = timedelta(days=1)
# A percentile of fewer users says little of their tail.
_USERS_FOR_A_CAP = 100


@dataclass(frozen=True, slots=True)
class SumsRow:
    """The sums of one day's users of a variant; dimension and segment are '' for all users."""

    exposed_on: date
    variant: str
    dimension: str
    segment: str
    users: int
    totals: Sequence[float]
    products: Sequence[float]
    maxima: Sequence[float]


@dataclass(frozen=True, slots=True)
class PartSums:
    """The sums of some users, and the largest value of the quantities that one user can carry."""

    sums: Sums
    largest: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class Scales:
    """By quantity: the constant that sums are about, and the largest value (None: no cap)."""

    shifts: list[float]
    caps: list[float | None]


def asked_of(spec: Experiment) -> str:
    """Identity of the variants and segments that stored users and sums are of."""
    return f"{sorted(spec.variants)} {list(spec.segments)}"


def scales_of(con: DuckDBPyConnection, spec: Experiment, cohort: Cohort) -> Scales:
    """The shifts and caps of a cohort's quantities, as far as they are set."""
    key = {"experiment": spec.experiment}
    kinds = {"count": "count", "sum": "mean"}
    shifts = {
        (outcome, kind): shift
        for outcome, kind, shift in con.execute(statement("load/unit_shifts"), key).fetchall()
    }
    caps = dict(con.execute(statement("load/unit_caps"), key).fetchall())
    return Scales(
        [
            shifts.get((q.outcome, kinds.get(q.counts, "")), 0.0) if q.middle_day is None else 0.0
            for q in cohort.quantities
        ],
        [caps.get(q.identity) for q in cohort.quantities],
    )


def last_pull(con: DuckDBPyConnection, spec: Experiment) -> datetime | None:
    """Up to when both exposures and outcomes have been pulled; None before that."""
    row = con.execute(
        statement("aggregate/unit_known_until"), {"experiment": spec.experiment}
    ).fetchone()
    return row[0].astimezone(UTC) if row and row[0] else None


def name_variants(con: DuckDBPyConnection, spec: Experiment) -> None:
    """Makes the temporary relation that says which variants count."""
    con.execute(statement("load/unit_variants_table"), {"variants": list(spec.variants)})


def make_values(
    con: DuckDBPyConnection,
    spec: Experiment,
    cohort: Cohort,
    scales: Scales,
    *,
    exposed_until: datetime,
    days: tuple[date, date] | None = None,
) -> None:
    """Makes unit_values: each user of unit_arms with a final value.

    days: the first and last day of exposure in unit_arms, so that only outcomes near them are read.
    """
    con.execute(
        statement("load/unit_quantities_table"),
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
        "aggregate/unit_values",
        totals=",\n        ".join(
            f"sum(amount) filter (quantity = {i}) as q{i}" for i in range(len(cohort.quantities))
        ),
        values=",\n    ".join(_value(cohort, scales, i) for i in range(len(cohort.quantities))),
    )
    con.execute(
        text,
        {
            "experiment": spec.experiment,
            "exposed_until": exposed_until,
            "earliest": _midnight(days[0], exposed_until) - before if days else "-infinity",
            "latest": _midnight(days[1], exposed_until) + _DAY + after if days else "infinity",
        },
    )


def _midnight(day: date, like: datetime) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=like.tzinfo)


def _value(cohort: Cohort, scales: Scales, i: int) -> str:
    """The expression of a user's value, as distance to its shift."""
    value = f"coalesce(t.q{i}, 0)"
    cap = 1.0 if cohort.quantities[i].counts == "happened" else scales.caps[i]
    if cap is not None:
        value = f"least({value}, {cap!r}::double)"
    return f"{value} - {scales.shifts[i]!r}::double as q{i}"


def sum_values(con: DuckDBPyConnection, spec: Experiment, cohort: Cohort) -> list[SumsRow]:
    """The sums of unit_values, for all users and by segment."""
    lists = {
        "totals": ", ".join(f"sum(q{i})" for i in range(len(cohort.quantities))),
        "products": ", ".join(f"sum(q{i} * q{j})" for i, j in cohort.pairs),
    }
    rows = con.execute(statement("aggregate/unit_sums", **lists)).fetchall()
    largest = dict.fromkeys((row[:2] for row in rows), ())
    if cohort.amounts:
        text = statement(
            "aggregate/unit_maxima", maxima=", ".join(f"max(q{i})" for i in cohort.amounts)
        )
        largest |= {(day, variant): values for day, variant, values in con.execute(text).fetchall()}
    found = [SumsRow(*(*row, largest[row[:2]])) for row in rows]
    if spec.segments:
        parts = con.execute(
            statement("aggregate/unit_segment_sums", **lists), {"dimensions": list(spec.segments)}
        ).fetchall()
        found += [SumsRow(*(*row, ())) for row in parts]
    return found


def stored_sums(con: DuckDBPyConnection, spec: Experiment, cohort: str) -> list[SumsRow]:
    """What was kept of a cohort (by its identity)."""
    rows = con.execute(
        statement("aggregate/unit_stored_sums"), {"experiment": spec.experiment, "cohort": cohort}
    ).fetchall()
    return [SumsRow(*row) for row in rows]


def days_of(con: DuckDBPyConnection, spec: Experiment, cohort: str) -> dict[date, bool]:
    """Every day on which stored users were first exposed, and whether its sums are kept."""
    return dict(
        con.execute(
            statement("aggregate/unit_days"), {"experiment": spec.experiment, "cohort": cohort}
        ).fetchall()
    )


def added(
    rows: Iterable[SumsRow], cohort: Cohort, scales: Scales
) -> Mapping[tuple[str, str, str], PartSums]:
    """Sums over all days, by variant, dimension and segment."""
    q = len(cohort.quantities)
    shift = np.array(scales.shifts)
    by_part: dict[tuple[str, str, str], list[SumsRow]] = {}
    for row in rows:
        by_part.setdefault((row.variant, row.dimension, row.segment), []).append(row)
    first, second = (np.array(ends, dtype=np.intp) for ends in zip(*cohort.pairs, strict=True))
    found = {}
    for part, days in by_part.items():
        products = np.zeros((q, q))
        products[first, second] = np.sum([row.products for row in days], axis=0)
        products[second, first] = products[first, second]
        users = float(sum(row.users for row in days))
        totals = np.sum([row.totals for row in days], axis=0)
        largest = {}
        if not part[1]:
            maxima = np.max([row.maxima for row in days], axis=0)
            largest = {i: float(m + shift[i]) for i, m in zip(cohort.amounts, maxima, strict=True)}
        found[part] = PartSums(Sums(np.array(users), shift, totals, products), largest)
    return found


def refresh_sums(
    con: DuckDBPyConnection,
    spec: Experiment,
    *,
    fresh_exposures: Sequence[str] | None,
    fresh_outcomes: Sequence[str],
) -> None:
    """Brings the kept users and sums up to date after a load; costs what is new.

    fresh_exposures, fresh_outcomes: parts that are new; None if rows were replaced or taken away,
    so that everything is made anew.
    """
    known_until = last_pull(con, spec)
    if known_until is None:
        return
    name_variants(con, spec)
    key = {"experiment": spec.experiment}
    state = con.execute(statement("aggregate/unit_state"), key).fetchone()
    cohorts = cohorts_of(spec)
    if fresh_exposures is None or state is None or state[0] != asked_of(spec):
        con.execute(statement("load/forget_unit_users"), key)
        con.execute(statement("load/forget_unit_sums"), {**key, "keep": []})
        con.execute(statement("aggregate/unit_arms"), {**key, "look_at": known_until})
        con.execute(statement("load/unit_rebuild_users"), key)
    else:
        _take_in(con, spec, cohorts, fresh_exposures, fresh_outcomes, state[1], known_until)
    con.execute(
        statement("load/unit_state"), {**key, "asked": asked_of(spec), "known_until": known_until}
    )
    kept = []
    for cohort in cohorts:
        _set_caps(con, spec, cohort, known_until)
        scales = scales_of(con, spec, cohort)
        kept.append(cohort.identity(scales.shifts, scales.caps, asked_of(spec)))
        _store(con, spec, cohort, scales, kept[-1], known_until)
    con.execute(statement("load/forget_unit_sums"), {**key, "keep": kept})


def _take_in(
    con: DuckDBPyConnection,
    spec: Experiment,
    cohorts: Sequence[Cohort],
    exposures: Sequence[str],
    outcomes: Sequence[str],
    since: datetime,
    until: datetime,
) -> None:
    """Adds what new parts say, and forgets the sums of the days that they touch."""
    key = {"experiment": spec.experiment}
    con.execute(
        statement("load/unit_fresh_arms"),
        {**key, "parts": list(exposures), "known_until": since, "until": until},
    )
    before = max((c.reach_us[0] for c in cohorts), default=0)
    after = max((c.reach_us[1] for c in cohorts), default=0)
    con.execute(
        statement("load/unit_dirty_days"),
        {**key, "parts": list(outcomes), "before_us": before, "after_us": after},
    )
    con.execute(statement("load/forget_unit_days"), key)
    con.execute(statement("load/unit_update_users"), key)
    con.execute(statement("load/unit_add_users"), key)


def _store(
    con: DuckDBPyConnection,
    spec: Experiment,
    cohort: Cohort,
    scales: Scales,
    identity: str,
    known_until: datetime,
) -> None:
    """Keeps the sums of the days whose last user has a final value by now."""
    window = cohort.window_us * _MICROSECOND
    closed = [
        day
        for day, is_stored in days_of(con, spec, identity).items()
        if not is_stored and _midnight(day, known_until) + _DAY + window <= known_until
    ]
    rows = day_sums(con, spec, cohort, scales, closed, exposed_until=known_until - window)
    if rows:
        columns = {name: [getattr(row, name) for row in rows] for name in SumsRow.__slots__}
        con.execute(
            statement("load/unit_sums"),
            {"experiment": spec.experiment, "cohort": identity, **columns},
        )


def day_sums(
    con: DuckDBPyConnection,
    spec: Experiment,
    cohort: Cohort,
    scales: Scales,
    days: Sequence[date],
    *,
    exposed_until: datetime,
) -> list[SumsRow]:
    """The sums of the stored users first exposed on some days, but not after exposed_until."""
    if not days:
        return []
    con.execute(
        statement("aggregate/unit_arms_of_days"),
        {"experiment": spec.experiment, "days": list(days)},
    )
    span = (min(days), max(days))
    make_values(con, spec, cohort, scales, exposed_until=exposed_until, days=span)
    return sum_values(con, spec, cohort)


def _set_caps(
    con: DuckDBPyConnection, spec: Experiment, cohort: Cohort, known_until: datetime
) -> None:
    """Sets the caps that are asked for and not set yet, once there are users enough."""
    scales = scales_of(con, spec, cohort)
    missing = [
        i
        for i, q in enumerate(cohort.quantities)
        if q.cap_share is not None and scales.caps[i] is None
    ]
    if not missing:
        return
    until = known_until - cohort.window_us * _MICROSECOND
    con.execute(
        statement("aggregate/unit_arms"), {"experiment": spec.experiment, "look_at": known_until}
    )
    make_values(con, spec, cohort, scales, exposed_until=until)
    for i in missing:
        quantity = cohort.quantities[i]
        answer: Any = con.execute(
            statement("aggregate/unit_cap", value=f"q{i}"), {"share": quantity.cap_share}
        ).fetchone()
        if answer[0] >= _USERS_FOR_A_CAP:
            con.execute(
                statement("load/unit_cap"),
                {
                    "experiment": spec.experiment,
                    "quantity": quantity.identity,
                    "cap": answer[1] + scales.shifts[i],
                },
            )
