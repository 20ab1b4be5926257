"""Older warehouses are brought up to date, with what they hold; others are refused."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from flows.warehouse.connection import WarehouseUnusable, open_reader, open_writer
from flows.warehouse.migrations import schema_migrations
from flows.warehouse.statements import statement
from tests.builders.shift_rows import Opened, add_shift


def test_migrations_are_numbered_without_gaps() -> None:
    assert [m.number for m in schema_migrations()] == list(range(1, len(schema_migrations()) + 1))


def older_warehouse(path: Path, last: int) -> duckdb.DuckDBPyConnection:
    """As it was when `last` was the newest migration."""
    con = duckdb.connect(path)
    con.execute(statement("schema/migrations_table"))
    for one in schema_migrations():
        if one.number <= last:
            con.execute(one.text)
            row = {"numbers": [one.number], "names": [one.name], "checksums": [one.checksum]}
            con.execute(statement("schema/record_migration"), row)
    return con


def test_older_warehouse_is_brought_up_to_date_also_for_a_reader(tmp_path: Path) -> None:
    path = tmp_path / "older.duckdb"
    with older_warehouse(path, 9) as con:
        add_shift(con)
    with open_reader(path) as con:
        assert con.execute("select is_gone from user_parts").fetchall() == []
        assert con.execute("select count(*) from user_shifts").fetchall() == [(1,)]


def test_samples_of_an_older_warehouse_are_found_by_their_experiment(tmp_path: Path) -> None:
    path = tmp_path / "older.duckdb"
    with older_warehouse(path, 23) as con:
        con.execute(
            "insert into counter_samples select e, to_timestamp(0), hash(i), to_timestamp(i), "
            "i * 0.1, 0.1, i % 7 from range(1000) r(i), (values ('one'), ('other')) t(e)"
        )
        before = con.execute("select * from counter_samples order by all").fetchall()
    columns = "experiment_id, window_start, series_id, ts, value, delta, reason"
    of = "where experiment_id = md5_number_lower(?) order by all"
    query = f"select {columns} from counter_samples {of}"
    with open_reader(path) as con:
        for name in ("one", "other"):
            after = con.execute(query, [name]).fetchall()
            assert [row[1:] for row in after] == [row[1:] for row in before if row[0] == name]
        total = con.execute("select count(*) from counter_samples").fetchall()
    assert total == [(len(before),)]


@pytest.mark.parametrize("step", ["15000", "15000 + i % 2", "15000 + (i % 97 = 0)::int * 30000"])
@pytest.mark.parametrize("value", ["i * 3.0", "i * 0.1", "i * 1e9", "i % 10"])
def test_samples_of_an_older_warehouse_become_runs_of_the_same_samples(
    tmp_path: Path, step: str, value: str
) -> None:
    path = tmp_path / "older.duckdb"
    columns = "experiment_id, window_start, series_id, ts, value, delta, reason"
    with older_warehouse(path, 27) as con:
        con.execute(
            f"""
            insert into counter_samples
            with samples as (
                select w, s, i, sum({step}) over (partition by w, s order by i) as ms,
                    cast({value} + s as double) as value
                from range(3) t(w), range(5) u(s), range(240) v(i)
            )
            select md5_number_lower('e' || w % 2), make_timestamptz(w * 3600000000), hash(s),
                make_timestamptz(cast(w * 3600000 + ms as bigint) * 1000), value,
                case when i % 50 = 7 then value
                    else coalesce(value - lag(value) over (partition by w, s order by i), 2) end,
                case when i % 50 = 7 then 1 + s % 5 else 0 end
            from samples
            """
        )
        before = con.execute(f"select {columns} from counter_samples order by all").fetchall()
    with open_reader(path) as con:
        after = con.execute(f"select {columns} from counter_samples order by all").fetchall()
        [(runs,)] = con.execute("select count(*) from sample_runs").fetchall()
    assert len(before) == 3600
    assert after == before
    assert runs < (len(before) if value == "i % 10" else 200)


def test_measured_buckets_of_an_older_warehouse_keep_their_names(tmp_path: Path) -> None:
    path = tmp_path / "older.duckdb"
    with older_warehouse(path, 24) as con:
        con.execute(
            "insert into measured_buckets select e, m, to_timestamp(0), to_timestamp(i), v, p, "
            "i * 0.5 from range(40) r(i), "
            "(values ('one', 'a'), ('one', 'b,a'), ('other', 'a')) t(e, m), "
            "(values ('canary', 'part'), ('stable', 'part'), ('stable', 'by:\"x\",y')) u(v, p)"
        )
        names = "experiment, metric, window_start, bucket_start, variant, part, amount"
        query = f"select {names} from measured_buckets"
        before = con.execute(f"{query} order by all").fetchall()
    with open_reader(path) as con:
        after = con.execute(f"{query} join measured_parts using (part_id) order by all").fetchall()
        parts = con.execute("select count(*) from measured_parts").fetchall()
    assert (after, parts) == (before, [(9,)])


def test_requests_of_an_older_warehouse_have_an_outcome(tmp_path: Path) -> None:
    path = tmp_path / "older.duckdb"
    before = [
        ("ok", "200", "", "success"),
        ("ok", "404", "", "client_error"),
        ("ok", "429", "RL", "rejected"),
        ("ok", "200", "UT", "failure"),
        ("ok", "200", "DI", "injected"),
        ("failed", "503", "UF,URX", "failure"),
        ("failed", "503", "FI", "injected"),
        ("failed", "200 grpc 14", "", "failure"),
        ("failed", "200 grpc 5", "", "client_error"),
        ("failed", "200 grpc 8", "", "rejected"),
        ("failed", "200 grpc 1", "", "abandoned"),
        ("failed", "grpc 2", "", "failure"),
        ("failed", "404", "", "failure"),
        ("cancelled", "0", "DC", "abandoned"),
    ]
    with older_warehouse(path, 10) as con:
        for number, (old, code, flags, _) in enumerate(before):
            con.execute(
                "insert into request_buckets values ('e', now(), now(), 'v', '', ?, ?, ?, ?)",
                [old, code, flags, number],
            )
            con.execute(
                "insert into series values "
                "('e', ?, 'm', 'requests', 'v', 't', '', ?, ?, ?, null, '{}')",
                [number, old, code, flags],
            )
        con.execute("insert into latency_buckets values ('e', now(), now(), 'v', 5, 3)")
        con.execute(
            "insert into series values "
            "('e', 99, 'm', 'latency', 'v', 't', '', 'all', '', '', 5, '{}')"
        )
    expected = [outcome for *_, outcome in before]
    with open_reader(path) as con:
        found = con.execute("select outcome from request_buckets order by requests").fetchall()
        of_series = con.execute("select outcome from series order by series_id").fetchall()
        statuses = con.execute(
            "select response_code, grpc_status from request_buckets where grpc_status <> '' "
            "order by requests"
        ).fetchall()
        assert con.execute("select cut_off from latency_buckets").fetchall() == [(0,)]
    assert [outcome for (outcome,) in found] == expected
    assert [outcome for (outcome,) in of_series] == [*expected, "all"]
    assert statuses == [("200", "14"), ("200", "5"), ("200", "8"), ("200", "1"), ("", "2")]


def test_changed_views_are_made_anew(warehouse: Path) -> None:
    with open_writer(warehouse) as con:
        con.execute("create view marts.gone as select 1 as one; drop view marts.looks cascade")
        con.execute("update schema_migrations set checksum = 'another' where number = 0")
    with open_reader(warehouse) as con:
        names = {name for (name,) in con.execute("select view_name from duckdb_views()").fetchall()}
    assert "looks" in names
    assert "gone" not in names


@pytest.mark.parametrize("opened", [open_writer, open_reader])
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("insert into schema_migrations values (9001, 'later', 'x', now())", "9001_later.*Upgrade"),
        ("update schema_migrations set checksum = 'x' where number = 2", "0002_requests.*changed"),
    ],
)
def test_warehouse_of_other_software_is_refused(
    warehouse: Path, opened: Opened, change: str, sentence: str
) -> None:
    with open_writer(warehouse) as con:
        con.execute(change)
    with pytest.raises(WarehouseUnusable, match=sentence) as caught, opened(warehouse):
        pass
    assert str(warehouse) in str(caught.value)
