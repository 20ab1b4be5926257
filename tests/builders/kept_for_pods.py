"""What a pull keeps for pods, from samples that a test has written itself."""

from __future__ import annotations

import duckdb

from flows.warehouse.statements import Connection, statement

_TABLES = ("series_requests", "target_times")


def keep_for_pods(con: Connection) -> None:
    """As the migration does that brought these tables to older warehouses."""
    for table in _TABLES:
        con.execute(f"delete from {table}")
    for each in duckdb.extract_statements(statement("schema/0026_kept_for_pods")):
        if each.type == duckdb.StatementType.INSERT:
            con.execute(each)
