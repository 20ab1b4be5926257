"""`verdict calibrate` as a person asks it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from analysis.calibration.judges import Judge
from flows.calibration.calibration_document import CalibrationDocument
from flows.cli.main import main
from tests.builders.shop import SHOP, history_of, shop_warehouse


def run_command(root: Path, *arguments: str) -> int:
    return main(["--root", str(root), "calibrate", "shop", *arguments])


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shop")
    (root / "experiments").mkdir()
    (root / "experiments" / "shop.yaml").write_text(
        yaml.safe_dump(SHOP, sort_keys=False), encoding="utf-8"
    )
    shop_warehouse(root / "var" / "warehouse.duckdb")
    return root


def test_command_prints_sentences_and_a_table_of_80_columns(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
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
