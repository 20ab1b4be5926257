"""Exposures and outcomes from a PostgreSQL query, streamed as Arrow record batches."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb

from flows.formats.safe_text import shown_variable
from flows.ingest.sources.postgres_dsn import Dsn, MalformedDsn, are_ports, hide_login, parse_dsn
from flows.ingest.sources.postgres_watch import Vigil, Watch, watched
from flows.ingest.sources.samples import SourceUnavailable
from flows.ingest.sources.staged_rows import stage
from flows.ingest.sources.user_rows import StagedPart, UserDataRefused, WantedRows
from flows.spec.sources import PostgresSource, UsersQuery
from flows.warehouse.statements import Connection, quoted

PART = "postgresql"
# A server that vanishes without a word must not block a run for hours.
_PATIENCE = {
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
}
# Of the query and all of its rows; the server also ends what waits for us for so long.
_STATEMENT = "30min"
_VIGIL = Vigil()
_BATCH_BYTES = 16 << 20
# How the server refuses for good; anything else that keeps one from connecting may pass.
_REFUSALS = (
    "authentication failed",
    "no password supplied",
    "does not exist",
    "pg_hba.conf",
    "not permitted to log in",
    "permission denied",
    "invalid",
    'missing "="',
)


def stage_query(
    con: Connection, source: PostgresSource | UsersQuery, wanted: WantedRows, *, path: Path
) -> StagedPart:
    """Reads a query's whole answer, in a read-only transaction, into a staged part at path.

    A few batches at a time are in memory. Raises UserDataRefused (no DSN, wrong password, query
    refused, missing column, unreadable rows) or SourceUnavailable (no connection, or lost).
    """
    import adbc_driver_manager  # noqa: PLC0415

    dsn = _dsn(source)
    where = f"PostgreSQL {dsn.address} (from ${source.dsn_env})"
    lost: list[OSError] = []
    with (
        watched(dsn.ports, _VIGIL) as watch,
        closing(_connect(dsn.text(_PATIENCE), where, watch)) as server,
        server.cursor() as cursor,
    ):
        try:
            cursor.execute("set transaction read only")
            cursor.execute(f"set local statement_timeout = '{_STATEMENT}'")
            cursor.execute(f"set local idle_in_transaction_session_timeout = '{_STATEMENT}'")
            cursor.adbc_statement.set_options(
                **{"adbc.postgresql.batch_size_hint_bytes": str(_BATCH_BYTES)}
            )
            query = _within(source.query)
            cursor.execute(_with_texts(query, cursor.adbc_execute_schema(query), wanted))
            relation = con.from_arrow(_watched(cursor.fetch_record_batch(), lost))
            return stage(con, relation, wanted, part=PART, state="", where=where, path=path)
        except adbc_driver_manager.Error as error:
            raise _problem_of(where, error, watch) from error
        except (duckdb.Error, OSError) as error:
            if not lost and (
                isinstance(error, duckdb.OutOfMemoryException) or str(path) in str(error)
            ):
                raise  # not the server's fault
            raise _problem_of(where, lost[0] if lost else error, watch) from error


def describe_query(source: PostgresSource | UsersQuery) -> tuple[list[str], str]:
    """The columns of a query that isn't run, and the server. Raises as stage_query does."""
    import adbc_driver_manager  # noqa: PLC0415

    dsn = _dsn(source)
    where = f"PostgreSQL {dsn.address} (from ${source.dsn_env})"
    with (
        watched(dsn.ports, _VIGIL) as watch,
        closing(_connect(dsn.text(_PATIENCE), where, watch)) as server,
        server.cursor() as cursor,
    ):
        try:
            return cursor.adbc_execute_schema(_within(source.query)).names, where
        except adbc_driver_manager.Error as error:
            raise _problem_of(where, error, watch) from error


def _within(query: str) -> str:
    """As it can stand within another one: it doesn't end that, nor does a comment at its end."""
    return query.rstrip("; \t\r\n") + "\n"


def _with_texts(query: str, schema: Any, wanted: WantedRows) -> str:
    """The query, in which columns of types that don't travel as they are become text.

    money travels as cents, inet and others as the server's own bytes; as text they are what every
    export of the table has. schema: of the query's answer, an Arrow schema.
    """
    kinds = {
        field.name: (field.metadata or {}).get(b"POSTGRESQL:type", b"").decode() for field in schema
    }
    opaque = {
        field.name
        for field in schema
        if str(field.type).startswith(("binary", "large_binary"))
        or "storage_type=binary" in str(field.type)
    }
    used = [name for name in dict.fromkeys(schema.names) if name in wanted.used]
    if not any(name in opaque or kinds[name] == "money" for name in used):
        return query
    columns = ", ".join(
        f"{_shown(name, kinds[name], is_opaque=name in opaque)} as {quoted(name)}" for name in used
    )
    return f"select {columns} from (\n{query}) as answer"


def _shown(name: str, kind: str, *, is_opaque: bool) -> str:
    """The column as the server prints it: of an address without the mask that a cast adds."""
    if kind == "money":
        return f"{quoted(name)}::numeric"
    return f"nullif(format('%s', {quoted(name)}), '')" if is_opaque else quoted(name)


def _watched(reader: Any, lost: list[OSError]) -> Any:
    """The same batches; what breaks the stream is kept, for DuckDB reports it as its own."""
    import pyarrow as pa  # noqa: PLC0415

    def batches() -> Iterator[Any]:
        try:
            yield from reader
        except OSError as error:
            lost.append(error)
            raise

    return pa.RecordBatchReader.from_batches(reader.schema, batches())


def _connect(dsn: str, where: str, watch: Watch) -> Any:
    import adbc_driver_manager  # noqa: PLC0415
    import adbc_driver_postgresql.dbapi  # noqa: PLC0415

    try:
        return adbc_driver_postgresql.dbapi.connect(dsn)
    except adbc_driver_manager.Error as error:
        said = watch.silent or _said(error)
        if any(text in said for text in _REFUSALS):
            raise UserDataRefused(f"{where}: {said}") from error
        raise SourceUnavailable(f"{where}: {said}") from error


def _problem_of(where: str, error: Exception, watch: Watch) -> Exception:
    """An answer of the server is final; a broken connection is not."""
    if watch.silent:
        return SourceUnavailable(f"{where}: the connection was ended: {watch.silent}")
    said = _said(error)
    if "ERROR:" in said or getattr(error, "sqlstate", None):
        return UserDataRefused(f"{where}: the query failed: {said}")
    return SourceUnavailable(f"{where}: the connection was lost: {said}")


def _said(error: Exception) -> str:
    """What the server said, in one line and without the driver's wrapping."""
    text = str(error).split("\n\nQuery was:")[0]
    text = text.split("Failed to connect: ", 1)[-1].split("Failed to prepare query: ", 1)[-1]
    return " ".join(text.split())


def _dsn(source: PostgresSource | UsersQuery) -> Dsn:
    name = source.dsn_env
    written = os.environ.get(name, "").strip()
    if not written:
        raise UserDataRefused(
            f"${shown_variable(name)} is not set; it must hold the connection URI, such as "
            "postgresql://user:password@host:5432/database"
        )
    login = os.environ.get("PGUSER", ""), os.environ.get("PGPASSWORD", "")
    hide_login(*login)
    if not are_ports(os.environ.get("PGPORT", "")):
        raise UserDataRefused("$PGPORT must be a port, such as 5432")
    try:
        return parse_dsn(written)
    except MalformedDsn as error:
        raise UserDataRefused(f"${shown_variable(name)} is not a connection URI: {error}") from None
