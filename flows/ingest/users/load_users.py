"""Writes staged parts of exposures and outcomes into the warehouse, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from typing import TYPE_CHECKING

from flows.formats.time import instant
from flows.ingest.sources.user_rows import LeftOut, StagedPart, UserDataRefused, UserRows
from flows.ingest.users.daily_sums import refresh_sums
from flows.ingest.users.pull_report import SourcePull
from flows.ingest.users.quantities import cohorts_of, quantile_cohorts
from flows.spec.experiment import Experiment
from flows.warehouse.connection import transaction
from flows.warehouse.statements import statement

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True, slots=True)
class KnownPart:
    """A part as the warehouse holds it."""

    origin: str
    state: str
    checksum: str
    generation: int
    row_count: int
    left_out: LeftOut


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read of one source: staged parts, those left unread, and those not found any more.

    origin: identity of the source as the spec says it; another one replaces everything.
    """

    kind: UserRows
    origin: str
    staged: tuple[StagedPart, ...]
    unchanged: tuple[str, ...] = ()
    vanished: tuple[str, ...] = ()


def load_readings(
    con: DuckDBPyConnection, spec: Experiment, readings: Sequence[Reading], *, until_ms: int
) -> tuple[SourcePull, ...]:
    """Replaces what changed. Raises UserDataRefused if no exposure is to a variant of the spec."""
    with transaction(con):
        known = {reading.kind: set(known_parts(con, spec, reading.kind)) for reading in readings}
        pulled = [_load(con, spec, reading, until_ms=until_ms) for reading in readings]
        _set_shifts(con, spec)
        if readings:
            _refresh(con, spec, pulled, known)
    return tuple(pulled)


def _refresh(
    con: DuckDBPyConnection,
    spec: Experiment,
    pulled: Sequence[SourcePull],
    known: Mapping[UserRows, set[str]],
) -> None:
    """Brings the kept sums up to date: by what is new, or anew where rows were replaced."""
    is_appended = all(
        not each.forgotten and not known[each.kind] & set(each.replaced) for each in pulled
    )
    fresh = {each.kind: each.replaced for each in pulled}
    refresh_sums(
        con,
        spec,
        fresh_exposures=fresh.get(UserRows.EXPOSURES, ()) if is_appended else None,
        fresh_outcomes=fresh.get(UserRows.OUTCOMES, ()),
    )


def known_parts(con: DuckDBPyConnection, spec: Experiment, kind: UserRows) -> dict[str, KnownPart]:
    """The parts of a source that the warehouse holds, by name."""
    rows = con.execute(
        statement("aggregate/user_parts"), {"experiment": spec.experiment, "source": kind.value}
    ).fetchall()
    return {
        part: KnownPart(origin, state, checksum, generation, row_count, LeftOut(*left_out))
        for part, origin, state, checksum, generation, row_count, *left_out in rows
    }


def known_source(con: DuckDBPyConnection, spec: Experiment, kind: UserRows) -> SourcePull:
    """A source as the warehouse holds it: what a pull that finds nothing new would say of it."""
    known = known_parts(con, spec, kind)
    return SourcePull(
        kind=kind,
        replaced=(),
        unchanged=len(known),
        vanished=(),
        forgotten=(),
        row_count=sum(old.row_count for old in known.values()),
        left_out=reduce(LeftOut.__add__, (old.left_out for old in known.values()), LeftOut()),
        unknown=_unknown_names(con, spec, kind) if known else {},
    )


def _load(
    con: DuckDBPyConnection, spec: Experiment, reading: Reading, *, until_ms: int
) -> SourcePull:
    """Replaces the rows of the parts that changed, and forgets those of another source."""
    known = known_parts(con, spec, reading.kind)
    forgotten = tuple(
        part
        for part, old in known.items()
        if old.origin != reading.origin and part not in {each.part for each in reading.staged}
    )
    replaced = tuple(each for each in reading.staged if _differs(each, known, reading.origin))
    kept = {part: old for part, old in known.items() if part not in forgotten}
    counts = {part: old.row_count for part, old in kept.items()}
    counts |= {each.part: each.row_count for each in reading.staged}
    left_out = {part: old.left_out for part, old in kept.items()}
    left_out |= {each.part: each.left_out for each in reading.staged}
    row_count = sum(counts.values())
    is_changed = bool(replaced or forgotten)
    _claim(con, spec, reading, is_changed=is_changed, row_count=row_count, until_ms=until_ms)
    for part in forgotten:
        _forget(con, spec, reading.kind, part)
    for each in reading.staged:
        if each in replaced:
            _replace_rows(con, spec, reading.kind, each)
        _remember(con, spec, reading, each, known.get(each.part), is_new=each in replaced)
    return SourcePull(
        kind=reading.kind,
        replaced=tuple(each.part for each in replaced),
        unchanged=len(reading.unchanged) + len(reading.staged) - len(replaced),
        vanished=reading.vanished,
        forgotten=forgotten,
        row_count=row_count,
        left_out=reduce(LeftOut.__add__, left_out.values(), LeftOut()),
        unknown=_unknown_names(con, spec, reading.kind),
    )


