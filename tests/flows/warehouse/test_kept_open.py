"""One opening for many steps: fewer openings, and everybody else still gets their turn."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import duckdb
import pytest

from flows.warehouse.connection import open_reader, open_writer, transaction
from flows.warehouse.file_lock import file_lock
from flows.warehouse.kept_open import KEPT, keep_open
from tests.places import PATIENCE_S

_ADD = "insert into user_shifts values ('e', ?, 'mean', 1)"
_COUNT = "select count(*) from user_shifts"
ADD_ONE = """
import sys
from pathlib import Path
from flows.warehouse.connection import open_writer
with open_writer(Path(sys.argv[1]), wait_s=300) as con:
    con.execute("insert into user_shifts values ('other', 'x', 'mean', 1)")
print("written")
"""

ADD_AND_DIE = """
import os, signal, sys
from pathlib import Path
from flows.warehouse.connection import open_writer
from flows.warehouse.kept_open import keep_open
with keep_open(Path(sys.argv[1])):
    for outcome in "ab":
        with open_writer(Path(sys.argv[1])) as con:
            con.execute("insert into user_shifts values ('killed', ?, 'mean', 1)", [outcome])
    os.kill(os.getpid(), signal.SIGKILL)
"""


def is_open() -> bool:
    kept = KEPT.get()
    return kept is not None and kept.is_open


def add(path: Path, outcome: str) -> None:
    with open_writer(path) as con, transaction(con):
        con.execute(_ADD, [outcome])


def count(path: Path) -> int:
    with open_reader(path) as con:
        return int(con.execute(_COUNT).fetchall()[0][0])


def test_steps_share_one_opening_and_nothing_of_a_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "w.duckdb"
    with keep_open(path):
        add(path, "first")
        monkeypatch.delattr(duckdb, "connect")
        for number in range(5):
            with open_writer(path) as con:
                con.execute("create temporary table t as select 1 as one")
                con.execute("set TimeZone = 'Asia/Kolkata'")
                con.begin()
                con.execute(_ADD, [f"{number}, never committed"])
            with open_reader(path) as con:
                zone = con.execute("select current_setting('TimeZone')").fetchall()
            assert (count(path), zone) == (1, [("UTC",)])
        monkeypatch.undo()
    assert count(path) == 1


def test_a_failed_step_leaves_the_warehouse_closed_and_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "w.duckdb"

    def fail() -> None:
        with open_writer(path) as con, transaction(con):
            con.execute(_ADD, ["lost"])
            raise KeyError("the caller's own")

    with keep_open(path):
        add(path, "kept")
        with pytest.raises(KeyError, match="the caller's own"):
            fail()
        assert not is_open()
        assert count(path) == 1


@pytest.mark.parametrize("is_read", [False, True], ids=["alone", "beside another reader"])
def test_the_log_of_who_was_killed_is_moved_into_the_file_by_who_reads(
    tmp_path: Path, *, is_read: bool
) -> None:
    path, log = tmp_path / "w.duckdb", tmp_path / "w.duckdb.wal"
    killed = subprocess.run([sys.executable, "-c", ADD_AND_DIE, path], check=False)
    assert (killed.returncode, log.exists()) == (-signal.SIGKILL, True)
    lock, now = tmp_path / "w.duckdb.lock", time.monotonic()
    with file_lock(lock, shared=True, deadline=now) if is_read else nullcontext():
        assert count(path) == 2
        assert log.exists() is is_read
    # Who reads next, alone.
    assert count(path) == 2
    assert not log.exists()


@pytest.mark.parametrize("steps_go_on", [True, False])
def test_another_process_gets_its_turn(tmp_path: Path, *, steps_go_on: bool) -> None:
    path = tmp_path / "w.duckdb"
    with keep_open(path):
        add(path, "first")
        other = subprocess.Popen(
            [sys.executable, "-c", ADD_ONE, path], stdout=subprocess.PIPE, text=True
        )
        deadline, steps = time.monotonic() + PATIENCE_S, 0
        while other.poll() is None and time.monotonic() < deadline:
            if steps_go_on:
                steps += 1
                add(path, f"step {steps}")
        said, _ = other.communicate(timeout=PATIENCE_S)
        assert said == "written\n"
        assert count(path) == steps + 2


def test_nobody_is_kept_out_while_nothing_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.warehouse.kept_open._LONGEST_IDLE_S", 0.3)
    path = tmp_path / "w.duckdb"
    with keep_open(path):
        add(path, "first")
        deadline = time.monotonic() + 20
        while is_open():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        # Also a program that knows nothing of our lock.
        assert duckdb.connect(path).execute(_COUNT).fetchall() == [(1,)]


def test_a_warehouse_that_is_moved_away_gets_no_more_rows(tmp_path: Path) -> None:
    path, away = tmp_path / "w.duckdb", tmp_path / "away.duckdb"
    with keep_open(path):
        add(path, "old")
        path.rename(away)
        add(path, "new")
        add(path, "newer")
    assert (count(path), count(away)) == (2, 1)
