"""Samples in the warehouse that a test has written itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from flows.warehouse.statements import Connection, run

# Window, number of the series, time, value, difference and reason.
Sample = tuple[datetime, int, datetime, float, float, int]


def write_samples(con: Connection, experiment: str, samples: Sequence[Sample]) -> None:
    """As rows of counter_samples."""
    con.execute(
        "create or replace temporary table uncovered_rows (experiment_id ubigint, "
        "window_start timestamptz, series_id ubigint, ts timestamptz, value double, delta double, "
        "reason integer)"
    )
    con.executemany(
        "insert into uncovered_rows values (md5_number_lower(?), ?, ?, ?, ?, ?, ?)",
        [(experiment, *each) for each in samples],
    )
    run(con, "load/uncovered_samples_again")
    con.execute("drop table uncovered_rows")
