"""A signal ends the query that the main thread waits for, and leaves other threads' alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from flows.warehouse import interrupts
from flows.warehouse.connection import open_reader
from tests.places import at_load

# One task without an end: of two threads, the one that asks may have it.
ENDLESS = "select sum(hash(range)) from range(100_000_000_000)"
# `verdict run` with a query of ours in the place of the job.
RUN = f"""
import signal, sys
from flows.cli import main, main_job
from flows.warehouse.connection import open_writer, transaction
def run_all(workspace, *_, **__):
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as verdict deliver does
    with open_writer(workspace.warehouse) as con:
        con.execute("set threads = " + sys.argv[2])
        with transaction(con):
            con.execute("insert into user_shifts values ('e', 'half', 'mean', 1)")
            print("begun", flush=True)
            con.execute("{ENDLESS}")
main_job.run_all = run_all
sys.exit(main.main(["--root", sys.argv[1], "run"]))
"""
# The main thread waits for a thread's query, as that of `verdict serve` does.
BESIDE = """
import sys, threading
from pathlib import Path
from flows.warehouse.connection import open_writer
from flows.warehouse.interrupts import queries_end_on_signals
answered = threading.Event()
def ask():
    with open_writer(Path(sys.argv[1]) / "w.duckdb") as con:
        print("begun", flush=True)
        con.execute("select sum(hash(range)) from range(300_000_000)")
    answered.set()
with queries_end_on_signals():
    asking = threading.Thread(target=ask)
    asking.start()
    try:
        answered.wait()
    except KeyboardInterrupt:
        print("whole" if answered.wait(60) else "never", flush=True)
asking.join()
"""


def _told(code: str, *arguments: object, number: int) -> tuple[int, str, str]:
    """Exit code, output and complaints of a process that gets a signal; killed if it is deaf."""
    child = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "begun\n"
        # DuckDB tells nobody that it is at it.
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.3)
        child.send_signal(number)
        out, err = child.communicate(timeout=at_load(20))
        return child.returncode, out, err
    finally:
        child.kill()
        child.communicate()


@pytest.mark.parametrize(
    ("threads", "number"), [(1, signal.SIGINT), (2, signal.SIGINT), (2, signal.SIGTERM)]
)
def test_a_signal_ends_a_query_at_once_with_nothing_half_written(
    tmp_path: Path, threads: int, number: int
) -> None:
    said = "interrupted; verdicts that were reached are recorded\n"
    assert _told(RUN, tmp_path, threads, number=number) == (130, "", said)
    [warehouse] = tmp_path.rglob("*.duckdb")
    with open_reader(warehouse) as con:
        assert con.execute("from user_shifts").fetchall() == []


def test_what_another_thread_asks_is_answered(tmp_path: Path) -> None:
    assert _told(BESIDE, tmp_path, number=signal.SIGINT) == (0, "whole\n", "")


def test_what_is_opened_after_a_signal_is_not_ended_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A watcher that comes late, as on a busy machine, leaves the tidying up alone."""
    late: list[tuple[int]] = []

    class Late:
        def __init__(self, *, args: tuple[int], **_: object) -> None:
            late.append(args)

        def start(self) -> None: ...

    monkeypatch.setattr(interrupts, "Thread", Late)
    before, after = duckdb.connect(), duckdb.connect()
    with interrupts.queries_end_on_signals():
        interrupts.interruptible(before)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        interrupts.interruptible(after)
        assert before in interrupts._of_main_thread
        assert after not in interrupts._of_main_thread
    ((told,),) = late
    os.close(told)
