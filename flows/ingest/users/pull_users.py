"""Pulls users' exposures and outcomes into the warehouse: idempotent, all or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from flows.ingest.coverage import complete_until_ms, users_known_until
from flows.ingest.sources.source_error import named_in_spec
from flows.ingest.sources.user_rows import UserRows
from flows.ingest.users.forget_users import leave_out_forgotten
from flows.ingest.users.kept_sums import keep_sums
from flows.ingest.users.load_users import LoadedUsers, load_readings, see_again
from flows.ingest.users.parts import KnownPart, known_parts
from flows.ingest.users.pull_aggregates import pull_aggregates
from flows.ingest.users.pull_report import SourcePull, UserPull
from flows.ingest.users.staging import Reading, Staging, stage_source, wanted_rows
from flows.spec.experiment import Experiment
from flows.spec.sources import RowSource
from flows.warehouse.connection import open_reader, open_writer, transaction
from flows.warehouse.engines import on_all_threads
from flows.warehouse.statements import Connection, run

if TYPE_CHECKING:
    from flows.ingest.sources.samples import SampleSource

# Of so many users more who came late, outcomes that were read before are seen again.
_LATE_SHARE = 0.01
# Fewer than DuckDB shares out among threads.
_FEW_ROWS = 122_880


def pull_users(
    spec: Experiment,
    warehouse: Path,
    *,
    spec_dir: Path,
    until_ms: int,
    counters: SampleSource | None = None,
    staging: Staging | None = None,
) -> UserPull:
    """Brings users' exposures and outcomes, or sums over them, up to what their sources hold now.

    A file that didn't change is not read again; one that did replaces its own rows. The sources
    are read before the warehouse is opened to write, and written in one transaction.
    staging: of the run, if this is one of several pulls.
    counters: where `conversions` are read from, instead of the spec's Prometheus.
    Raises UserDataRefused, SourceUnavailable, SourceRefused, StagingFailed, WarehouseBusy or
    WarehouseUnusable; then nothing of the source in question was written.
    """
    if spec.sources.sums is not None:
        with named_in_spec(spec.experiment, "sources.users"):
            sums = pull_aggregates(
                spec, spec.sources.sums, warehouse, spec_dir=spec_dir, until_ms=until_ms
            )
        return UserPull(spec.experiment, (), sums=sums)
    rows = {UserRows(kind): source for kind, source in spec.sources.rows.items()}
    sources = _pull_rows(spec, warehouse, rows, spec_dir, until_ms, staging) if rows else ()
    if spec.sources.conversions is None:
        return UserPull(spec.experiment, sources)
    from flows.ingest.users.conversion_counters import pull_conversions  # noqa: PLC0415

    with named_in_spec(spec.experiment, "sources.conversions"):
        if counters is None:
            from flows.ingest.sources.prometheus import PrometheusSamples  # noqa: PLC0415

            counters = PrometheusSamples(spec.sources.conversions.prometheus)
            interval = spec.sources.conversions.prometheus.scrape_interval
            until_ms = min(until_ms, complete_until_ms(interval, counters.server_time()))
        conversions = pull_conversions(spec, counters, warehouse, until_ms=until_ms)
    return UserPull(spec.experiment, sources, conversions)


def _pull_rows(
    spec: Experiment,
    warehouse: Path,
    sources: Mapping[UserRows, RowSource],
    spec_dir: Path,
    until_ms: int,
    staging: Staging | None,
) -> tuple[SourcePull, ...]:
    """The way of a user's rows: staged, loaded, and reduced to the sums that are kept."""
    if spec.engine is not None:
        from flows.ingest.users.engine_pull import pull_by_engine  # noqa: PLC0415

        with named_in_spec(spec.experiment, "engine"):
            return pull_by_engine(
                spec, spec.engine, warehouse, sources, spec_dir=spec_dir, until_ms=until_ms
            )
    # A reader waits for no other reader; a new warehouse is made first.
    opened = open_reader if warehouse.exists() else open_writer
    with opened(warehouse) as con:
        known = known_parts(con, spec)
        # Without known parts none of outcomes can be left as it was.
        since = users_known_until(con, spec) if known[UserRows.OUTCOMES] else None
    with ExitStack() as stack:
        staging = staging or stack.enter_context(Staging(warehouse))
        folder, shared = stack.enter_context(staging.place())

        def stage(kind: UserRows, known: Mapping[str, KnownPart]) -> Reading:
            source = sources[kind]
            with named_in_spec(spec.experiment, wanted_rows(spec, kind, source).section):
                return stage_source(
                    spec, kind, source, known, spec_dir=spec_dir, folder=folder, shared=shared
                )

        readings = [stage(kind, known[kind]) for kind in sources]
        is_much = _rows(known, readings) > _FEW_ROWS
        with open_writer(warehouse) as con, ExitStack() as steps:
            if is_much:
                steps.enter_context(on_all_threads(con, warehouse))
            steps.enter_context(transaction(con))
            loaded = load_readings(con, spec, readings, until_ms=until_ms)
            if unseen := _unseen_outcomes(con, spec, loaded, readings, since):
                kept = {k: v for k, v in known[UserRows.OUTCOMES].items() if k not in unseen}
                again = stage(UserRows.OUTCOMES, kept).staged
                see_again(con, spec, [each for each in again if each.part in unseen])
            leave_out_forgotten(con, spec)
            keep_sums(con, spec, loaded.fresh)
    for reading in readings:
        for each in reading.staged:
            each.path.unlink(missing_ok=True)
    return loaded.sources


def _rows(known: Mapping[UserRows, Mapping[str, KnownPart]], readings: Sequence[Reading]) -> int:
    """How many a load may have to do with: those that are there, and those that come in."""
    there = sum(part.row_count for parts in known.values() for part in parts.values())
    return there + sum(part.row_count for reading in readings for part in reading.staged)


def _unseen_outcomes(
    con: Connection,
    spec: Experiment,
    loaded: LoadedUsers,
    readings: Sequence[Reading],
    since: datetime | None,
) -> set[str]:
    """Parts of outcomes that were read before some users were known, whose rows that name other
    experiments are therefore not known either. since: up to when users were known."""
    fresh = next((s.replaced for s in loaded.sources if s.kind is UserRows.EXPOSURES), ())
    outcomes = next((r for r in readings if r.kind is UserRows.OUTCOMES), None)
    if since is None or outcomes is None or not fresh:
        return set()
    known = known_parts(con, spec)[UserRows.OUTCOMES]
    old = {part for part in outcomes.unchanged if known[part].left_out.other_experiment}
    if not old:
        return set()
    asked = {"experiment": spec.experiment, "parts": list(fresh), "since": since}
    row = run(con, "aggregate/late_users", **asked).fetchone()
    return old if row and row[0] > _LATE_SHARE * row[1] else set()
