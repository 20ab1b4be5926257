"""The warehouse is opened, made where there is none, and files that can't be used are told."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from flows.warehouse.connection import (
    WarehouseUnusable,
    open_reader,
    open_writer,
    transaction,
)
from tests.builders.shift_rows import Opened, add_shift, shifts
from tests.servers.small_disk import small_disk


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
        pytest.raises(
            WarehouseUnusable, match="Make it writable for this user, or name another --root"
        ),
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
