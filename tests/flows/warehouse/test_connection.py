"""The warehouse: one writer across real processes, migrations, and files that can't be used."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from flows.warehouse.connection import (
    WarehouseBusy,
    WarehouseUnusable,
    open_reader,
    open_writer,
    transaction,
)
from flows.warehouse.migrations import schema_migrations
from flows.warehouse.statements import statement
from tests.places import at_load
from tests.servers.other_process import HOLD, let_go, process
from tests.servers.small_disk import small_disk

Opened = Callable[[Path], AbstractContextManager[duckdb.DuckDBPyConnection]]

WRITE_FOR_EVER = """
import sys
from pathlib import Path
from flows.warehouse.connection import open_writer, transaction
for number in range(1_000_000):
    with open_writer(Path(sys.argv[1])) as con, transaction(con):
        for part in "ab":
            con.execute("insert into user_shifts values ('e', ?, ?, 1)", [str(number), part])
        if number == 3:
            con.execute("insert into outcomes select 'e', 'p', range, 'o', now(), 0 "
                        "from range(300_000)")
            print("in transaction", flush=True)
            sys.stdin.readline()
"""


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("empty") / "w.duckdb"
    with open_writer(path):
        pass
    return path


@pytest.fixture
def warehouse(empty: Path, tmp_path: Path) -> Path:
    path = tmp_path / "var" / "warehouse.duckdb"
    path.parent.mkdir()
    return Path(shutil.copy(empty, path))


def shifts(path: Path) -> int:
    with open_reader(path) as con:
        return int(con.execute("select count(*) from user_shifts").fetchall()[0][0])


def add_shift(con: duckdb.DuckDBPyConnection, outcome: str = "x") -> None:
    con.execute("insert into user_shifts values ('e', ?, 'mean', 1)", [outcome])


def test_folder_and_tables_are_made(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "w.duckdb"
    with open_writer(path) as con:
        con.execute("select * from verdicts, marts.latest_verdict").fetchall()
    assert path.exists()


def test_sessions_are_in_utc_whatever_the_machine_says(
    warehouse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    for opened in (open_writer, open_reader):
        with opened(warehouse) as con:
            row = con.execute("select current_setting('TimeZone'), to_timestamp(0)").fetchall()[0]
        assert row[0] == "UTC"
        assert row[1].astimezone(UTC) == datetime(1970, 1, 1, tzinfo=UTC)


def test_committed_work_is_there_for_the_next_process(warehouse: Path) -> None:
    with open_writer(warehouse) as con, transaction(con):
        add_shift(con)
    assert shifts(warehouse) == 1


def test_exception_undoes_the_whole_transaction(warehouse: Path) -> None:
    def fail() -> None:
        with open_writer(warehouse) as con, transaction(con):
            add_shift(con)
            raise KeyError("the caller's own")

    with pytest.raises(KeyError, match="the caller's own"):
        fail()
    assert shifts(warehouse) == 0


def test_reader_cannot_write(warehouse: Path) -> None:
    with open_reader(warehouse) as con, pytest.raises(duckdb.InvalidInputException):
        add_shift(con)


def test_writer_waits_for_a_writer_that_ends(warehouse: Path) -> None:
    with process(HOLD, "writer", str(warehouse)) as other:
        threading.Timer(0.3, let_go, (other,)).start()
        assert shifts(warehouse) == 1


@pytest.mark.parametrize("role", ["writer", "reader"])
def test_writer_gives_up_and_names_who_holds_the_file(warehouse: Path, role: str) -> None:
    with (
        process(HOLD, role, str(warehouse)) as other,
        pytest.raises(WarehouseBusy) as caught,
        open_writer(warehouse, wait_s=0.2),
    ):
        pass
    assert str(other.pid) in str(caught.value)
    assert str(warehouse) in str(caught.value)


def test_reader_waits_for_a_writer_in_vain_and_names_it(warehouse: Path) -> None:
    began = time.monotonic()
    with (
        process(HOLD, "writer", str(warehouse)) as other,
        pytest.raises(WarehouseBusy, match=f"process {other.pid}"),
        open_reader(warehouse, wait_s=0.2),
    ):
        pass
    assert time.monotonic() - began < at_load(10)


def test_readers_read_side_by_side(warehouse: Path) -> None:
    with process(HOLD, "reader", str(warehouse)):
        assert shifts(warehouse) == 0


def test_two_threads_write_one_after_the_other(warehouse: Path) -> None:
    def write(name: str) -> None:
        for number in range(5):
            with open_writer(warehouse) as con, transaction(con):
                add_shift(con, f"{name}{number}")

    threads = [threading.Thread(target=write, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shifts(warehouse) == 15


def test_second_writer_of_this_process_is_told_who_it_is(warehouse: Path) -> None:
    with (
        open_writer(warehouse),
        pytest.raises(WarehouseBusy, match="this very process"),
        open_writer(warehouse, wait_s=0),
    ):
        pass


def test_program_that_opened_the_file_past_our_lock_is_named(warehouse: Path) -> None:
    code = "import duckdb, sys\nc = duckdb.connect(sys.argv[1])\nprint('open', flush=True)\n"
    with (
        process(code + "sys.stdin.readline()", str(warehouse)) as other,
        pytest.raises(WarehouseBusy, match=f"process {other.pid}"),
        open_reader(warehouse, wait_s=0.2),
    ):
        pass


def test_killed_writer_leaves_what_was_committed_before(warehouse: Path) -> None:
    with process(WRITE_FOR_EVER, str(warehouse)) as other:
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
        assert shifts(warehouse) == 2 * 3
        with open_writer(warehouse, wait_s=0) as con, transaction(con):
            add_shift(con)
    with open_reader(warehouse) as con:
        assert con.execute("select count(*) from outcomes").fetchall() == [(0,)]
    assert shifts(warehouse) == 7


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
    query = "select * from counter_samples where experiment_id = md5_number_lower(?) order by all"
    with open_reader(path) as con:
        for name in ("one", "other"):
            after = con.execute(query, [name]).fetchall()
            assert [row[1:] for row in after] == [row[1:] for row in before if row[0] == name]
        total = con.execute("select count(*) from counter_samples").fetchall()
    assert total == [(len(before),)]


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


def test_duckdb_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.duckdb"
    with duckdb.connect(path) as con:
        con.execute("create table customers (id integer)")
    with pytest.raises(WarehouseUnusable, match=r"not a warehouse.*customers"), open_writer(path):
        pass
    with duckdb.connect(path) as con:
        assert con.execute("show tables").fetchall() == [("customers",)]


def test_missing_warehouse_is_not_made_by_a_reader(tmp_path: Path) -> None:
    path = tmp_path / "w.duckdb"
    with pytest.raises(WarehouseUnusable, match="pull first"), open_reader(path):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("opened", [open_writer, open_reader])
def test_file_that_is_not_duckdb_is_refused_and_kept(tmp_path: Path, opened: Opened) -> None:
    path = tmp_path / "w.duckdb"
    path.write_text("user,variant\n" * 1000)
    with pytest.raises(WarehouseUnusable, match=r"w\.duckdb is not a DuckDB file"), opened(path):
        pass
    assert path.read_text().startswith("user")


def test_truncated_and_damaged_files_are_told(warehouse: Path) -> None:
    with open_writer(warehouse) as con:
        con.execute(
            "insert into outcomes select 'e', 'p', hash(range), 'o', now(), random() "
            "from range(200_000)"
        )
    whole = warehouse.read_bytes()
    middle = len(whole) // 2
    for damaged in (whole[:middle], whole[:middle] + os.urandom(300_000) + whole[middle:]):
        warehouse.write_bytes(damaged)
        with (
            pytest.raises(WarehouseUnusable, match="seems damaged"),
            open_reader(warehouse) as con,
        ):
            con.execute("select max(value), max(user_id) from outcomes").fetchall()


def test_folder_that_is_a_file_is_told(warehouse: Path) -> None:
    with (
        pytest.raises(WarehouseUnusable, match="Name another file"),
        open_writer(warehouse / "w.duckdb"),
    ):
        pass


@pytest.mark.parametrize("name", ["warehouse.duckdb.lock", "warehouse.duckdb"])
def test_lacking_permission_is_told(name: str) -> None:
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom flows.warehouse.connection import *\n"
        "if os.getuid() == 0: os.seteuid(65534)\n"
        "try:\n    open_writer(Path(sys.argv[1])).__enter__()\n"
        "except WarehouseUnusable as error:\n    print(error)\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "warehouse.duckdb"
        with open_writer(path):
            pass
        Path(folder).chmod(0o777)
        path.with_name("warehouse.duckdb.lock").chmod(0o666)
        path.with_name(name).chmod(0o444)
        said = subprocess.run(
            [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
        ).stdout
    assert "permission is lacking" in said
    assert str(path) in said


def test_full_disk_keeps_what_was_committed(tmp_path: Path) -> None:
    path = tmp_path / "disk" / "w.duckdb"

    def fill() -> None:
        with open_writer(path) as con, transaction(con):
            con.execute(
                "insert into outcomes select 'e', 'p', hash(range), 'o', now(), random() "
                "from range(1_000_000)"
            )

    with small_disk(path.parent, megabytes=4):
        with open_writer(path) as con, transaction(con):
            add_shift(con)
        with pytest.raises(WarehouseUnusable, match="the disk is full"):
            fill()
        assert shifts(path) == 1


def test_full_disk_leaves_no_half_made_warehouse(tmp_path: Path) -> None:
    path = tmp_path / "disk" / "w.duckdb"
    with small_disk(path.parent, megabytes=0.06):
        with pytest.raises(WarehouseUnusable, match="the disk is full"), open_writer(path):
            pass
        assert not path.exists()


def test_opening_imports_nothing_heavy(warehouse: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from flows.warehouse.connection import open_writer\n"
        "with open_writer(Path(sys.argv[1])): pass\n"
        "print(sorted({'pandas', 'polars', 'pyarrow', 'numpy', 'prefect'} & sys.modules.keys()))\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, str(warehouse)], capture_output=True, text=True, check=True
    ).stdout
    assert said.strip() == "[]"


def test_a_creation_that_is_killed_at_any_instant_needs_no_person(tmp_path: Path) -> None:
    chance = random.Random(5)
    killed = 0
    for number in range(5):
        path = tmp_path / str(number) / "w.duckdb"
        child = os.fork()
        if child == 0:
            with open_writer(path):
                os._exit(0)
        # The first one at once, so that one at least has not ended.
        time.sleep(chance.uniform(0, 0.02) * number)
        os.kill(child, signal.SIGKILL)
        killed += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        with open_writer(path) as con:
            add_shift(con)
        assert shifts(path) == 1
        assert {each.name for each in path.parent.iterdir()} <= {"w.duckdb", "w.duckdb.lock"}
    assert killed


@pytest.mark.parametrize("size", [0, 4096, 8192])
def test_a_file_without_all_its_headers_is_made_anew(
    warehouse: Path, tmp_path: Path, size: int
) -> None:
    path = tmp_path / "w.duckdb"
    path.write_bytes(warehouse.read_bytes()[:size])
    path.with_name("w.duckdb.wal").write_bytes(b"of another file")
    spilled = tmp_path / "w.duckdb.tmp" / "duckdb_temp_storage_DEFAULT-0.tmp"
    spilled.parent.mkdir()
    spilled.write_bytes(b"rows")
    with open_writer(path) as con:
        add_shift(con)
    assert shifts(path) == 1
    assert not spilled.exists()
