"""What `verdict calibrate` reads of a warehouse, and what is too little."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analysis.calibration.judges import Judge
from flows.calibration.calibrate import calibrate
from flows.calibration.request_history import ALL_KNOWN, CannotCalibrate, Period, read_history
from flows.formats.problems import UserError
from flows.spec.experiment import Experiment
from flows.warehouse.connection import open_reader, open_writer
from tests.builders.shop import BUCKET, EDGES, START, history_of, shop_warehouse, spec
from tests.builders.small_warehouse import CHECKOUT, QUIZ, small_warehouse

SLOW = {"kind": "slow_share", "above": "1s"}


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shop_warehouse(tmp_path_factory.mktemp("shop") / "w.duckdb")


def test_history_is_the_baselines_and_holds_every_request(warehouse: Path) -> None:
    with open_reader(warehouse) as con:
        history = read_history(con, spec())
        rows = con.execute(
            "select sum(requests), sum(requests) filter (outcome = 'failure' and "
            "response_flags = '') from request_buckets where variant = 'stable'"
        ).fetchone()
    assert rows is not None
    assert (history.requests, int(history.failed.sum())) == tuple(map(int, rows))
    # Injected faults and abandoned calls are no answers.
    assert history.other.tolist() == [13] * 60
    assert history.edges_ms.tolist() == list(EDGES)
    assert history.latency.sum(axis=1).tolist() == (history.good + history.failed).tolist()


@pytest.mark.parametrize("place", ["spec", "metric"])
def test_what_fails_is_what_the_spec_says(warehouse: Path, place: str) -> None:
    lists = {"codes": [200], "flags": []}
    errors = {"kind": "error_share"} | ({"failures": lists} if place == "metric" else {})
    changes = {"failures": lists} if place == "spec" else {}
    asked = spec(metrics={"errors": errors}, **changes)
    with open_reader(warehouse) as con:
        plain, own = read_history(con, spec()), read_history(con, asked)
    assert plain.requests == own.requests
    assert own.failed.sum() > 10 * plain.failed.sum()
    # What the table calls a failure is a signal, and so is how else requests ended.
    assert own.signals["excused-failures"].sum() == plain.failed.sum() > 0
    assert 0 < own.signals["abandoned"].sum() < plain.other.sum()


def test_signals_hold_a_candidate_that_is_never_rolled_back(tmp_path: Path) -> None:
    path = shop_warehouse(tmp_path / "w.duckdb", latency_shares=(0.3, 0.7, 0, 0))
    metrics = {"errors": {"kind": "error_share", "margin": 0.05}, "p99": SLOW}
    found = calibrate(spec(metrics=metrics), path, runs=4)
    plain, shift = (
        next(s for s in found.scenarios if s.scenario == name).by(Judge.VERDICT)
        for name in ("no-difference", "latency-shift")
    )
    assert (plain.rolled_back.value, shift.rolled_back.value) == (0, 0)
    assert plain.promoted.value == 1
    assert shift.promoted.value == 0


def test_a_pulled_bucket_without_rows_had_no_requests(tmp_path: Path) -> None:
    path = shop_warehouse(tmp_path / "w.duckdb", skipped=(5, 6))
    with open_reader(path) as con:
        history = read_history(con, spec())
    assert len(history.good) == 60
    assert history.cells[5:7].sum() == 0


def test_a_bucket_that_was_never_pulled_is_left_out(tmp_path: Path) -> None:
    path = shop_warehouse(tmp_path / "w.duckdb", skipped=(5, 6))
    with open_writer(path) as con:
        con.execute("update pulls set window_end = ?", [START + 5 * BUCKET])
    with open_reader(path) as con:
        history = read_history(con, spec())
    assert len(history.good) == 58
    assert (history.good > 0).all()


def test_edges_that_only_some_buckets_have_are_left_out(tmp_path: Path) -> None:
    path = shop_warehouse(tmp_path / "w.duckdb")
    with open_writer(path) as con:
        con.execute("insert into latency_buckets values ('shop', ?, ?, 'stable', 50, 1, 0, '')",
                    [START, START + BUCKET])  # fmt: skip
    with open_reader(path) as con:
        assert read_history(con, spec()).edges_ms.tolist() == list(EDGES)


def test_only_the_period_asked_for_is_replayed(warehouse: Path) -> None:
    period = Period(START + 10 * BUCKET, START + 40 * BUCKET)
    with open_reader(warehouse) as con:
        whole, part = (read_history(con, spec(), p) for p in (ALL_KNOWN, period))
    assert np.array_equal(part.cells, whole.cells[10:40])
    assert np.array_equal(part.starts_ms, whole.starts_ms[10:40])
    found = history_of(calibrate(spec(), warehouse, runs=1, period=period))
    assert (found.first, found.last) == (START + 10 * BUCKET, START + 39 * BUCKET)


def test_a_period_with_too_little_in_it_is_refused_and_named(warehouse: Path) -> None:
    few = Period(START, START + 5 * BUCKET)
    with pytest.raises(CannotCalibrate, match=r"5 buckets .* in 2026-01-01T12:00:00Z"):
        calibrate(spec(), warehouse, runs=1, period=few)
    with pytest.raises(CannotCalibrate, match=r"no requests of the baseline 'stable' in 2025"):
        calibrate(spec(), warehouse, runs=1, period=Period(START - 365 * 5760 * BUCKET, START))


def test_traffic_that_replays_lack_is_told(warehouse: Path, tmp_path: Path) -> None:
    # 77 requests of the canary beside some 1,500 are too few to matter.
    assert not [n for n in calibrate(spec(), warehouse, runs=1).notes if "went to candidates" in n]
    path = shop_warehouse(tmp_path / "w.duckdb")
    with open_writer(path) as con:
        con.execute("update request_buckets set requests = 520 where variant = 'canary'")
    notes = "\n".join(calibrate(spec(), path, runs=1).notes)
    assert "26% of this history's requests went to candidates" in notes


def test_too_little_history_is_refused(tmp_path: Path) -> None:
    path = shop_warehouse(tmp_path / "w.duckdb", buckets=19)
    with pytest.raises(CannotCalibrate, match="19 buckets of the baseline 'stable'"):
        calibrate(spec(), path, runs=1)


def test_a_baseline_without_requests_is_refused(tmp_path: Path) -> None:
    path = small_warehouse(tmp_path / "w.duckdb")
    with pytest.raises(CannotCalibrate, match="no requests of the baseline 'stable'; pull first"):
        calibrate(spec(), path, runs=1)
    with pytest.raises(CannotCalibrate, match="checkout: 1 buckets"):
        calibrate(Experiment.model_validate(CHECKOUT), path, runs=1)


def test_an_experiment_that_counts_users_needs_some(warehouse: Path) -> None:
    with pytest.raises(CannotCalibrate, match="quiz: fewer than 100 users with a final value"):
        calibrate(Experiment.model_validate(QUIZ), warehouse, runs=1)


def test_refusals_are_told_in_one_line() -> None:
    assert issubclass(CannotCalibrate, UserError)
