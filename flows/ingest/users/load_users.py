"""Writes staged parts of exposures and outcomes into the warehouse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from flows.formats.time import instant
from flows.ingest.sources.user_rows import LeftOut, StagedPart, UserRows
from flows.ingest.users.parts import KnownPart, known_parts, known_source
from flows.ingest.users.pull_report import CameAgain, SourcePull
from flows.ingest.users.staging import Reading
from flows.spec.experiment import Experiment
from flows.warehouse.statements import Connection, run


@dataclass(frozen=True, slots=True)
class LoadedUsers:
    """What a load of users' rows did.

    fresh: by kind, the parts whose rows were written; None if rows that the warehouse had were
    replaced or taken away.
    """

    sources: tuple[SourcePull, ...]
    fresh: Mapping[UserRows, Sequence[str]] | None


def load_readings(
    con: Connection, spec: Experiment, readings: Sequence[Reading], *, until_ms: int
) -> LoadedUsers:
    """Replaces what changed, within the caller's transaction.

    Raises UserDataRefused if no exposure is to a variant of the spec.
    """
    known = {reading.kind: set(known_parts(con, spec, reading.kind)) for reading in readings}
    pulled = tuple(_load(con, spec, reading, until_ms=until_ms) for reading in readings)
    is_appended = all(
        not each.forgotten and not known[each.kind] & set(each.replaced) for each in pulled
    )
    fresh = {each.kind: each.replaced for each in pulled}
    return LoadedUsers(pulled, fresh if is_appended else None)


def _load(con: Connection, spec: Experiment, reading: Reading, *, until_ms: int) -> SourcePull:
    """Replaces the rows of the parts that changed, and forgets those of another source."""
    known = known_parts(con, spec, reading.kind)
    forgotten = tuple(
        part
        for part, old in known.items()
        if old.origin != reading.origin and part not in {each.part for each in reading.staged}
    )
    replaced = tuple(
        each
        for each in reading.staged
        if reading.is_elsewhere or _differs(each, known, reading.origin)
    )
    counts = {part: old.row_count for part, old in known.items() if part not in forgotten}
    counts |= {each.part: each.row_count for each in reading.staged}
    is_changed, row_count = bool(replaced or forgotten), sum(counts.values())
    key = {"experiment": spec.experiment, "source": reading.kind.value}
    run(
        con,
        "load/claimed_source",
        **key,
        until=instant(until_ms),
        is_changed=is_changed,
        row_count=row_count,
        parts=len(reading.staged) + len(reading.unchanged),
        origin=reading.origin,
    )
    again = _came_again(con, spec, reading, replaced)
    for part in (*forgotten, *(each.part for each in again)):
        _forget_rows(con, spec, reading.kind, part)
        run(con, "load/forget_user_part", **key, part=part)
    for each in reading.staged:
        if each in replaced:
            _replace_rows(con, spec, reading.kind, each)
        old = known.get(each.part)
        run(
            con,
            "load/user_part",
            **key,
            part=each.part,
            origin=reading.origin,
            state=each.state,
            checksum=each.checksum,
            generation=(old.generation if old else 0) + (each in replaced),
            row_count=each.row_count,
            **asdict(each.left_out),
        )
    _note_gone(con, spec, reading, again)
    return replace(
        known_source(con, spec, reading.kind),
        replaced=tuple(each.part for each in replaced),
        unchanged=len(reading.unchanged) + len(reading.staged) - len(replaced),
        forgotten=(*forgotten, *(each.part for each in again)),
    )


def _came_again(
    con: Connection, spec: Experiment, reading: Reading, fresh: Sequence[StagedPart]
) -> list[CameAgain]:
    """The vanished parts of whose rows at least half are in new parts: renamed, or written anew."""
    known = known_parts(con, spec, reading.kind)
    files = [each for each in fresh if each.part not in known and each.row_count]
    if not files:
        return []
    is_exposures = reading.kind is UserRows.EXPOSURES
    lists = {
        "rows": reading.kind.value,
        "named": reading.kind.name_column,
        "at": "exposed_at" if is_exposures else "occurred_at",
        "rest": "segments" if is_exposures else "value",
    }
    staged = [str(each.path) for each in files]
    found = []
    for part in reading.vanished:
        row_count = known[part].row_count
        asked = {"experiment": spec.experiment, "part": part, "staged": staged}
        row = run(con, "aggregate/rows_found_again", lists, **asked).fetchone()
        if row and row_count and 2 * row[0] >= row_count:
            found.append(CameAgain(part, row_count, row[0], [each.part for each in files]))
    return found


def _note_gone(
    con: Connection, spec: Experiment, reading: Reading, again: Sequence[CameAgain]
) -> None:
    """Keeps which parts are not found any more, for the verdict's notes."""
    key = {"experiment": spec.experiment, "source": reading.kind.value}
    run(con, "load/gone_part", **key, gone=list(reading.vanished))
    if again:
        run(con, "load/forget_replaced_parts", **key)
    for each in again:
        run(con, "load/replaced_part", **key, **asdict(each))


def _differs(staged: StagedPart, known: Mapping[str, KnownPart], origin: str) -> bool:
    old = known.get(staged.part)
    return (
        old is None
        or old.origin != origin
        or old.checksum != staged.checksum
        or old.row_count != staged.row_count
    )


def _forget_rows(con: Connection, spec: Experiment, kind: UserRows, part: str) -> None:
    """Removes the rows of a part, and what is known of those that were left out."""
    tables = ("outcomes", "left_out_outcomes") if kind is UserRows.OUTCOMES else ("exposures",)
    for rows in tables:
        run(con, "load/forget_rows", {"rows": rows}, experiment=spec.experiment, part=part)


def _replace_rows(con: Connection, spec: Experiment, kind: UserRows, staged: StagedPart) -> None:
    _forget_rows(con, spec, kind, staged.part)
    asked = {"experiment": spec.experiment, "part": staged.part, "staged": str(staged.path)}
    run(con, f"load/{kind}", **asked)
    if kind is UserRows.OUTCOMES:
        _note_left_out(con, spec, staged)


def see_again(con: Connection, spec: Experiment, parts: Sequence[StagedPart]) -> None:
    """Notes anew what is left out of parts of outcomes, whose rows themselves are as they were."""
    for staged in parts:
        asked = {"experiment": spec.experiment, "part": staged.part}
        run(con, "load/forget_rows", {"rows": "left_out_outcomes"}, **asked)
        _note_left_out(con, spec, staged)


def _note_left_out(con: Connection, spec: Experiment, staged: StagedPart) -> None:
    if staged.left_out == LeftOut():
        return
    run(
        con,
        "load/left_out_outcomes",
        experiment=spec.experiment,
        part=staged.part,
        staged=str(staged.path),
        others=str(staged.others or staged.path),
        one_in=staged.one_in,
    )
