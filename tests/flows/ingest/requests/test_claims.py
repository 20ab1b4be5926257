"""Windows are claimed for a load, but for those that the warehouse has fuller."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from flows.ingest.requests.claims import Claimed, claim_windows
from flows.ingest.requests.plain_counters import BucketRows, CountedWindow, load_buckets
from flows.ingest.requests.windows import LoadedWindow, NewWindow, Window, loaded_windows
from flows.warehouse.connection import open_writer
from flows.warehouse.engines import session
from flows.warehouse.statements import statement
from tests.flows.ingest.requests.test_pull_requests import HOUR, START, experiment

FIRST, SECOND = (Window(START + n * HOUR, START + (n + 1) * HOUR) for n in range(2))


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    return tmp_path / "w.duckdb"


def _claim(
    con: duckdb.DuckDBPyConnection, *counted: NewWindow, source: str = "requests", **said: Any
) -> Claimed:
    chosen = {"selection": "ours", "warnings": (), **said}
    return claim_windows(con, experiment(), source, counted, **chosen)


def test_what_was_claimed_is_known_from_then_on_by_its_source_alone(warehouse: Path) -> None:
    with open_writer(warehouse) as con:
        claimed = _claim(con, NewWindow(FIRST, 12, 10, 9), warnings=("cut short",))
        assert (claimed.windows, claimed.kept) == (frozenset({FIRST}), ())
        assert loaded_windows(con, experiment(), "requests") == {
            START: LoadedWindow(FIRST.end_ms, 10, 9, True, "ours")
        }
        assert loaded_windows(con, experiment(), "conversions") == {}


def test_a_window_that_is_not_known_is_written_whatever_it_holds(warehouse: Path) -> None:
    with open_writer(warehouse) as con:
        claimed = _claim(con, NewWindow(FIRST, 0, 0, 0), warnings=("cut short",))
        assert claimed == Claimed(frozenset({FIRST}), (), has_rows=False)


@pytest.mark.parametrize(
    ("samples", "warnings", "why"),
    [(9, (), ""), (0, (), "has nothing for the changed spec"), (9, ("cut short",), "partial")],
)
def test_a_window_of_another_grid_gives_way_as_one_of_another_selection_does(
    warehouse: Path, samples: int, warnings: tuple[str, ...], why: str
) -> None:
    both = Window(FIRST.start_ms, SECOND.end_ms)
    with open_writer(warehouse) as con:
        _claim(con, NewWindow(FIRST, 10, 10, 10), NewWindow(SECOND, 10, 10, 10), selection="old")
        _claim(con, NewWindow(SECOND, 10, 10, 10), selection="old", source="conversions")
        claimed = _claim(con, NewWindow(both, samples, samples, 9), warnings=warnings)
        assert why in "".join(claimed.kept)
        assert claimed.has_rows == (not why)
        known = loaded_windows(con, experiment(), "requests")
        assert known.keys() == ({START, SECOND.start_ms} if why else {START})
        assert loaded_windows(con, experiment(), "conversions").keys() == {SECOND.start_ms}


MINUTE = HOUR // 60


@pytest.mark.parametrize(("metric", "source"), [("", "conversions"), ("errors", "metric errors")])
def test_buckets_that_no_new_window_covers_stay(warehouse: Path, metric: str, source: str) -> None:
    """Those of 20 minutes from minute 40 and 100 are covered in part."""

    def load(name: str, width: int, selection: str, *windows: tuple[int, int]) -> None:
        found = []
        for begin, end in windows:
            starts = np.arange(begin, end, width)
            rows = BucketRows(
                (("canary", "of"),),
                np.zeros(len(starts), np.int64),
                START + starts * MINUTE,
                np.ones(len(starts)),
            )
            window = Window(START + begin * MINUTE, START + end * MINUTE)
            found.append(CountedWindow(NewWindow(window, len(starts), len(starts), 9), rows))
        load_buckets(
            warehouse,
            experiment(experiment=name),
            source,
            found,
            metric=metric,
            selection=selection,
            warnings=(),
        )

    for name in ("checkout", "other"):
        load(name, 20, "old", (0, 60), (60, 120))
    load("checkout", 10, "new", (50, 110))
    table = (
        "measured_buckets join measured_parts using (part_id)" if metric else "conversion_buckets"
    )
    query = """
        select (epoch_ms(pulls.window_start) - {0}) // 60000, selection,
            list((epoch_ms(bucket_start) - {0}) // 60000 order by bucket_start)
        from {1} join pulls using (experiment, window_start)
        where experiment = '{2}' group by all order by 1
    """
    with open_writer(warehouse) as con:
        found = con.execute(query.format(START, table, "checkout")).fetchall()
        assert found == [(0, "old", [0, 20]), (50, "new", [50, 60, 70, 80, 90, 100])]
        found = con.execute(query.format(START, table, "other")).fetchall()
        assert found == [(0, "old", [0, 20, 40]), (60, "old", [60, 80, 100])]
        known = loaded_windows(con, experiment(), source)
    ends = {(start - START) // MINUTE: (w.end_ms - START) // MINUTE for start, w in known.items()}
    assert ends == {0: 50, 50: 110, 110: 120}


def test_a_fuller_window_stays_and_the_others_are_claimed(warehouse: Path) -> None:
    with open_writer(warehouse) as con:
        _claim(con, NewWindow(FIRST, 10, 10, 10))
        claimed = _claim(con, NewWindow(FIRST, 10, 10, 9), NewWindow(SECOND, 1, 1, 1))
        assert claimed.windows == {SECOND}
        assert len(claimed.kept) == 1
        incoming = con.execute("select epoch_ms(window_start) from incoming_windows").fetchall()
        assert incoming == [(SECOND.start_ms,)]
        assert loaded_windows(con, experiment(), "requests")[START].targets_up == 10


def test_two_first_loads_of_a_window_conflict_instead_of_doubling_it(warehouse: Path) -> None:
    with open_writer(warehouse) as con:
        other = session(con)
        for each in (con, other):
            each.execute("begin")
        claim = statement("load/claimed_windows")
        for each in (con, other):
            each.execute("create temp table incoming_windows as select * from pulls")
            each.execute(
                "insert into incoming_windows (window_start, window_end, row_count, targets_up) "
                "values ('2026-01-01', '2026-01-01 01:00', 1, 1)"
            )
        chosen = {"experiment": "checkout", "source": "requests", "warnings": [], "selection": ""}
        con.execute(claim, chosen)
        with pytest.raises((duckdb.TransactionException, duckdb.ConstraintException)):
            _claim_and_commit(con, other, claim, chosen)


def _claim_and_commit(
    first: duckdb.DuckDBPyConnection,
    second: duckdb.DuckDBPyConnection,
    claim: str,
    chosen: dict[str, Any],
) -> None:
    second.execute(claim, chosen)
    first.execute("commit")
    second.execute("commit")
