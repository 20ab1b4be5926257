"""Buckets of counters and queries put into a warehouse by their names."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import duckdb

Row = tuple[str, str, datetime, datetime, str, str, float]


def add_measured(con: duckdb.DuckDBPyConnection, rows: Iterable[Row]) -> None:
    """rows: experiment, metric, starts of window and bucket, variant, part and amount of each."""
    given = list(rows)
    parts = {(experiment, metric, *key): None for experiment, metric, _, _, *key, _ in given}
    known = con.execute("select count(*) from measured_parts").fetchall()[0][0]
    number = {part: known + i for i, part in enumerate(parts)}
    if given:
        con.executemany(
            "insert into measured_parts values (?, ?, ?, ?, ?)",
            [(part_id, *part) for part, part_id in number.items()],
        )
        con.executemany(
            "insert into measured_buckets values (?, ?, ?, ?)",
            [(number[(r[0], r[1], r[4], r[5])], r[2], r[3], r[6]) for r in given],
        )
