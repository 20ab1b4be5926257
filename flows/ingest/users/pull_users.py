"""Pulls users' exposures and outcomes into the warehouse: idempotent, all or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from flows.ingest.coverage import complete_until_ms
from flows.ingest.sources.user_rows import UserRows
from flows.ingest.users.forget_users import leave_out_forgotten
from flows.ingest.users.kept_sums import keep_sums
from flows.ingest.users.load_users import load_readings
from flows.ingest.users.parts import known_parts
from flows.ingest.users.pull_aggregates import pull_aggregates
from flows.ingest.users.pull_report import SourcePull, UserPull
from flows.ingest.users.staging import stage_source, staging_folder
from flows.spec.experiment import Experiment
from flows.spec.sources import RowSource
from flows.warehouse.connection import open_writer, transaction
from flows.warehouse.resources import resources_of

if TYPE_CHECKING:
    from flows.ingest.sources.samples import SampleSource


def pull_users(
    spec: Experiment,
    warehouse: Path,
    *,
    spec_dir: Path,
    until_ms: int,
    counters: SampleSource | None = None,
) -> UserPull:
    """Brings users' exposures and outcomes, or sums over them, up to what their sources hold now.

    A file that didn't change is not read again; one that did replaces its own rows. The sources
    are read before the warehouse is opened to write, and written in one transaction.
    counters: where `conversions` are read from, instead of the spec's Prometheus.
    Raises UserDataRefused, SourceUnavailable, SourceRefused, StagingFailed, WarehouseBusy or
    WarehouseUnusable; then nothing of the source in question was written.
    """
    if spec.sources.sums is not None:
        sums = pull_aggregates(
            spec, spec.sources.sums, warehouse, spec_dir=spec_dir, until_ms=until_ms
        )
        return UserPull(spec.experiment, (), sums=sums)
    rows = {UserRows(kind): source for kind, source in spec.sources.rows.items()}
    sources = _pull_rows(spec, warehouse, rows, spec_dir, until_ms) if rows else ()
    if spec.sources.conversions is None:
        return UserPull(spec.experiment, sources)
    from flows.ingest.users.conversion_counters import pull_conversions  # noqa: PLC0415

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
) -> tuple[SourcePull, ...]:
    """The way of a user's rows: staged, loaded, and reduced to the sums that are kept."""
    with open_writer(warehouse) as con:
        known = {kind: known_parts(con, spec, kind) for kind in sources}
    resources = resources_of(warehouse)
    with staging_folder() as folder:
        readings = [
            stage_source(
                spec,
                kind,
                source,
                known[kind],
                spec_dir=spec_dir,
                folder=folder,
                resources=resources,
            )
            for kind, source in sources.items()
        ]
        with open_writer(warehouse) as con, transaction(con):
            loaded = load_readings(con, spec, readings, until_ms=until_ms)
            leave_out_forgotten(con, spec)
            keep_sums(con, spec, loaded.fresh)
    return loaded.sources
