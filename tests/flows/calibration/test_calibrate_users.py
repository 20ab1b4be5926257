"""`verdict calibrate` for metrics per user: users of the warehouse, assigned anew.

Covers flows.calibration.known_users, flows.calibration.user_outcomes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import yaml

from analysis.calibration.user_replay import UserJudge
from flows.calibration.calibrate import calibrate
from flows.calibration.calibration_document import CalibrationDocument, calibration_schema
from flows.calibration.request_history import CannotCalibrate, Period
from flows.cli.main import main
from flows.spec.experiment import Experiment
from tests.builders.user_specs import (
    START,
    Rows,
    day,
    pull,
    spec_of,
    write_exposures,
    write_outcomes,
)

PLAN = {"start": START.isoformat(), "duration": "20d", "look_every": "1d", "bucket": "1h"}
FIELDS: dict[str, Any] = {
    "split": {"a": 50, "b": 50},
    "metrics": {
        "bought": {"kind": "proportion", "outcome": "purchase", "window": "2d"},
        "spend": {
            "kind": "mean",
            "outcome": "purchase",
            "window": "2d",
            "role": "guardrail",
            "margin": "10%",
            "adjust": [{"before": "10d"}],
        },
        "p80": {"kind": "quantile", "outcome": "purchase", "quantile": 0.8},
    },
}


def _spec(**plan: Any) -> Experiment:
    return spec_of(**FIELDS, plan=PLAN | plan)


def _fill(folder: Path, users: int, *, effect: float = 0.0) -> None:
    """Users of both variants over 20 days; three in ten buy, b's spend grows by the effect."""
    rng = np.random.default_rng(4)
    exposures: Rows = [(u, "ab"[u % 2], 20 * u / users) for u in range(users)]
    outcomes: Rows = []
    for user, arm, at in exposures:
        size = float(rng.gamma(4, 5))
        outcomes.append((user, "purchase", at - 3, round(size, 2)))
        if rng.random() < 0.3:
            grown = size * (1 + effect * (arm == "b")) + float(rng.gamma(2, 1))
            outcomes.append((user, "purchase", at + 0.5, round(grown, 2)))
    write_exposures(folder, exposures)
    write_outcomes(folder, outcomes)
    pull(_spec(), folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("users")
    _fill(path, 3000)
    return path


@pytest.fixture(scope="module")
def document(folder: Path) -> CalibrationDocument:
    return calibrate(_spec(), folder / "w.duckdb", runs=200, seed=3)


def test_gate_on_its_own_users(document: CalibrationDocument) -> None:
    assert [metric.metric for metric in document.users] == ["bought", "spend"]
    assert document.history is None
    assert document.user_history is not None
    assert document.user_history.users == 3000
    bought = document.users[0]
    plain = bought.scenarios[0]
    assert plain.lift == 0
    assert plain.by(UserJudge.VERDICT).wrong.value <= 0.05 + 3 * 0.0155
    assert plain.by(UserJudge.T_TEST).wrong.value > 0.12
    assert plain.by(UserJudge.FIXED_TEST).wrong.value <= 0.05 + 3 * 0.0155
    harm = next(s for s in bought.scenarios if s.harm == pytest.approx(0.2))
    assert harm.by(UserJudge.VERDICT).worse.value > 0.3
    assert harm.by(UserJudge.VERDICT).median_s is not None


def test_window_and_users_of_the_plan_are_respected(document: CalibrationDocument) -> None:
    bought = document.users[0]
    # The users of the first 18 of 20 days have a final value at the end.
    assert bought.users == pytest.approx(2700, abs=2)
    assert bought.mean == pytest.approx(0.3, abs=0.03)
    assert bought.tightest_at_users == pytest.approx(2700, rel=0.02)


def test_margin_of_a_guardrail_is_among_the_lifts(document: CalibrationDocument) -> None:
    spend = document.users[1]
    assert spend.allowed == pytest.approx(0.1)
    assert [s.lift for s in spend.scenarios] == pytest.approx([0, -0.05, -0.1, -0.2])
    at_margin = spend.scenarios[2].by(UserJudge.VERDICT)
    assert at_margin.wrong.value <= 0.05 + 3 * 0.0155


def test_users_of_both_variants_are_replayed_though_one_had_an_effect(tmp_path: Path) -> None:
    _fill(tmp_path, 1200, effect=0.5)
    found = calibrate(_spec(), tmp_path / "w.duckdb", runs=100, seed=3)
    assert found.users[1].scenarios[0].by(UserJudge.FIXED_TEST).wrong.value <= 0.05 + 3 * 0.022


def test_notes_say_what_is_left_out_and_what_is_shorter(folder: Path) -> None:
    notes = "\n".join(calibrate(_spec(duration="90d"), folder / "w.duckdb", runs=2).notes)
    assert "left out: p80" in notes
    assert "the plan lasts 90.0 d, users are known for 60.0 d" in notes


def test_only_the_period_asked_for_is_replayed(folder: Path) -> None:
    period = Period(day(5), day(15))
    found = calibrate(_spec(), folder / "w.duckdb", runs=2, period=period)
    assert found.user_history is not None
    assert found.user_history.users == pytest.approx(1500, abs=2)
    assert found.users[0].plan_s == 10 * 86_400


def test_too_few_users_are_refused(tmp_path: Path) -> None:
    _fill(tmp_path, 60)
    with pytest.raises(CannotCalibrate, match="fewer than 100 users with a final value"):
        calibrate(_spec(), tmp_path / "w.duckdb", runs=2)


def test_same_seed_gives_the_same_bytes(folder: Path) -> None:
    first, again, other = (
        calibrate(_spec(), folder / "w.duckdb", runs=30, seed=seed).to_json() for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_command_prints_a_table_of_80_columns_and_json_that_fits_its_schema(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    (tmp_path / "experiments").mkdir()
    (tmp_path / "var").mkdir()
    written = {"experiment": "quiz", "service": "quiz", "variants": {"a": {}, "b": {}}}
    sources = {"exposures": {"files": "exposures*"}, "outcomes": {"files": "outcomes*"}}
    text = yaml.safe_dump(written | FIELDS | {"plan": PLAN, "sources": sources}, sort_keys=False)
    (tmp_path / "experiments" / "quiz.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "var" / "warehouse.duckdb").write_bytes((folder / "w.duckdb").read_bytes())
    for arguments in ((), ("--json",)):
        assert main(["--root", str(tmp_path), "calibrate", "quiz", "--runs", "5", *arguments]) == 0
    shown, _, document = capsys.readouterr().out.partition("{\n")
    assert max(map(len, shown.splitlines())) <= 80
    assert "bought: without an effect verdict is wrong in" in " ".join(shown.split())
    assert "…" not in shown
    jsonschema.validate(json.loads("{\n" + document), json.loads(calibration_schema()))
