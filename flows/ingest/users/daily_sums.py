"""Sums of users' final values that are kept by day, so that a run costs what is new."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.users.sums import Sums
from flows.ingest.users.final_values import (
    Scales,
    SplitStarts,
    SumsRow,
    begun,
    make_values,
    midnight,
    name_variants,
    scales_of,
    split_starts,
    sum_values,
)
from flows.ingest.users.quantities import Cohort, cohorts_of, dimensions_of
from flows.plan.effective import plan_at
from flows.spec.experiment import Experiment
from flows.warehouse.statements import statement

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_MICROSECOND = timedelta(microseconds=1)
_DAY = timedelta(days=1)
# A percentile of fewer users says little of their tail.
_USERS_FOR_A_CAP = 100


# A variant, dimension and segment; the last two are empty for all users.
Part = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class CohortSums:
    """The sums of all days: of each part of the users, whole and by split (its number).

    largest: by variant, the largest value of the quantities that one user can carry.
    """

    whole: Mapping[Part, Sums]
    by_split: Mapping[int, Mapping[Part, Sums]]
    largest: Mapping[str, Mapping[int, float]]


def asked_of(spec: Experiment) -> str:
    """Identity of the variants and segments that stored users and sums are of."""
    crossed = [name for name in dimensions_of(spec) if name not in spec.segments]
    return f"{sorted(spec.variants)} {list(spec.segments)}" + (f" {crossed}" if crossed else "")


def last_pull(con: DuckDBPyConnection, spec: Experiment) -> datetime | None:
    """Up to when both exposures and outcomes have been pulled; None before that."""
    row = con.execute(
        statement("aggregate/user_known_until"), {"experiment": spec.experiment}
    ).fetchone()
    return row[0].astimezone(UTC) if row and row[0] else None


def stored_sums(con: DuckDBPyConnection, spec: Experiment, cohort: str) -> list[SumsRow]:
    """What was kept of a cohort (by its identity)."""
    rows = con.execute(
        statement("aggregate/user_stored_sums"), {"experiment": spec.experiment, "cohort": cohort}
    ).fetchall()
    return [SumsRow(*row) for row in rows]


def days_of(con: DuckDBPyConnection, spec: Experiment, cohort: str) -> dict[date, bool]:
    """Every day on which stored users were first exposed, and whether its sums are kept."""
    return dict(
        con.execute(
            statement("aggregate/user_days"), {"experiment": spec.experiment, "cohort": cohort}
        ).fetchall()
    )


def added(rows: Iterable[SumsRow], cohort: Cohort, scales: Scales) -> CohortSums:
    """Sums over all days."""
    by_part: dict[tuple[int, Part], list[SumsRow]] = {}
    maxima: dict[str, list[Sequence[float]]] = {}
    # DuckDB hands groups back in any order, and sums of floats depend on it.
    for row in sorted(rows, key=lambda row: row.exposed_on):
        part = (row.variant, row.dimension, row.segment)
        by_part.setdefault((row.split, part), []).append(row)
        if not row.dimension:
            maxima.setdefault(row.variant, []).append(row.maxima)
    by_split: dict[int, dict[Part, Sums]] = {}
    whole: dict[Part, Sums] = {}
    for (split, part), days in sorted(by_part.items()):
        sums = _over_days(days, cohort, scales)
        by_split.setdefault(split, {})[part] = sums
        whole[part] = whole[part] + sums if part in whole else sums
    largest = {
        variant: {
            i: float(m + scales.shifts[i])
            for i, m in zip(cohort.amounts, np.max(found, axis=0), strict=True)
        }
        for variant, found in maxima.items()
    }
    return CohortSums(whole, by_split, largest)


def _over_days(days: Sequence[SumsRow], cohort: Cohort, scales: Scales) -> Sums:
    q = len(cohort.quantities)
    first, second = (np.array(ends, dtype=np.intp) for ends in zip(*cohort.pairs, strict=True))
    products = np.zeros((q, q))
    products[first, second] = np.sum([row.products for row in days], axis=0)
    products[second, first] = products[first, second]
    users = float(sum(row.users for row in days))
    totals = np.sum([row.totals for row in days], axis=0)
    return Sums(np.array(users), np.array(scales.shifts), totals, products)


def refresh_sums(
    con: DuckDBPyConnection,
    spec: Experiment,
    *,
    fresh_exposures: Sequence[str] | None,
    fresh_outcomes: Sequence[str],
) -> None:
    """Brings the kept users and sums up to date after a load; costs what is new.

    fresh_exposures, fresh_outcomes: parts that are new; None if rows were replaced or taken away,
    so that everything is made anew. Sums are made anew, too, when a split begins.
    """
    known_until = last_pull(con, spec)
    if known_until is None:
        return
    name_variants(con, spec)
    key = {"experiment": spec.experiment}
    state = con.execute(statement("aggregate/user_state"), key).fetchone()
    cohorts = cohorts_of(spec)
    if fresh_exposures is None or state is None or state[0] != asked_of(spec):
        con.execute(statement("load/forget_users"), key)
        con.execute(statement("load/forget_user_sums"), {**key, "keep": []})
        con.execute(statement("load/users_at_look"), {**key, "look_at": known_until})
        con.execute(statement("load/rebuild_users"), key)
    else:
        _take_in(con, spec, cohorts, fresh_exposures, fresh_outcomes, state[1], known_until)
    con.execute(
        statement("load/user_state"), {**key, "asked": asked_of(spec), "known_until": known_until}
    )
    splits = begun(split_starts(plan_at(con, spec, at=known_until)), known_until)
    kept = []
    for cohort in cohorts:
        _set_caps(con, spec, cohort, known_until)
        scales = scales_of(con, spec, cohort)
        kept.append(sums_identity(spec, cohort, scales, splits))
        _store(con, spec, cohort, scales, kept[-1], known_until, splits)
    con.execute(statement("load/forget_user_sums"), {**key, "keep": kept})


def sums_identity(spec: Experiment, cohort: Cohort, scales: Scales, splits: SplitStarts) -> str:
    """Tells a cohort's kept sums apart from such that don't add up with them."""
    asked = asked_of(spec)
    if splits:
        asked += f" {[start.isoformat() for start in splits]}"
    return cohort.identity(scales.shifts, scales.caps, asked)


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
        statement("load/fresh_users"),
        {**key, "parts": list(exposures), "known_until": since, "until": until},
    )
    before = max((c.reach_us[0] for c in cohorts), default=0)
    after = max((c.reach_us[1] for c in cohorts), default=0)
    con.execute(
        statement("load/user_dirty_days"),
        {**key, "parts": list(outcomes), "before_us": before, "after_us": after},
    )
    con.execute(statement("load/forget_user_days"), key)
    con.execute(statement("load/update_users"), key)
    con.execute(statement("load/add_users"), key)


def _store(
    con: DuckDBPyConnection,
    spec: Experiment,
    cohort: Cohort,
    scales: Scales,
    identity: str,
    known_until: datetime,
    splits: SplitStarts,
) -> None:
    """Keeps the sums of the days whose last user has a final value by now."""
    window = cohort.window_us * _MICROSECOND
    closed = [
        day
        for day, is_stored in days_of(con, spec, identity).items()
        if not is_stored and midnight(day, known_until) + _DAY + window <= known_until
    ]
    until = known_until - window
    rows = day_sums(con, spec, cohort, scales, closed, exposed_until=until, splits=splits)
    if rows:
        columns = {name: [getattr(row, name) for row in rows] for name in SumsRow.__slots__}
        con.execute(
            statement("load/user_sums"),
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
    splits: SplitStarts,
) -> list[SumsRow]:
    """The sums of the stored users first exposed on some days, but not after exposed_until."""
    if not days:
        return []
    con.execute(
        statement("load/users_of_days"),
        {"experiment": spec.experiment, "days": list(days)},
    )
    span = (min(days), max(days))
    make_values(con, spec, cohort, scales, exposed_until=exposed_until, days=span, splits=splits)
    return sum_values(con, spec, cohort)


def _set_caps(
    con: DuckDBPyConnection, spec: Experiment, cohort: Cohort, known_until: datetime
) -> None:
    """Sets the caps that are asked for and not set yet, once there are users enough.

    One of 0 isn't kept: that most of the first users did nothing says nothing of what a user does
    who did something.
    """
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
        statement("load/users_at_look"), {"experiment": spec.experiment, "look_at": known_until}
    )
    make_values(con, spec, cohort, scales, exposed_until=until)
    for i in missing:
        quantity = cohort.quantities[i]
        answer: Any = con.execute(
            statement("aggregate/user_cap", value=f"q{i}"), {"share": quantity.cap_share}
        ).fetchone()
        if answer[0] >= _USERS_FOR_A_CAP:
            con.execute(
                statement("load/user_cap"),
                {
                    "experiment": spec.experiment,
                    "quantity": quantity.identity,
                    "cap": answer[1] + scales.shifts[i],
                },
            )
