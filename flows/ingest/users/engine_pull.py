"""Pulls users' rows that stay where they are: an engine reads them, and its answers are kept."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import duckdb

from flows.formats.time import instant, milliseconds_of
from flows.ingest.coverage import users_known_until
from flows.ingest.engine.kept_answers import is_read_as, keep_answers
from flows.ingest.engine.remote_rows import ROW_TABLES, RemoteAnswer, RemoteRows
from flows.ingest.engine.spark_cluster import SparkCluster, spark_cluster
from flows.ingest.engine.views import RemoteView, written
from flows.ingest.sources.local_files import file_state, find_files
from flows.ingest.sources.source_error import named_in_spec
from flows.ingest.sources.staged_rows import make_macros, stage
from flows.ingest.sources.user_rows import UserRows
from flows.ingest.users.forget_users import leave_out_forgotten
from flows.ingest.users.kept_sums import keep_sums, look_at_pull
from flows.ingest.users.load_users import load_readings
from flows.ingest.users.parts import known_sources
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
from flows.workspace.software import software


class _NotAnswered(Exception):
    """A question that the engine is to be asked first, while nobody waits for the warehouse."""

    def __init__(self, view: RemoteView) -> None:
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
    answers: dict[str, RemoteAnswer] = {}
    with spark_cluster(engine) as cluster:
        files = {
            kind: _files(spec, kind, source, spec_dir, cluster)
            for kind, source in sources.items()
            if isinstance(source, FileSource | UsersFile)
        }
        with open_writer(warehouse) as con:
            read_as = _read_as(con, spec, files, until_ms)
            known_until = users_known_until(con, spec)
            is_known = known_until is not None and milliseconds_of(known_until) >= until_ms
            if is_known and is_read_as(con, spec, read_as):
                return known_sources(con, spec)
        staged = [_stage(spec, kind, cluster, each) for kind, each in files.items()]
        views = {str(reading.staged[0].path): view for reading, view in staged}
        readings = [reading for reading, _ in staged]
        while True:
            try:
                return _load(spec, warehouse, readings, views, answers, until_ms, read_as)
            except _NotAnswered as question:
                answers[question.view.key] = cluster.ask(question.view)


def describe_engine(spec: Experiment, engine: Engine, spec_dir: Path) -> str:
    """What the engine sees of the spec's files, without reading them. Raises what a pull raises."""
    with spark_cluster(engine) as cluster:
        found = []
        for kind, source in spec.sources.rows.items():
            if isinstance(source, FileSource | UsersFile):
                files = _files(spec, UserRows(kind), source, spec_dir, cluster)
                columns = cluster.schema(RemoteView("", files=files.paths)).names
                found.append(f"{kind} {source.files} ({', '.join(columns)})")
        return f"{cluster.where} sees {'; '.join(found)}"


def _load(
    spec: Experiment,
    warehouse: Path,
    readings: list[Reading],
    views: Mapping[str, RemoteView],
    answers: Mapping[str, RemoteAnswer],
    until_ms: int,
    read_as: str,
) -> tuple[SourcePull, ...]:
    """Writes what is known of the users, if all that this takes has been answered."""

    def ask(view: RemoteView) -> RemoteAnswer:
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
            read_sums_at_look(rows, spec, *look_at_pull(con, spec, known_until))
        kept = {name: remote.views[name] for name in ROW_TABLES}
        keep_answers(con, spec, kept, answers, read_as=read_as)
    return loaded.sources


@dataclass(frozen=True, slots=True)
class _Files:
    """A source's files where the engine sees them; state tells that they changed, '' if nothing."""

    source: FileSource | UsersFile
    paths: tuple[str, ...]
    state: str


def _files(
    spec: Experiment,
    kind: UserRows,
    source: FileSource | UsersFile,
    spec_dir: Path,
    cluster: SparkCluster,
) -> _Files:
    if "://" in source.files:
        return _Files(source, (source.files,), cluster.state([source.files]))
    with named_in_spec(spec.experiment, wanted_rows(spec, kind, source).section):
        paths = [path.resolve() for path in find_files(source.files, spec_dir).values()]
    states = [file_state(path) for path in paths]
    known = hashlib.sha256(repr(states).encode()).hexdigest() if all(states) else ""
    return _Files(source, tuple(path.as_uri() for path in paths), known)


def _read_as(
    con: Connection, spec: Experiment, files: Mapping[UserRows, _Files], until_ms: int
) -> str:
    """Identity of all that a pull's answers rest on; '' if it isn't known."""
    if not all(each.state for each in files.values()):
        return ""
    splits = split_starts(plan_at(con, spec, at=instant(until_ms)))
    found = [[kind, each.paths, each.state] for kind, each in files.items()]
    return written([software(), spec.model_dump_json(), found, list(splits)])


def _stage(
    spec: Experiment, kind: UserRows, cluster: SparkCluster, files: _Files
) -> tuple[Reading, RemoteView]:
    """Reads a source's rows once, where they are, and judges them."""
    wanted = wanted_rows(spec, kind, files.source)
    # Of files of which nothing is known, every pull reads others.
    rows = RemoteView("", files=files.paths, state=files.state or uuid.uuid4().hex)
    with duckdb.connect() as con:
        con.execute("set timezone = 'UTC'")
        con.register("columns_of_files", cluster.schema(rows).empty_table())
        con.execute("create table source_rows as from columns_of_files")
        remote = RemoteRows(con, {"source_rows": rows}, cluster.ask)
        make_macros(cast("Connection", remote))
        part = stage(
            cast("Connection", remote),
            con.table("source_rows"),
            wanted,
            part=files.source.files,
            state=files.state,
            where=f"{files.source.files} on {cluster.where}",
            path=Path(f"staged_{kind}"),
            name_rows=lambda relation: remote.define("incoming", relation.sql_query()),
        )
    view = remote.views[str(part.path)]
    return Reading(kind, origin_of(files.source, wanted), (part,), is_elsewhere=True), view
