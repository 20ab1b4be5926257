"""Pulls users' exposures and outcomes into the warehouse: idempotent, all or nothing."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from flows.ingest.sources.user_files import file_state, find_files, stage_file
from flows.ingest.sources.user_postgres import stage_query
from flows.ingest.sources.user_rows import UserDataRefused, UserRows, WantedRows
from flows.ingest.users.load_users import KnownPart, Reading, known_parts, load_readings
from flows.ingest.users.pull_report import SourcePull, UserPull
from flows.spec.experiment import Experiment
from flows.spec.sources import CounterSource, FileSource, PostgresSource
from flows.warehouse.connection import open_writer

if TYPE_CHECKING:
    from flows.ingest.sources.samples import SampleSource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from flows.formats.problems import UserError

_SCRAPE_TIMEOUT = timedelta(seconds=10)


__all__ = ["UserDataRefused", "pull_users"]


def pull_users(
    spec: Experiment,
    warehouse: Path,
    *,
    spec_dir: Path,
    until_ms: int,
    counters: SampleSource | None = None,
) -> UserPull:
    """Brings users' exposures and outcomes up to what their sources hold now.

    A file that didn't change is not read again; one that did replaces its own rows. The sources
    are read before the warehouse is opened to write, and written in one transaction.
    counters: where `conversions` are read from, instead of the spec's Prometheus.
    Raises UserDataRefused, SourceUnavailable, SourceRefused, StagingFailed, WarehouseBusy or
    WarehouseUnusable; then nothing of the source in question was written.
    """
    given = _given(spec)
    sources = _pull_rows(spec, warehouse, given, spec_dir, until_ms) if given else ()
    if spec.sources.conversions is None:
        return UserPull(spec.experiment, sources)
    from flows.ingest.users.conversion_counters import pull_conversions  # noqa: PLC0415

    if counters is None:
        counters = _open(spec.sources.conversions)
        until_ms = min(until_ms, _closed_ms(spec.sources.conversions))
    conversions = pull_conversions(spec, counters, warehouse, until_ms=until_ms)
    return UserPull(spec.experiment, sources, conversions)


def _given(spec: Experiment) -> dict[UserRows, FileSource | PostgresSource]:
    sources = {UserRows.EXPOSURES: spec.sources.exposures, UserRows.OUTCOMES: spec.sources.outcomes}
    return {kind: source for kind, source in sources.items() if source is not None}


def _open(source: CounterSource) -> SampleSource:
    from flows.ingest.sources.prometheus import PrometheusSamples  # noqa: PLC0415

    return PrometheusSamples(source.prometheus)


def _closed_ms(source: CounterSource) -> int:
    """Up to when the scrapes must have arrived by now."""
    patience = 2 * source.prometheus.scrape_interval + _SCRAPE_TIMEOUT
    return time.time_ns() // 1_000_000 - round(patience.total_seconds() * 1000)


def _pull_rows(
    spec: Experiment,
    warehouse: Path,
    given: Mapping[UserRows, FileSource | PostgresSource],
    spec_dir: Path,
    until_ms: int,
) -> tuple[SourcePull, ...]:
    with open_writer(warehouse) as con:
        known = {kind: known_parts(con, spec, kind) for kind in given}
    with staging_folder() as folder:
        readings = [
            _read(spec, kind, source, known[kind], spec_dir=spec_dir, folder=folder)
            for kind, source in given.items()
        ]
        with open_writer(warehouse) as con:
            return load_readings(con, spec, readings, until_ms=until_ms)


def _read(
    spec: Experiment,
    kind: UserRows,
    source: FileSource | PostgresSource,
    known: Mapping[str, KnownPart],
    *,
    spec_dir: Path,
    folder: Path,
) -> Reading:
    """Stages what is new; touches no warehouse."""
    import duckdb  # noqa: PLC0415

    columns = {str(k): v for k, v in source.columns.items()}
    wanted = WantedRows(kind, spec.experiment, columns, tuple(source.segments))
    origin = hashlib.sha256(source.model_dump_json().encode()).hexdigest()[:16]
    with duckdb.connect() as con:
        # A time without a zone is UTC, whatever this machine's zone is.
        con.execute("set timezone = 'UTC'")
        if not isinstance(source, FileSource):
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


class StagingFailed(UserError):
    """Rows of users can't be kept aside while they are read: a full disk, or too little memory."""


@contextmanager
def staging_folder() -> Iterator[Path]:
    """A folder that is gone after the with block.

    Raises StagingFailed where it can't be made or written, or where memory doesn't suffice; what
    goes wrong in a source or in the warehouse passes.
    """
    try:
        made = tempfile.TemporaryDirectory(prefix="verdict-users-")
    except OSError as error:
        raise StagingFailed(f"users' rows can't be kept aside: {error}") from error
    with made as folder:
        try:
            yield Path(folder)
        except duckdb.OutOfMemoryException as error:
            raise StagingFailed(f"users' rows need more memory than there is: {error}") from error
        except duckdb.Error as error:
            if folder not in str(error):
                raise
            raise StagingFailed(
                f"users' rows can't be kept aside in {Path(folder).parent}: {_line(error)}. Free "
                "some space there, or set TMPDIR to a folder that has some"
            ) from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
