"""Reads what is new in a source of users' rows into files beside the warehouse."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import duckdb

from flows.formats.problems import UserError, os_reason
from flows.formats.scratch_folder import scratch_folder
from flows.ingest.sources.local_files import file_state, find_files
from flows.ingest.sources.shared_files import SharedFiles, use_of
from flows.ingest.sources.staged_rows import make_macros
from flows.ingest.sources.user_files import stage_file
from flows.ingest.sources.user_postgres import stage_query
from flows.ingest.sources.user_rows import StagedPart, UserDataRefused, UserRows, WantedRows
from flows.ingest.users.parts import KnownPart
from flows.spec.experiment import Experiment
from flows.spec.sources import FileSource, RowSource, UsersFile, UsersQuery
from flows.warehouse.engines import attached
from flows.warehouse.resources import resources_of, said_of_memory


class StagingFailed(UserError):
    """Rows of users can't be kept aside while they are read: a full disk, or too little memory."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read of one source: staged parts, those left unread, and those not found any more.

    origin: identity of the source as the spec says it; another one replaces everything.
    is_elsewhere: whether the rows stay where they are, so that every load names them anew.
    """

    kind: UserRows
    origin: str
    staged: tuple[StagedPart, ...]
    unchanged: tuple[str, ...] = ()
    vanished: tuple[str, ...] = ()
    is_elsewhere: bool = False


@dataclass(slots=True)
class Staging:
    """Where rows are kept aside and read, for the pulls of one run.

    Made at the first use; a file that several of the experiments use is read once.
    warehouse: whose settings say what DuckDB may take. specs: the experiments that may be pulled,
    with their paths.
    """

    warehouse: Path
    specs: Sequence[tuple[Path, Experiment]] = ()
    _stack: ExitStack = field(default_factory=ExitStack)
    _made: tuple[Path, SharedFiles] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @contextmanager
    def place(self) -> Iterator[tuple[Path, SharedFiles]]:
        """The folder, gone after the run or at the next pull if the process is killed.

        Raises StagingFailed where it can't be made or written, or where memory doesn't suffice;
        what goes wrong in a source or in the warehouse passes.
        """
        if self._made is None:
            try:
                folder = self._stack.enter_context(scratch_folder("verdict-users-"))
            except OSError as error:
                raise StagingFailed(
                    f"users' rows can't be kept aside: {os_reason(error)}"
                ) from error
            # What doesn't fit into memory is kept aside there, too: not in the current folder.
            resources = resources_of(self.warehouse)
            # A time without a zone is UTC, whatever this machine's zone is.
            con = self._stack.enter_context(attached(None, folder / "spilled", resources))
            make_macros(con)
            self._made = folder, SharedFiles(con, folder, _uses(self.specs))
        folder, shared = self._made
        try:
            yield folder, shared
        except duckdb.OutOfMemoryException as error:
            raise StagingFailed(
                f"users' rows need more memory than there is: {said_of_memory(error)}"
            ) from error
        except duckdb.Error as error:
            if str(folder) not in str(error):
                raise
            line = " ".join(str(error).split())
            raise StagingFailed(
                f"users' rows can't be kept aside in {folder.parent}: {line}. Free "
                "some space there, or set TMPDIR to a folder that has some"
            ) from error


def stage_source(
    spec: Experiment,
    kind: UserRows,
    source: RowSource,
    known: Mapping[str, KnownPart],
    *,
    spec_dir: Path,
    folder: Path,
    shared: SharedFiles,
) -> Reading:
    """Stages what is new of one source in the folder; touches no warehouse.

    known: the source's parts in the warehouse. A file that didn't change is not read again.
    Raises UserDataRefused, SourceUnavailable or SourceRefused.
    """
    wanted = wanted_rows(spec, kind, source)
    origin = origin_of(source, wanted)
    if not isinstance(source, FileSource | UsersFile):
        path = folder / f"{spec.experiment}-{kind}.parquet"
        return Reading(kind, origin, (stage_query(shared.con, source, wanted, path=path),))
    files = find_files(source.files, spec_dir)
    same = {part: old for part, old in known.items() if old.origin == origin}
    changed = [
        part
        for part, file in files.items()
        if part not in same or not _is_as_read(same[part].state, file_state(file), wanted)
    ]
    staged = []
    for number, part in enumerate(changed):
        path = folder / f"{spec.experiment}-{kind}-{number}.parquet"
        cut = shared.cut(files[part], wanted, part=part, path=path)
        staged.append(cut or stage_file(shared.con, files[part], wanted, part=part, path=path))
    unchanged = tuple(part for part in files if part not in changed)
    return Reading(kind, origin, tuple(staged), unchanged, tuple(sorted(set(same) - set(files))))


def _is_as_read(known: str, state: str, wanted: WantedRows) -> bool:
    """Whether a part of a known state would be read as it was."""
    return bool(known) and known in (state, wanted.state_of(state))


def _uses(specs: Sequence[tuple[Path, Experiment]]) -> Mapping[str, int]:
    """How many experiments use each file of rows."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for path, spec in specs:
        for kind, source in spec.sources.rows.items():
            if isinstance(source, FileSource | UsersFile):
                wanted = wanted_rows(spec, UserRows(kind), source)
                with suppress(UserDataRefused):  # said by the pull
                    for file in find_files(source.files, path.parent).values():
                        found[use_of(file, wanted)].add(spec.experiment)
    return {use: len(names) for use, names in found.items()}


def wanted_rows(spec: Experiment, kind: UserRows, source: RowSource) -> WantedRows:
    """What is to be read of a source for one kind of rows."""
    is_wide = isinstance(source, UsersFile | UsersQuery)
    is_exposures = kind is UserRows.EXPOSURES
    called = {v.value: name for name, v in spec.variants.items() if v.value is not None}
    return WantedRows(
        kind,
        spec.experiment,
        source.names,
        tuple(source.segments) if is_exposures else (),
        names_in_data=called if is_exposures else {},
        time_format=source.time_format,
        variants=tuple(spec.variants),
        wide=source.outcomes if isinstance(source, UsersFile | UsersQuery) else {},
        at=spec.plan.start if is_wide and spec.sources.is_timeless else None,
        summed=() if is_exposures or is_wide else _summed(spec),
    )


def _summed(spec: Experiment) -> tuple[str, ...]:
    """Outcomes whose amounts a metric adds up; a ratio may be one of rows, which are 1 each."""
    metrics = spec.user_metrics.values()
    return tuple(sorted({one.outcome for one in metrics if one.kind in ("mean", "quantile")}))


def origin_of(source: RowSource, wanted: WantedRows) -> str:
    """Identity of a source as the spec says it, and of what else its rows depend on."""
    text = source.model_dump_json()
    if wanted.names_in_data or wanted.at is not None:
        text += f"{sorted(wanted.names_in_data.items())} {wanted.at}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]