def _differs(staged: StagedPart, known: Mapping[str, KnownPart], origin: str) -> bool:
    old = known.get(staged.part)
    return (
        old is None
        or old.origin != origin
        or old.checksum != staged.checksum
        or old.row_count != staged.row_count
    )


def _claim(
    con: DuckDBPyConnection,
    spec: Experiment,
    reading: Reading,
    *,
    is_changed: bool,
    row_count: int,
    until_ms: int,
) -> None:
    con.execute(
        statement("load/user_control"),
        {
            "experiment": spec.experiment,
            "source": reading.kind.value,
            "until": instant(until_ms),
            "is_changed": is_changed,
            "row_count": row_count,
            "parts": len(reading.staged) + len(reading.unchanged),
            "origin": reading.origin,
        },
    )


def _forget(con: DuckDBPyConnection, spec: Experiment, kind: UserRows, part: str) -> None:
    key = {"experiment": spec.experiment, "part": part}
    con.execute(statement(f"load/forget_{kind}"), key)
    con.execute(statement("load/forget_user_part"), {**key, "source": kind.value})


def _replace_rows(
    con: DuckDBPyConnection, spec: Experiment, kind: UserRows, staged: StagedPart
) -> None:
    key = {"experiment": spec.experiment, "part": staged.part}
    con.execute(statement(f"load/forget_{kind}"), key)
    con.execute(statement(f"load/{kind}"), {**key, "staged": str(staged.path)})


def _remember(
    con: DuckDBPyConnection,
    spec: Experiment,
    reading: Reading,
    staged: StagedPart,
    old: KnownPart | None,
    *,
    is_new: bool,
) -> None:
    con.execute(
        statement("load/user_part"),
        {
            "experiment": spec.experiment,
            "source": reading.kind.value,
            "part": staged.part,
            "origin": reading.origin,
            "state": staged.state,
            "checksum": staged.checksum,
            "generation": (old.generation if old else 0) + is_new,
            "row_count": staged.row_count,
            **asdict(staged.left_out),
        },
    )


def _unknown_names(con: DuckDBPyConnection, spec: Experiment, kind: UserRows) -> dict[str, int]:
    """Rows by a variant that the spec doesn't have, or by outcome if no metric asks for any.

    Raises UserDataRefused if there are exposures, but none to a variant of the spec.
    """
    found = dict(
        con.execute(
            statement(f"aggregate/{kind}_names"), {"experiment": spec.experiment}
        ).fetchall()
    )
    if kind is UserRows.OUTCOMES:
        asked = {
            quantity.outcome
            for cohort in (*cohorts_of(spec), *quantile_cohorts(spec).values())
            for quantity in cohort.quantities
        }
        return {} if asked & set(found) else found
    unknown = {name: rows for name, rows in found.items() if name not in spec.variants}
    if found and len(unknown) == len(found):
        seen = ", ".join(f"{name!r} ({rows:,} rows)" for name, rows in list(found.items())[:5])
        raise UserDataRefused(
            f"exposures of {spec.experiment}: no row names a variant of the spec "
            f"({', '.join(spec.variants)}); they name {seen}"
        )
    return unknown


def _set_shifts(con: DuckDBPyConnection, spec: Experiment) -> None:
    """Sets the shift of every outcome that has none yet; once set it stays."""
    key = {"experiment": spec.experiment}
    known = {row[:2] for row in con.execute(statement("aggregate/user_shifts"), key).fetchall()}
    kinds = {"count": "count", "sum": "mean"}
    asked = {
        (quantity.outcome, kinds[quantity.counts])
        for cohort in cohorts_of(spec)
        for quantity in cohort.quantities
        if quantity.counts in kinds
    }
    for outcome, kind in sorted(asked - known):
        con.execute(statement("load/user_shift"), {**key, "outcome": outcome, "kind": kind})
