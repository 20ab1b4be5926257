"""Pulls users' rows that stay where they are: an engine reads them, and its answers are kept."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import duckdb

from flows.ingest.coverage import users_known_until
from flows.ingest.engine.kept_answers import keep_answers
from flows.ingest.engine.remote_rows import ROW_TABLES, Answer, RemoteRows
from flows.ingest.engine.spark_cluster import SparkCluster, spark_cluster
from flows.ingest.engine.views import View
from flows.ingest.sources.local_files import file_state, find_files
from flows.ingest.sources.staged_rows import stage
from flows.ingest.sources.user_rows import UserRows
from flows.ingest.users.forget_users import leave_out_forgotten
from flows.ingest.users.kept_sums import keep_sums
from flows.ingest.users.load_users import load_readings
from flows.ingest.users.plan_splits import split_starts
from flows.ingest.users.pull_report import SourcePull
from flows.ingest.users.staging import Reading, origin_of, wanted_rows
from flows.ingest.users.sums_at_look import read_sums_at_look
from flows.plan.effective import plan_at
from flows.spec.engine import Engine
from flows.spec.experiment import Experiment
from flows.spec.sources import FileSource, RowSource, UsersFile
from flows.warehouse.connection import open_writer, transaction
from flows.warehouse.statements import Connection


class _NotAnswered(Exception):
    """A question that the engine is to be asked first, while nobody waits for the warehouse."""

    def __init__(self, view: View) -> None:
        super().__init__(view.statement)
        self.view = view


def pull_by_engine(
    spec: Experiment,
    engine: Engine,
    warehouse: Path,
    sources: Mapping[UserRows, RowSource],
    *,
    spec_dir: Path,
    until_ms: int,
) -> tuple[SourcePull, ...]:
    """The same as a pull into the warehouse, with the rows left where they are.

    The warehouse is written once all questions are answered. Raises SourceUnavailable,
    SourceRefused or UserDataRefused; then nothing was written.
    """
    answers: dict[str, Answer] = {}
    with spark_cluster(engine) as cluster:
        staged = [_stage(spec, kind, source, cluster, spec_dir) for kind, source in sources.items()]
        views = {str(reading.staged[0].path): view for reading, view in staged}
        readings = [reading for reading, _ in staged]
        while True:
            try:
                return _load(spec, warehouse, readings, views, answers, until_ms)
            except _NotAnswered as question:
                answers[question.view.key] = cluster.ask(question.view)


def _load(
    spec: Experiment,
    warehouse: Path,
    readings: list[Reading],
    views: Mapping[str, View],
    answers: Mapping[str, Answer],
    until_ms: int,
) -> tuple[SourcePull, ...]:
    """Writes what is known of the users, if all that this takes has been answered."""

    def ask(view: View) -> Answer:
        if view.key not in answers:
            raise _NotAnswered(view)
        return answers[view.key]

    with open_writer(warehouse) as con, transaction(con):
        remote = RemoteRows.without_rows(con, ask)
        remote.views |= views
        rows = cast("Connection", remote)
        loaded = load_readings(rows, spec, readings, until_ms=until_ms)
        leave_out_forgotten(rows, spec)
        keep_sums(rows, spec, None)
        known_until = users_known_until(con, spec)
        if known_until is not None:
            # What a look at the same time asks.
            plan = plan_at(con, spec, at=known_until)
            read_sums_at_look(rows, spec, known_until, split_starts(plan))
        kept = {name: remote.views[name] for name in ROW_TABLES}
        keep_answers(con, spec, kept, answers)
    return loaded.sources


def _stage(
    spec: Experiment, kind: UserRows, source: RowSource, cluster: SparkCluster, spec_dir: Path
) -> tuple[Reading, View]:
    """Reads a source's rows once, where they are, and judges them."""
    if not isinstance(source, FileSource | UsersFile):
        raise TypeError("an engine reads files only")
    wanted = wanted_rows(spec, kind, source)
    files, state = _files(source.files, spec_dir, cluster)
    # Of files of which nothing is known, every pull reads others.
    rows = View("", files=files, state=state or uuid.uuid4().hex)
    with duckdb.connect() as con:
        con.execute("set timezone = 'UTC'")
        con.register("columns_of_files", cluster.schema(rows).empty_table())
        con.execute("create table source_rows as from columns_of_files")
        remote = RemoteRows(con, {"source_rows": rows}, cluster.ask)
        part = stage(
            cast("Connection", remote),
            con.table("source_rows"),
            wanted,
            part=source.files,
            state=state,
            where=f"{source.files} on {cluster.where}",
            path=Path(f"staged_{kind}"),
            name_rows=lambda relation: remote.define("incoming", relation.sql_query()),
        )
    view = remote.views[str(part.path)]
    return Reading(kind, origin_of(source, wanted), (part,), is_elsewhere=True), view


def _files(pattern: str, spec_dir: Path, cluster: SparkCluster) -> tuple[tuple[str, ...], str]:
    """Where the files are for the engine, and what tells that they changed."""
    if "://" in pattern:
        return (pattern,), cluster.state([pattern])
    found = find_files(pattern, spec_dir)
    paths = [path.resolve() for path in found.values()]
    states = [file_state(path) for path in paths]
    known = hashlib.sha256(repr(states).encode()).hexdigest() if all(states) else ""
    return tuple(path.as_uri() for path in paths), known
