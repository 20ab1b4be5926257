"""Metric set pairs as Kayenta's own storage has them: sides without data, what was divided by 0."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.cli import judge_command
from tests.builders.canary_files import canary_config, metric, problems_of

NOBODY = {"startTimeIso": "1970-01-01T00:00:00Z", "startTimeMillis": 0, "stepMillis": 0}
SOMEBODY = {"startTimeIso": "2026-01-31T12:00:00Z", "stepMillis": 60000}


def _judged(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    pairs: list[dict[str, Any]],
    *more: str,
    config: Any = None,
) -> dict[str, Any]:
    (folder / "canary.json").write_text(json.dumps(config or canary_config(metric("a"))))
    (folder / "values.json").write_text(json.dumps(pairs))
    parser = argparse.ArgumentParser()
    judge_command.add(parser.add_subparsers())
    paths = ("--config", str(folder / "canary.json"), "--metrics", str(folder / "values.json"))
    options = parser.parse_args(["judge", *paths, *more, "--json"])
    options.run(options)
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def _pair(control: list[Any], experiment: list[Any], pod: str = "1") -> dict[str, Any]:
    sides = {"control": control, "experiment": experiment}
    return {
        "name": "a",
        "id": pod,
        "tags": {"pod": pod},
        "values": sides,
        "scopes": {side: SOMEBODY if values else NOBODY for side, values in sides.items()},
    }


def _steady(seed: int, mean: float = 3.0) -> list[Any]:
    values: list[Any] = np.random.default_rng(seed).normal(mean, 0.2, 60).round(3).tolist()
    return values


@pytest.mark.parametrize("judge", ["kayenta", "verdict"])
@pytest.mark.parametrize("every", [(), ("--every", "20")])
@pytest.mark.parametrize("empty", ["control", "experiment", "both", "each in one"])
def test_a_side_without_data_is_no_data(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    judge: str,
    every: tuple[str, ...],
    empty: str,
) -> None:
    pairs = {
        "control": [_pair([], _steady(1))],
        "experiment": [_pair(_steady(1), [])],
        "both": [_pair([], [], "1"), _pair(_steady(1), [], "2")],
        "each in one": [_pair([], _steady(1), "1"), _pair(_steady(2), [], "2")],
    }[empty]
    found = _judged(tmp_path, capsys, pairs, "--judge", judge, *every)
    assert found["decision"] == "no_data"
    assert {one["label"].lower().replace("_", "") for one in found["metrics"]} == {"nodata"}


def test_values_at_no_time_at_all_can_not_be_judged_by_interval(tmp_path: Path) -> None:
    (tmp_path / "canary.json").write_text(json.dumps(canary_config(metric("a"))))
    (tmp_path / "values.json").write_text(json.dumps([_pair([], [])]))
    parser = argparse.ArgumentParser()
    judge_command.add(parser.add_subparsers())
    paths = ("--config", str(tmp_path / "canary.json"), "--metrics", str(tmp_path / "values.json"))
    options = parser.parse_args(["judge", *paths, "--every", "20"])
    assert "no value in any metric" in problems_of(lambda: options.run(options))[0]


@pytest.mark.parametrize("missing", ["remove", "replace"])
@pytest.mark.parametrize("judge", ["kayenta", "verdict"])
def test_an_infinite_value_keeps_its_rank_and_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], judge: str, missing: str
) -> None:
    """As a gap it could count as 0: errors over no requests would be no errors."""
    harmed = [value if i % 3 else "Infinity" for i, value in enumerate(_steady(2, 6.0))]
    config = canary_config(metric("a", nanStrategy=missing))
    found = _judged(tmp_path, capsys, [_pair(_steady(1), harmed)], "--judge", judge, config=config)
    assert found["decision"] == "fail"
    [said] = [text for text in found["warnings"] if "infinite" in text]
    assert said.startswith("a (pod=1): 20 values of 120 are infinite")
    healthy = [value if i != 7 else "-Infinity" for i, value in enumerate(_steady(2))]
    found = _judged(
        tmp_path, capsys, [_pair(_steady(1), healthy)], "--judge", "kayenta", config=config
    )
    assert found["decision"] == "pass"


@pytest.mark.parametrize("judge", ["kayenta", "verdict"])
@pytest.mark.parametrize("control", [[0.0] * 60, [5.0] * 60, _steady(1)])
@pytest.mark.parametrize("share", [1.0, 0.8])
@pytest.mark.parametrize("allowed", [None, 1.5, 10.0])
def test_a_version_whose_values_are_infinite_is_worse_than_any_finite_one(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    judge: str,
    control: list[float],
    share: float,
    allowed: float | None,
) -> None:
    """Errors over successes, of which the canary has none: as the largest one they were alike."""
    harmed: list[Any] = [
        "Infinity" if i % 10 < 10 * share else value for i, value in enumerate(control)
    ]
    size = {"allowedIncrease": allowed}
    config = canary_config(metric("a", direction="increase", critical=True, effectSize=size))
    found = _judged(tmp_path, capsys, [_pair(control, harmed)], "--judge", judge, config=config)
    assert found["decision"] == "fail"
    better = [_pair(harmed, control)]
    assert _judged(tmp_path, capsys, better, "--judge", judge, config=config)["decision"] == "pass"


def test_nothing_but_infinite_values_is_no_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = _judged(tmp_path, capsys, [_pair(["Infinity"] * 60, ["Infinity"] * 60)])
    assert found["decision"] == "no_data"


@pytest.mark.parametrize(
    ("gaps_of", "nan_strategy", "decision"),
    [
        ((0, 30), "remove", "uncertain"),
        ((0, 12), "remove", "uncertain"),
        ((0, 11), "remove", "pass"),
        ((30, 30), "remove", "pass"),
        ((30, 0), "remove", "pass"),
        ((0, 60), "remove", "uncertain"),
        # A gap is 0 there, which is a value, if that is said.
        ((0, 60), "replace", "pass"),
    ],
)
def test_a_version_that_stops_to_report_does_not_pass(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    gaps_of: tuple[int, int],
    nan_strategy: str,
    decision: str,
) -> None:
    """Healthy until it died: in the intervals that both have nothing is wrong."""
    sides = []
    for seed, gaps in enumerate(gaps_of):
        values = _steady(seed)
        values[60 - gaps :] = ["NaN"] * gaps
        sides.append(values)
    whole = {"name": "b", "values": {"control": _steady(3), "experiment": _steady(4)}}
    second = {"name": "c", "values": {"control": _steady(5), "experiment": _steady(6)}}
    config = canary_config(metric("a", nanStrategy=nan_strategy), metric("b"), metric("c"))
    pairs = [_pair(sides[0], sides[1]), whole, second]
    found = _judged(tmp_path, capsys, pairs, "--judge", "verdict", config=config)
    assert found["decision"] == decision
    if decision == "uncertain":
        assert "a (pod=1): the experiment lacks a value in" in found["reason"]
    config = canary_config(
        metric("a", nanStrategy=nan_strategy, muted=True), metric("b"), metric("c")
    )
    found = _judged(tmp_path, capsys, pairs, "--judge", "verdict", config=config)
    assert found["decision"] == "pass"


@pytest.mark.parametrize("missing", ["remove", "replace"])
@pytest.mark.parametrize("direction", ["increase", "decrease", "either"])
@pytest.mark.parametrize("empty", [[], ["NaN"] * 60])
@pytest.mark.parametrize("dead", ["control", "experiment"])
def test_a_metric_that_must_have_data_has_none_where_a_side_is_gaps(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    missing: str,
    direction: str,
    empty: list[Any],
    dead: str,
) -> None:
    sides = {"control": _steady(1), "experiment": _steady(2), dead: empty}
    config = canary_config(metric("a", nanStrategy=missing, direction=direction, mustHaveData=True))
    pairs = [_pair(sides["control"], sides["experiment"])]
    found = _judged(tmp_path, capsys, pairs, "--judge", "verdict", config=config)
    assert found["decision"] == "no_data"
    found = _judged(tmp_path, capsys, pairs, "--judge", "kayenta", config=config)
    [said] = found["warnings"] if missing == "replace" or dead == "control" else [f"the {dead} has"]
    assert f"the {dead} has" in said


@pytest.mark.parametrize("judge", ["kayenta", "verdict"])
def test_what_is_said_of_a_metric_stands_at_the_top_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], judge: str
) -> None:
    """A pass whose control had no value must not look like one without a warning."""
    gaps: list[Any] = ["NaN"] * 60
    pairs = [_pair(gaps, _steady(1), "1"), _pair(_steady(2), _steady(3), "2")]
    found = _judged(tmp_path, capsys, pairs, "--judge", judge)
    below = [
        f"a (pod={one['tags']['pod']}): {warning['message']}"
        for one in found["metrics"]
        for warning in one["warnings"]
    ]
    assert below
    assert [text for text in found["warnings"] if text.startswith("a (pod=")] == below


def test_the_terminal_shows_each_warning_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "canary.json").write_text(json.dumps(canary_config(metric("a"))))
    (tmp_path / "values.json").write_text(json.dumps([_pair(_steady(1)[:20], _steady(2)[:20])]))
    parser = argparse.ArgumentParser()
    judge_command.add(parser.add_subparsers())
    paths = ("--config", str(tmp_path / "canary.json"), "--metrics", str(tmp_path / "values.json"))
    options = parser.parse_args(["judge", *paths])
    options.run(options)
    assert capsys.readouterr().out.count("fewer than 50") == 1
