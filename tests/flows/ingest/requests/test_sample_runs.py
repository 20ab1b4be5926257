"""Samples are stored as runs, and read back as they were scraped."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.ingest.requests.counts import WindowCounts
from flows.ingest.requests.mesh.family import SeriesRole
from flows.ingest.requests.sample_runs import SampleRuns, read_samples, runs_table
from flows.ingest.requests.series import SeriesRow
from flows.ingest.requests.windows import Window
from flows.warehouse.connection import open_writer
from flows.warehouse.statements import Connection, run

START = 1_700_000_000_000
# Per series its samples: milliseconds since the one before, value, reason.
Scraped = list[list[tuple[int, float, int]]]
_STEPS = st.one_of(st.just(15_000), st.integers(1, 40_000))
_COUNTS = st.integers(0, 2**53).map(float)
_VALUES = st.one_of(st.integers(0, 50).map(float), _COUNTS, st.floats(0, 1e12))
_REASONS = st.one_of(st.just(0), st.integers(0, 6))
SERIES = st.lists(
    st.lists(st.tuples(_STEPS, _VALUES, _REASONS), max_size=8), min_size=1, max_size=4
)

_COLUMNS = (
    "select cast(series_id - 9223372036854775808 as integer), epoch_ms(ts), value, delta, reason"
)


def _row(series_id: int) -> SeriesRow:
    names = ("requests_total", SeriesRole.REQUESTS, "stable", "", "a:1", "", "success", "", "", "")
    return SeriesRow(series_id, *names, cut_off=False, le_ms=None, labels="{}")


def _counts(scraped: Scraped) -> WindowCounts:
    """Differences are those of the values, but for what has a reason."""
    samples = [sample for series in scraped for sample in series]
    times = [START + np.cumsum([step for step, _, _ in series]) for series in scraped]
    value = np.array([value for _, value, _ in samples], np.float64)
    reason = np.array([reason for *_, reason in samples], np.uint8)
    delta = np.diff(value, prepend=0.0)
    delta[reason > 0] = value[reason > 0]
    return WindowCounts(
        Window(START, START + 3_600_000),
        offsets=np.cumsum([0, *(len(series) for series in scraped)]),
        ts_ms=np.concatenate(times).astype(np.int64),
        value=value,
        delta=delta,
        reason=reason,
        losses=(),
        targets_up=1,
    )


@pytest.fixture(scope="module")
def con(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    """Of an empty warehouse."""
    with open_writer(tmp_path_factory.mktemp("runs") / "warehouse.duckdb") as con:
        yield con


def _write(con: Connection, counts: WindowCounts) -> None:
    con.execute("delete from sample_runs")
    rows = [_row(2**63 + number) for number in range(len(counts.offsets) - 1)]
    con.register("incoming_runs", runs_table(rows, [counts]))
    run(con, "load/sample_runs", experiment="checkout")


def _set_aside_and_write_again(con: Connection) -> None:
    con.execute("create or replace temporary table uncovered_rows as from counter_samples")
    con.execute("delete from sample_runs")
    run(con, "load/uncovered_samples_again")


def _read(con: Connection) -> list[tuple[float, ...]]:
    return con.execute(f"{_COLUMNS} from counter_samples order by all").fetchall()


def _expected(counts: WindowCounts) -> list[tuple[float, ...]]:
    columns = (counts.series, counts.ts_ms, counts.value, counts.delta, counts.reason)
    return sorted(zip(*(column.tolist() for column in columns), strict=True))


@settings(max_examples=100, deadline=None)
@given(scraped=SERIES)
def test_samples_are_read_as_they_were_scraped(con: Connection, scraped: Scraped) -> None:
    counts = _counts(scraped)
    _write(con, counts)
    assert _read(con) == _expected(counts)
    _set_aside_and_write_again(con)
    assert _read(con) == _expected(counts)


@settings(max_examples=100, deadline=None)
@given(scraped=SERIES, since=st.integers(-20_000, 120_000), length=st.integers(0, 120_000))
def test_of_a_span_there_are_its_samples_only(
    con: Connection, scraped: Scraped, since: int, length: int
) -> None:
    counts, begin = _counts(scraped), START + since
    _write(con, counts)
    found = con.execute(
        f"{_COLUMNS} from samples_between(make_timestamptz($1), make_timestamptz($2)) order by all",
        [begin * 1000, (begin + length) * 1000],
    ).fetchall()
    assert found == [row for row in _expected(counts) if begin < row[1] <= begin + length]


@settings(max_examples=100, deadline=None)
@given(
    scraped=SERIES,
    since=st.integers(-20_000, 120_000),
    lengths=st.tuples(*[st.integers(0, 60_000)] * 3),
    chosen=st.sets(st.integers(0, 3)),
)
def test_samples_of_some_series_are_the_same_without_sql(
    con: Connection, scraped: Scraped, since: int, lengths: tuple[int, int, int], chosen: set[int]
) -> None:
    counts = _counts(scraped)
    _write(con, counts)
    begin, inner, end, until = START + since + np.cumsum([0, *lengths])
    series = np.array([2**63 + number for number in chosen], np.uint64)
    spans = (int(begin), int(until)), (int(inner), int(end))
    found = read_samples(con, "checkout", spans[0], series, without_ms=spans[1])
    columns = (found.series_id - np.uint64(2**63), found.ts_ms, found.delta)
    rows = sorted(zip(*(column.tolist() for column in columns), strict=True))
    assert rows == [
        (number, ts_ms, delta)
        for number, ts_ms, _, delta, _ in _expected(counts)
        if number in chosen and begin < ts_ms <= until and not inner < ts_ms <= end
    ]


@pytest.mark.parametrize(
    ("samples", "steps"),
    [
        ([], []),
        ([(15_000, 1.0, 2)], [0]),
        ([(15_000, float(i), 0) for i in range(5)], [15_000]),
        (
            [(15_000, 1.0, 2), (15_000, 2.0, 0), (30_000, 3.0, 6), (15_000, 4.0, 0)],
            [15_000, 15_000],
        ),
        ([(15_000, 1.0, 0), (15_000, 2.0, 0), (15_001, 3.0, 0)], [-1]),
    ],
)
def test_a_run_ends_before_a_sample_that_has_a_reason(
    samples: list[tuple[int, float, int]], steps: list[int]
) -> None:
    assert SampleRuns.of(_counts([samples])).step_ms.tolist() == steps
    # Each series by itself: neither its times nor its values go on in the next.
    both = SampleRuns.of(_counts([samples, samples]))
    assert both.step_ms.tolist() == [*steps, *steps]


def test_a_difference_that_is_none_of_the_values_begins_a_run() -> None:
    counts = _counts([[(15_000, float(i), 0) for i in range(5)]])
    counts.delta[3] = 7.0
    assert SampleRuns.of(counts).offsets.tolist() == [0, 3, 5]
