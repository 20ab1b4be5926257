"""Reads what is new in a source of users' rows into files beside the warehouse."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from flows.formats.problems import UserError
from flows.formats.scratch_folder import scratch_folder
from flows.ingest.sources.local_files import file_state, find_files
from flows.ingest.sources.user_files import stage_file
from flows.ingest.sources.user_postgres import stage_query
from flows.ingest.sources.user_rows import StagedPart, UserRows, WantedRows
from flows.ingest.users.parts import KnownPart
from flows.spec.experiment import Experiment
from flows.spec.sources import FileSource, RowSource, UsersFile, UsersQuery


class StagingFailed(UserError):
    """Rows of users can't be kept aside while they are read: a full disk, or too little memory."""


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


@contextmanager
def staging_folder() -> Iterator[Path]:
    """A folder that is gone after the with block, or at the next pull if the process is killed.

    Raises StagingFailed where it can't be made or written, or where memory doesn't suffice; what
    goes wrong in a source or in the warehouse passes.
    """
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(scratch_folder("verdict-users-"))
        except OSError as error:
            raise StagingFailed(f"users' rows can't be kept aside: {error}") from error
        try:
            yield folder
        except duckdb.OutOfMemoryException as error:
            raise StagingFailed(f"users' rows need more memory than there is: {error}") from error
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
    resources: Mapping[str, str] = {},
) -> Reading:
    """Stages what is new of one source in the folder; touches no warehouse.

    known: the source's parts in the warehouse. A file that didn't change is not read again.
    resources: what DuckDB may take.
    Raises UserDataRefused, SourceUnavailable or SourceRefused.
    """
    wanted = _wanted(spec, kind, source)
    origin = _origin(source, wanted)
    # What doesn't fit into memory is kept aside there, too: not in the current folder.
    with duckdb.connect(config={"temp_directory": str(folder / "spilled"), **resources}) as con:
        # A time without a zone is UTC, whatever this machine's zone is.
        con.execute("set timezone = 'UTC'")
        if not isinstance(source, FileSource | UsersFile):
            path = folder / f"{kind}.parquet"
            return Reading(kind, origin, (stage_query(con, source, wanted, path=path),))
        files = find_files(source.files, spec_dir)
        same = {part: old for part, old in known.items() if old.origin == origin}
        changed = [
            part
            for part, file in files.items()
            if part not in same or not same[part].state or same[part].state != file_state(file)
        ]
        staged = tuple(
            stage_file(
                con, files[part], wanted, part=part, path=folder / f"{kind}-{number}.parquet"
            )
            for number, part in enumerate(changed)
        )
    unchanged = tuple(part for part in files if part not in changed)
    return Reading(kind, origin, staged, unchanged, tuple(sorted(set(same) - set(files))))


def _wanted(spec: Experiment, kind: UserRows, source: RowSource) -> WantedRows:
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
    )


def _origin(source: RowSource, wanted: WantedRows) -> str:
    """Identity of a source as the spec says it, and of what else its rows depend on."""
    text = source.model_dump_json()
    if wanted.names_in_data or wanted.at is not None:
        text += f"{sorted(wanted.names_in_data.items())} {wanted.at}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]
