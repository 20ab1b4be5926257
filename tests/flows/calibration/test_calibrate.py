"""`verdict calibrate` on a warehouse: what it finds and says.

Covers flows.calibration.request_outcomes.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.calibration.judges import Judge
from flows.calibration.calibrate import calibrate
from flows.calibration.calibration_document import CalibrationDocument
from tests.builders.shop import history_of, shop_warehouse, spec


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shop_warehouse(tmp_path_factory.mktemp("shop") / "w.duckdb")


@pytest.fixture(scope="module")
def document(warehouse: Path) -> CalibrationDocument:
    return calibrate(spec(), warehouse, runs=40, seed=3)


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
        calibrate(spec(), warehouse, runs=2, seed=seed).to_json() for seed in (3, 3, 4)
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
    # The verdict's signals see it, and hold; no other judge has any.
    assert [one for one in shift.judges if one.judge is not Judge.VERDICT] == [
        one for one in plain.judges if one.judge is not Judge.VERDICT
    ]
    assert shift.by(Judge.VERDICT).rolled_back == plain.by(Judge.VERDICT).rolled_back
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


def test_bursts_of_the_history_are_told(document: CalibrationDocument) -> None:
    assert set(history_of(document).bursts) == {"errors", "slow"}
    # These requests fail one by one.
    assert all(1 <= size < 1.5 for size in history_of(document).bursts.values())
