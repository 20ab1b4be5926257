"""One writer at a time, in whatever process: transactions, and who holds the file is named."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import duckdb
import pytest

from flows.warehouse.connection import WarehouseBusy, open_reader, open_writer, transaction
from tests.builders.shift_rows import add_shift, shifts
from tests.places import at_load
from tests.servers.other_process import HOLD, let_go, process

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
