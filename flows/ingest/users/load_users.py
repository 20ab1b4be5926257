"""Writes staged parts of exposures and outcomes into the warehouse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from flows.formats.time import instant
from flows.ingest.claimed_sources import ClaimedSource, claim_sources
from flows.ingest.sources.user_rows import LeftOut, StagedPart, UserRows
from flows.ingest.users.parts import KnownPart, known_parts, known_sources
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
    known = known_parts(con, spec)
    loads = [_Load(reading, known[reading.kind]) for reading in readings]
    claimed = [each.claimed for each in loads]
    claim_sources(con, spec.experiment, instant(until_ms), claimed)
    shorter = {each.reading.kind: _shortened(con, spec, each) for each in loads}
    again = {each.reading.kind: _load(con, spec, each) for each in loads}
    _note_parts(con, spec, loads)
    for each in loads:
        _note_gone(con, spec, each, again[each.reading.kind], shorter[each.reading.kind])
    found = {source.kind: source for source in known_sources(con, spec)}
    pulled = tuple(
        replace(
            found[each.reading.kind],
            replaced=tuple(part.part for part in each.replaced),
            unchanged=len(each.reading.unchanged) + len(each.reading.staged) - len(each.replaced),
            forgotten=(*each.forgotten, *(came.part for came in again[each.reading.kind])),
        )
        for each in loads
    )
    is_appended = all(
        not each.forgotten and not known[each.kind].keys() & set(each.replaced) for each in pulled
    )
    fresh = {each.kind: each.replaced for each in pulled}
    return LoadedUsers(pulled, fresh if is_appended else None)


class _Load:
    """What a reading changes: the parts whose rows it replaces, and those of another source."""

    def __init__(self, reading: Reading, known: Mapping[str, KnownPart]) -> None:
        self.reading, self.known = reading, known
        here = {each.part for each in reading.staged}
        self.forgotten = tuple(
            part for part, old in known.items() if old.origin != reading.origin and part not in here
        )
        self.replaced = tuple(
            each
            for each in reading.staged
            if reading.is_elsewhere or _differs(each, known, reading.origin)
        )

    @property
    def claimed(self) -> ClaimedSource:
        """The source as it is after the load."""
        reading = self.reading
        counts = {p: old.row_count for p, old in self.known.items() if p not in self.forgotten}
        counts |= {each.part: each.row_count for each in reading.staged}
        return ClaimedSource(
            reading.kind.value,
            bool(self.replaced or self.forgotten),
            sum(counts.values()),
            len(reading.staged) + len(reading.unchanged),
            reading.origin,
        )


def _load(con: Connection, spec: Experiment, load: _Load) -> list[CameAgain]:
    """Replaces the rows of the parts that changed, and forgets those of another source.

    Returns the parts that came again in others, which are forgotten, too.
    """
    kind = load.reading.kind
    again = _came_again(con, spec, load)
    gone = [*load.forgotten, *(each.part for each in again)]
    for part in gone:
        _forget_rows(con, spec, kind, part)
    known = [*gone, *(each.part for each in load.reading.staged if each.part in load.known)]
    if known:
        run(
            con,
            "load/forget_user_parts",
            experiment=spec.experiment,
            source=kind.value,
            parts=known,
        )
    for each in load.replaced:
        # No part, no rows: a table of many is not searched for them.
        if each.part in load.known:
            _forget_rows(con, spec, kind, each.part)
        _add_rows(con, spec, kind, each)
    return again


def _note_parts(con: Connection, spec: Experiment, loads: Sequence[_Load]) -> None:
    """Notes what was staged."""
    rows = [
        {
            "source": load.reading.kind.value,
            "part": each.part,
            "origin": load.reading.origin,
            "state": each.state,
            "checksum": each.checksum,
            "generation": (load.known[each.part].generation if each.part in load.known else 0)
            + (each in load.replaced),
            "row_count": each.row_count,
            **asdict(each.left_out),
        }
        for load in loads
        for each in load.reading.staged
    ]
    if rows:
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        run(con, "load/user_parts", experiment=spec.experiment, **columns)


def _came_again(con: Connection, spec: Experiment, load: _Load) -> list[CameAgain]:
    """The vanished parts of whose rows at least half are in new parts: renamed, or written anew."""
    reading, known = load.reading, load.known
    files = [each for each in load.replaced if each.part not in known and each.row_count]
    if not files:
        return []
    found = []
    for part in reading.vanished:
        row_count = known[part].row_count
        again = _found_again(con, spec, reading.kind, part, files)
        if row_count and 2 * again >= row_count:
            found.append(CameAgain(part, row_count, again, [each.part for each in files]))
    return found


def _found_again(
    con: Connection, spec: Experiment, kind: UserRows, part: str, files: Sequence[StagedPart]
) -> int:
    """How many rows of a part are in these files."""
    staged = [str(each.path) for each in files]
    asked = {"experiment": spec.experiment, "part": part, "staged": staged}
    row = run(con, "aggregate/rows_found_again", _columns(kind), **asked).fetchone()
    return int(row[0]) if row else 0


def _shortened(con: Connection, spec: Experiment, load: _Load) -> list[CameAgain]:
    """The parts that have lost rows of their own, such as a file that begins anew every week.

    Looked at closely where one has fewer rows than before, or begins later. What is gone stays
    noted until the part has as many rows again.
    """
    kind, again = load.reading.kind, [each for each in load.replaced if each.part in load.known]
    if not again:
        return []
    rows = run(con, "aggregate/replaced_parts", experiment=spec.experiment).fetchall()
    noted = {row[1]: CameAgain(*row[1:]) for row in rows if row[0] == kind and row[1] in row[4]}
    found = []
    for each in again:
        old, before = load.known[each.part].row_count, noted.get(each.part)
        # Read in another way its rows are others.
        is_alike = load.known[each.part].origin == load.reading.origin
        asked = {"experiment": spec.experiment, "part": each.part, "staged": str(each.path)}
        later = run(con, "aggregate/begins_later", _columns(kind), **asked).fetchone()
        if is_alike and each.row_count and (each.row_count < old or (later and later[0])):
            left = _found_again(con, spec, kind, each.part, [each])
            before = CameAgain(each.part, old, left, [each.part]) if left < old else before
        elif before is not None and each.row_count >= before.row_count:
            before = None
        found += [before] if before is not None else []
    return found


def _columns(kind: UserRows) -> dict[str, str]:
    """What statements on rows of either kind are filled in with."""
    is_exposures = kind is UserRows.EXPOSURES
    return {
        "rows": kind.value,
        "named": kind.name_column,
        "at": "exposed_at" if is_exposures else "occurred_at",
        "rest": "segments" if is_exposures else "value",
    }


def _note_gone(
    con: Connection,
    spec: Experiment,
    load: _Load,
    again: Sequence[CameAgain],
    shorter: Sequence[CameAgain],
) -> None:
    """Keeps which parts or rows of parts are not found any more, for the verdict's notes."""
    key = {"experiment": spec.experiment, "source": load.reading.kind.value}
    vanished = load.reading.vanished
    if vanished or any(old.is_gone for old in load.known.values()):
        run(con, "load/gone_part", **key, gone=list(vanished))
    if again:
        run(con, "load/forget_replaced_parts", **key)
    for part in (each.part for each in load.replaced if each.part in load.known):
        run(con, "load/forget_shortened_part", **key, part=part)
    for one in (*again, *shorter):
        run(con, "load/replaced_part", **key, **asdict(one))


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


def _add_rows(con: Connection, spec: Experiment, kind: UserRows, staged: StagedPart) -> None:
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
