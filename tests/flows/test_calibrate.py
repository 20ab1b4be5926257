"""`verdict calibrate` on a warehouse: what it reads, says and refuses."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from analysis.calibration.judges import Judge
from flows.baseline_history import ALL_KNOWN, CannotCalibrate, Period, read_history
from flows.calibrate import calibrate
from flows.calibration_document import CalibrationDocument
from flows.calibration_scenarios import HistoryDocument
from flows.commands import calibrate as calibrate_command
from flows.spec import Experiment
from flows.trouble import TROUBLE
from flows.warehouse import open_reader, open_writer, transaction
from tests.flows.small_warehouse import CHECKOUT, QUIZ, small_warehouse

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
BUCKET = timedelta(seconds=15)
EDGES = (10.0, 100.0, 1000.0, float("inf"))
SHOP: dict[str, Any] = {
    "experiment": "shop",
    "service": "shop",
    "mesh": "istio",
    "variants": {"stable": {"version": "v1"}, "canary": {"version": "v2"}},
    "split": {"stable": 80, "canary": 20},
    "metrics": {
        "errors": {"kind": "error_share", "margin": 0.01, "objective": 0.05},
        "slow": {"kind": "slow_share", "above": "100ms", "margin": 0.02},
    },
    "plan": {"duration": "10m", "look_every": "30s", "minimum_duration": "2m"},
    "sources": {"requests": {"prometheus": "http://localhost:9090"}},
}


def shop_warehouse(
    path: Path,
    buckets: int = 60,
    skipped: tuple[int, ...] = (),
    latency_shares: tuple[float, ...] = (0.3, 0.6, 0.09, 0.01),
) -> Path:
    """About 1500 requests a bucket, 1 % failed, a tenth above 100 ms; all windows pulled."""
    rng = np.random.default_rng(11)
    requests, latency = [], []
    for number in range(buckets):
        total, at = int(rng.poisson(1500)), START + number * BUCKET
        failed = int(rng.binomial(total, 0.01))
        counts = (("ok", "200", "", total - failed), ("failed", "503", "", failed))
        extra = (("failed", "503", "FI", 9), ("cancelled", "0", "DC", 4))
        cells = np.cumsum(rng.multinomial(total, latency_shares))
        if number in skipped:
            continue
        requests += [[START, at, "stable", *row] for row in (*counts, *extra)]
        latency += [[START, at, "stable", *row] for row in zip(EDGES, cells.tolist(), strict=True)]
        requests.append([START, at, "canary", "failed", "503", "", 77])
    with open_writer(path) as con, transaction(con):
        con.executemany(
            "insert into request_buckets values ('shop', ?, ?, ?, '', ?, ?, ?, ?)", requests
        )
        con.executemany("insert into latency_buckets values ('shop', ?, ?, ?, ?, ?)", latency)
        con.execute(
            "insert into pulls values ('shop', 'requests', ?, ?, 1, 10, 4, [], 'x')",
            [START, START + buckets * BUCKET],
        )
    return path


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shop_warehouse(tmp_path_factory.mktemp("shop") / "w.duckdb")


def spec(**changes: Any) -> Experiment:
    return Experiment.model_validate({**SHOP, **changes})


@pytest.fixture(scope="module")
def document(warehouse: Path) -> CalibrationDocument:
    return calibrate(spec(), warehouse, runs=40, seed=3)


def test_history_is_the_baselines_and_holds_every_request(warehouse: Path) -> None:
    with open_reader(warehouse) as con:
        history = read_history(con, spec())
        rows = con.execute(
            "select sum(requests), sum(requests) filter (response_class = 'failed' and "
            "response_flags = '') from request_buckets where variant = 'stable'"
        ).fetchone()
    assert rows is not None
    assert (history.requests, int(history.failed.sum())) == tuple(map(int, rows))
    # Injected faults and cancelled calls are no answers.
    assert history.other.tolist() == [13] * 60
    assert history.edges_ms.tolist() == list(EDGES)
    assert history.latency.sum(axis=1).tolist() == (history.good + history.failed).tolist()


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
        con.execute("insert into latency_buckets values ('shop', ?, ?, 'stable', 50, 1)",
                    [START, START + BUCKET])  # fmt: skip
    with open_reader(path) as con:
        assert read_history(con, spec()).edges_ms.tolist() == list(EDGES)


def test_gate_on_its_own_history(document: CalibrationDocument) -> None:
    found = {scenario.scenario: scenario.by(Judge.VERDICT) for scenario in document.scenarios}
    assert found["no-difference"].rolled_back.value <= 0.05
    assert found["total-failure"].rolled_back.value == 1
    assert found["total-failure"].p90_s is not None
    assert found["total-failure"].p90_s <= 60
    assert found["five-points"].rolled_back.value > 0.9


def test_rights_and_wrongs_follow_the_margin(document: CalibrationDocument) -> None:
    kinds = {
        scenario.scenario: (
            scenario.by(Judge.Z_TEST).false_alarm is not None,
            scenario.by(Judge.Z_TEST).wrong_promote is not None,
        )
        for scenario in document.scenarios
    }
    assert kinds["no-difference"] == (True, False)
    assert kinds["one-margin"] == (True, True)
    assert kinds["two-margins"] == (False, True)


def test_shares_of_a_judge_sum_to_one(document: CalibrationDocument) -> None:
    for scenario in document.scenarios:
        for row in scenario.judges:
            assert row.rolled_back.value + row.promoted.value + row.held.value == pytest.approx(1)


def test_same_seed_gives_the_same_bytes(warehouse: Path) -> None:
    first, again, other = (
        calibrate(spec(), warehouse, runs=6, seed=seed).to_json() for seed in (3, 3, 4)
    )
    assert first == again
    assert first != other


def test_progress_ends_at_all_runs(warehouse: Path) -> None:
    seen: list[tuple[int, int]] = []
    calibrate(spec(), warehouse, runs=2, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1]
    assert seen == sorted(seen)


def test_harm_that_no_metric_sees_is_said_to_be_unseen(tmp_path: Path) -> None:
    path = shop_warehouse(tmp_path / "w.duckdb", latency_shares=(0.3, 0.7, 0, 0))
    metrics = {"errors": {"kind": "error_share"}, "p99": {"kind": "slow_share", "above": "1s"}}
    found = calibrate(spec(metrics=metrics), path, runs=3)
    plain, shift = (
        next(s for s in found.scenarios if s.scenario == name)
        for name in ("no-difference", "latency-shift")
    )
    assert shift.harm == {"errors": 0, "p99": 0}
    assert shift.judges == plain.judges
    assert sum("No metric of the spec sees a difference." in s for s in found.sentences()) == 2


def test_harm_within_the_margin_is_said_to_be_so(warehouse: Path) -> None:
    metrics = {"slow": {"kind": "slow_share", "above": "100ms", "margin": 0.5}}
    sentences = calibrate(spec(metrics=metrics), warehouse, runs=3).sentences()
    assert any("within its margin of 50 points." in sentence for sentence in sentences)


def test_without_a_metric_of_latency_none_is_injected(warehouse: Path) -> None:
    found = calibrate(spec(metrics={"errors": {"kind": "error_share"}}), warehouse, runs=3)
    assert not [s for s in found.scenarios if s.scenario.startswith("latency")]


def test_notes_say_what_the_numbers_do_not_hold(warehouse: Path) -> None:
    metrics = {
        "slow": {"kind": "slow_share", "above": "2m"},
        "bought": {"kind": "proportion", "outcome": "purchase"},
    }
    changed = spec(metrics=metrics, split=None, plan={"duration": "1h"})
    notes = "\n".join(calibrate(changed, warehouse, runs=1).notes)
    for part in (
        "the history only 60",
        "requests are judged as if the spec named no metrics per user",
        "left out: bought",
        "no split is configured",
        "no metric counts failures",
        "no latency of the baseline is known at the bound of slow",
    ):
        assert part in notes


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


def test_bursts_of_the_history_are_told(document: CalibrationDocument) -> None:
    assert set(history_of(document).bursts) == {"errors", "slow"}
    # These requests fail one by one.
    assert all(1 <= size < 1.5 for size in history_of(document).bursts.values())


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
    assert CannotCalibrate in TROUBLE


def history_of(document: CalibrationDocument) -> HistoryDocument:
    """Of requests."""
    assert document.history is not None
    return document.history


def run_command(root: Path, *arguments: str) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=Path)
    calibrate_command.add(parser.add_subparsers())
    options = parser.parse_args(["--root", str(root), "calibrate", "shop", *arguments])
    return int(options.run(options))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "shop.yaml").write_text(
        yaml.safe_dump(SHOP, sort_keys=False), encoding="utf-8"
    )
    shop_warehouse(tmp_path / "var" / "warehouse.duckdb")
    return tmp_path


def test_command_prints_sentences_and_a_table_of_80_columns(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(root, "--runs", "3") == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    plain = " ".join(text.split())
    assert "A canary that fails 1 point more often is rolled back in" in plain
    assert "A canary that fails every request is rolled back in 100.0% of runs, median" in plain
    assert "…" not in text
    for judge in Judge:
        assert text.count(f"│ {judge.value} ") == 8


def test_command_prints_json_that_is_the_document(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(root, "--runs", "2", "--seed", "9", "--json") == 0
    text = capsys.readouterr().out
    found = CalibrationDocument.model_validate_json(text)
    assert (found.runs, found.seed, history_of(found).buckets) == (2, 9, 60)
    assert json.loads(text)["scenarios"][0]["judges"][0]["wrong_promote"] is None


def test_command_replays_the_period_asked_for(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    period = "2026-01-01T12:00:00Z..2026-01-01T12:10"
    assert run_command(root, "--runs", "1", "--history", period, "--json") == 0
    assert (
        history_of(CalibrationDocument.model_validate_json(capsys.readouterr().out)).buckets == 40
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("--runs", "0"),
        ("--runs", "x"),
        ("--seed", "-1"),
        ("--history", "2026-01-01"),
        ("--history", "yesterday..today"),
        ("--history", "2026-01-02..2026-01-01"),
    ],
)
def test_command_refuses_numbers_that_make_no_sense(root: Path, arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit):
        run_command(root, *arguments)
