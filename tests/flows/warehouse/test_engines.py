"""One DuckDB serves a file after the other; nothing is left of one for the next."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest

from flows.warehouse import engines
from flows.warehouse.connection import open_writer
from flows.warehouse.engines import attached, on_all_threads, session
from flows.warehouse.resources import resources_of
from tests.servers.other_process import process

LIMIT = {"memory_limit": "16MB"}
SPILLS = "create temp table much as select hash(range)::varchar as a from range(1_000_000)"
OPEN = "import duckdb, sys\nduckdb.connect(sys.argv[1])\nprint('open', flush=True)\ninput()\n"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """The settings of each DuckDB that is started, of which none is there yet."""
    found: list[Any] = []
    connect = duckdb.connect

    def counted(**how: Any) -> duckdb.DuckDBPyConnection:
        found.append(how)
        return connect(**how)

    monkeypatch.setattr(engines, "_idle", {})
    monkeypatch.setattr(duckdb, "connect", counted)
    yield found
    for _, engine in engines._idle[os.getpid()]:
        engine.close()


def use(folder: Path, name: str, settings: dict[str, str], sql: str = "from range(1)") -> None:
    with attached(folder / name, folder / f"{name}.tmp", settings) as con:
        con.execute(sql)


def test_nothing_of_a_file_is_left_for_the_next(tmp_path: Path) -> None:
    made = "create table kept as select 1 as a; create temp table lost as from kept"
    use(tmp_path, "a", LIMIT, made)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    for read_only in (True, False):
        with attached(tmp_path / "a", tmp_path / "tmp", LIMIT, read_only=read_only) as con:
            for one in (con, session(con)):
                assert one.execute("from kept").fetchall() == [(1,)]
                with pytest.raises(duckdb.CatalogException):
                    one.execute("from lost")
    for file in (None, tmp_path / "b"):
        with attached(file, tmp_path / "tmp", LIMIT) as con:
            assert con.execute("select count(*) from duckdb_tables()").fetchall() == [(0,)]
    # It is closed: another process, which doesn't know our lock, can open it.
    with process(OPEN, str(tmp_path / "a")):
        pass


@pytest.mark.parametrize(
    ("first", "second", "starts"),
    [
        ({}, LIMIT, 1),
        ({"sql": "create table kept as select 1 as a"}, LIMIT, 1),
        ({}, {}, 1),
        ({}, {"memory_limit": "17MB"}, 2),
        ({"sql": SPILLS}, LIMIT, 2),
        ({"sql": "select 1 as a from nowhere"}, LIMIT, 2),
    ],
)
def test_one_that_is_as_new_is_used_again(
    tmp_path: Path,
    started: list[Any],
    first: dict[str, str],
    second: dict[str, str],
    starts: int,
) -> None:
    try:
        use(tmp_path, "a", LIMIT, **first)
    except duckdb.CatalogException:
        assert "nowhere" in first["sql"]
    use(tmp_path, "b", second)
    assert len(started) == starts
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}


def test_who_works_at_once_has_each_its_own(tmp_path: Path, started: list[Any]) -> None:
    for _ in range(2):
        with ExitStack() as opened:
            for name in "abc":
                opened.enter_context(attached(None, tmp_path / name, LIMIT))
    assert len(started) == 4  # the third is closed each time


def test_a_fork_has_its_own(tmp_path: Path, started: list[Any]) -> None:
    """Threads don't come along: with the parent's it would wait for ever."""
    use(tmp_path, "a", LIMIT)
    child = os.fork()
    if child == 0:
        use(tmp_path, "b", LIMIT)
        os._exit(len(started))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
    assert len(started) == 1


def test_a_checkpoint_may_put_few_row_groups_together(tmp_path: Path) -> None:
    """What that saves a pull of a large table benchmarks/many_users.py shows."""
    with attached(tmp_path / "w.duckdb", tmp_path / "spilled", {}) as con:
        assert con.sql("select current_setting('max_vacuum_tasks')").fetchall() == [(8,)]


@pytest.mark.parametrize("threads", ["1", "2"])
def test_interrupted_query_is_an_interrupt(tmp_path: Path, threads: str) -> None:
    """DuckDB raises an error of its own, that looks like any failure."""
    settings = {"threads": threads}
    with (
        pytest.raises(KeyboardInterrupt),
        attached(None, tmp_path / "spilled", settings) as con,
        _told_again(con.interrupt),
    ):
        # Deaf, it would end by itself, and the test would fail.
        con.execute("select sum(hash(range)) from range(4_000_000_000)")


@contextmanager
def _told_again(told: Callable[[], None]) -> Iterator[None]:
    """Tells it every tenth of a second."""
    over = threading.Event()

    def tell() -> None:
        while not over.wait(0.1):
            told()

    telling = threading.Thread(target=tell)
    telling.start()
    try:
        yield
    finally:
        over.set()
        telling.join()


def test_other_failures_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="what else"), attached(None, tmp_path / "spilled", {}):
        raise RuntimeError("what else")


def _threads(con: duckdb.DuckDBPyConnection) -> int:
    return int(con.execute("select current_setting('threads')").fetchall()[0][0])


@pytest.fixture
def of_three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A warehouse for which three threads are set."""
    monkeypatch.setenv("VERDICT_THREADS", "3")
    return tmp_path / "var" / "w.duckdb"


def test_what_is_over_many_rows_has_all_threads_and_the_rest_one(of_three: Path) -> None:
    with open_writer(of_three) as con:
        assert _threads(con) == 1
        with on_all_threads(con, of_three):
            assert _threads(con) == 3
        assert _threads(con) == 1
    with attached(None, of_three.with_name("spilled"), resources_of(of_three)) as con:
        assert _threads(con) == 3


def test_without_a_setting_there_are_as_many_threads_as_cores(tmp_path: Path) -> None:
    with duckdb.connect() as con:
        cores = _threads(con)
    with open_writer(tmp_path / "w.duckdb") as con, on_all_threads(con, tmp_path / "w.duckdb"):
        assert _threads(con) == cores


def test_what_fails_leaves_one_thread_and_its_own_error(of_three: Path) -> None:
    with open_writer(of_three) as con:
        with pytest.raises(duckdb.CatalogException), on_all_threads(con, of_three):
            con.execute("select * from missing")
        assert _threads(con) == 1


def _fails_after_its_connection(warehouse: Path) -> None:
    con = duckdb.connect()
    with on_all_threads(con, warehouse):
        con.close()
        raise ValueError("first")


def test_a_connection_that_is_gone_hides_no_error(of_three: Path) -> None:
    with pytest.raises(ValueError, match="first"):
        _fails_after_its_connection(of_three)
