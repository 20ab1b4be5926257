"""`verdict judge --every`: values judged again as they grow, as Spinnaker's stage does."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.cli import judge_command
from tests.builders.canary_files import canary_config, metric, problems_of
from tests.builders.judged_metric import classify_metric

START = "2026-01-31T12:00:00Z"


def _run(*arguments: str | Path) -> int:
    parser = argparse.ArgumentParser()
    judge_command.add(parser.add_subparsers())
    options = parser.parse_args(["judge", *map(str, arguments)])
    code: int = options.run(options)
    return code


def _steady(seed: int, size: int = 60, mean: float = 100) -> list[float]:
    values: list[float] = np.random.default_rng(seed).normal(mean, 5, size).round(3).tolist()
    return values


def _series(name: str, control: Any, experiment: Any, **more: Any) -> dict[str, Any]:
    timed = {"start": START, "step": 60, **more}
    return {"name": name, "control": control, "experiment": experiment, **timed}


def _files(tmp: Path, values: Any, config: Any = None) -> tuple[str | Path, ...]:
    listed = values if isinstance(values, list) else {"metrics": [values]}
    (tmp / "canary.json").write_text(json.dumps(config or canary_config(metric("a"))))
    (tmp / "values.json").write_text(json.dumps(listed))
    return "--config", tmp / "canary.json", "--metrics", tmp / "values.json"


def _judged(
    capsys: pytest.CaptureFixture[str], *arguments: str | Path
) -> tuple[int, dict[str, Any]]:
    code = _run(*arguments, "--json")
    return code, json.loads(capsys.readouterr().out)


def _spans(document: dict[str, Any]) -> list[tuple[str, str]]:
    return [(look["start"][11:16], look["end"][11:16]) for look in document["looks"]]


def test_growing_looks_start_at_the_start_and_end_after_each_interval(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = _files(tmp_path, _series("a", _steady(1), _steady(2)))
    code, found = _judged(capsys, *paths, "--every", "20")
    assert (code, found["decision"]) == (0, "pass")
    assert _spans(found) == [("12:00", "12:20"), ("12:00", "12:40"), ("12:00", "13:00")]
    assert found["metrics"][0]["control"]["values"] == 60
    assert _judged(capsys, *paths, "--every", "20", "--lookback", "growing")[1] == found


def test_sliding_looks_judge_the_last_minutes_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = _files(tmp_path, _series("a", _steady(1), _steady(2)))
    _, found = _judged(capsys, *paths, "--every", "20", "--lookback", "sliding:30")
    assert _spans(found) == [("12:00", "12:20"), ("12:10", "12:40"), ("12:30", "13:00")]
    assert found["metrics"][0]["control"]["values"] == 30
    assert found["metrics"][0]["start"] == "2026-01-31T12:30:00Z"


def test_score_below_marginal_ends_the_run_at_that_look(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    worse = _steady(2, 20) + _steady(3, 20, mean=200) + _steady(4, 20)
    paths = _files(tmp_path, _series("a", _steady(1), worse))
    code, found = _judged(capsys, *paths, "--every", "20", "--lookback", "sliding:20")
    assert (code, found["decision"]) == (1, "fail")
    assert [look["score"] for look in found["looks"]] == [100, 0]
    assert found["reason"].startswith("look 2 of 3: score 0")
    assert _run(*paths, "--every", "60", "--lookback", "sliding:20") == 0


def test_each_look_says_what_the_judge_says_of_its_values_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(5)
    control, experiment = random.normal(10, 1, 120), random.normal(10.4, 1, 120)
    paths = _files(tmp_path, _series("a", control.tolist(), experiment.tolist()))
    _, found = _judged(capsys, *paths, "--every", "10", "--thresholds", "50", "0")
    labels = [
        classify_metric(control[:upto], experiment[:upto]).label for upto in range(10, 121, 10)
    ]
    assert len(set(labels)) == 2
    assert [look["score"] == 100 for look in found["looks"]] == [x == "Pass" for x in labels]


def test_marginal_looks_go_on_but_a_marginal_last_one_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = canary_config(metric("a", "fast"), metric("b", "slow"), weights={"fast": 80})
    values = [_series("a", _steady(1), _steady(2)), _series("b", _steady(3), _steady(4, mean=200))]
    paths = _files(tmp_path, values, config)
    assert _run(*paths) == 3
    capsys.readouterr()
    code, found = _judged(capsys, *paths, "--every", "30")
    assert (code, found["decision"]) == (1, "fail")
    assert [look["decision"] for look in found["looks"]] == ["marginal", "marginal"]
    assert "look 2 of 2, the last, must pass: score 80 is below 95" in found["reason"]


def test_marginal_first_look_that_recovers_passes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = canary_config(metric("a", "fast"), metric("b", "slow"), weights={"fast": 80})
    slow = _steady(4, 30, mean=200) + _steady(6, 30)
    values = [_series("a", _steady(1), _steady(2)), _series("b", _steady(3), slow)]
    paths = _files(tmp_path, values, config)
    code, found = _judged(capsys, *paths, "--every", "30", "--lookback", "sliding:30")
    assert code == 0
    assert [look["decision"] for look in found["looks"]] == ["marginal", "pass"]


def test_look_without_data_ends_kayentas_run_as_its_score_is_zero(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gaps = [None] * 20
    paths = _files(tmp_path, _series("a", gaps + _steady(1, 40), gaps + _steady(2, 40)))
    code, found = _judged(capsys, *paths, "--every", "20")
    assert (code, found["decision"], len(found["looks"])) == (4, "no_data", 1)
    assert _run("--judge", "verdict", *paths, "--every", "20") == 0


def test_minutes_after_the_last_whole_interval_are_said_not_to_be_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    worse_at_last = _steady(2, 50) + _steady(3, 10, mean=900)
    paths = _files(tmp_path, _series("a", _steady(1), worse_at_last))
    code, found = _judged(capsys, *paths, "--every", "25")
    assert (code, len(found["looks"])) == (0, 2)
    assert "the last 10 minutes are not judged: not a whole interval" in found["warnings"]


def test_series_that_begin_later_join_at_their_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    late = _series("b", _steady(3, 40), _steady(4, 40), start="2026-01-31T13:20:00+01:00", step=30)
    values = [_series("a", _steady(1), _steady(2)), late]
    paths = _files(tmp_path, values, canary_config(metric("a"), metric("b"), metric("c")))
    values.append(_series("c", _steady(5), _steady(6), start="2026-01-31T12:00:00"))
    paths = _files(tmp_path, values, canary_config(metric("a"), metric("b"), metric("c")))
    _, found = _judged(capsys, *paths, "--every", "30")
    assert _spans(found) == [("12:00", "12:30"), ("12:00", "13:00")]
    assert [m["control"]["values"] for m in found["metrics"]] == [60, 40, 60]
    _, first = _judged(capsys, *paths, "--every", "30", "--lookback", "sliding:20")
    assert [m["control"]["values"] for m in first["metrics"]] == [20, 0, 20]


def test_times_of_kayentas_pairs_stand_in_their_scopes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scope = {"startTimeIso": START, "startTimeMillis": 1769860800000, "stepMillis": 60000}
    pair: dict[str, Any] = {
        "name": "a",
        "tags": {},
        "values": {"control": _steady(1), "experiment": _steady(2)},
        "scopes": {"control": {**scope, "startTimeIso": "2026-01-30T12:00:00Z"}},
    }
    pair["scopes"] = {**pair["scopes"], "experiment": scope}
    _, found = _judged(capsys, *_files(tmp_path, [pair]), "--every", "30")
    assert _spans(found) == [("12:00", "12:30"), ("12:00", "13:00")]
    pair["scopes"] = {"experiment": {**scope, "stepMillis": "60s"}}
    said = problems_of(lambda: _run(*_files(tmp_path, [pair])))
    assert "scopes.experiment.stepMillis: is '60s', must be the milliseconds" in said[0]


def test_values_without_times_are_refused_by_name(tmp_path: Path) -> None:
    values = {"name": "a", "control": _steady(1), "experiment": _steady(2)}
    said = problems_of(lambda: _run(*_files(tmp_path, values), "--every", "10"))
    assert said == ["1: a: has no start and no step, which --every needs"]
    said = problems_of(lambda: _run(*_files(tmp_path, {**values, "step": 60}), "--every", "10"))
    assert said == ["1: a: has no start, which --every needs"]


def test_values_shorter_than_an_interval_are_refused(tmp_path: Path) -> None:
    paths = _files(tmp_path, _series("a", _steady(1), _steady(2)))
    said = problems_of(lambda: _run(*paths, "--every", "61"))
    assert "span 60 minutes, 0 intervals of 61 minutes; there must be 1 to" in said[0]
    assert "60000 intervals" in problems_of(lambda: _run(*paths, "--every", "0.001"))[0]


def test_ours_fails_at_the_first_look_that_proves_harm_and_else_says_the_last(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    worse = _files(tmp_path, _series("a", _steady(1), _steady(2, mean=140)))
    code, found = _judged(capsys, "--judge", "verdict", *worse, "--every", "5")
    assert (code, found["decision"]) == (1, "fail")
    assert 1 < len(found["looks"]) < 12
    assert found["looks"][0]["decision"] == "uncertain"
    fine = _files(tmp_path, _series("a", _steady(1), _steady(2)))
    code, found = _judged(capsys, "--judge", "verdict", *fine, "--every", "5")
    assert (code, len(found["looks"])) == (0, 12)


def test_looks_are_shown_to_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = _files(tmp_path, _series("a", _steady(1), _steady(2)))
    assert _run(*paths, "--every", "30") == 0
    shown = capsys.readouterr().out
    assert "look 2  2026-01-31 12:00 to 13:00  score 100  pass" in shown


def test_senseless_intervals_are_usage_errors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = _files(tmp_path, _series("a", _steady(1), _steady(2)))
    assert _run(*paths, "--lookback", "sliding:10") == 2
    assert "--lookback needs --every MINUTES" in capsys.readouterr().err
    assert _run(*paths, "--judge", "verdict", "--every", "5", "--lookback", "sliding:10") == 2
    assert "every look of a growing series" in capsys.readouterr().err
    for wrong in (("--every", "0"), ("--lookback", "shrinking"), ("--lookback", "sliding:")):
        with pytest.raises(SystemExit) as caught:
            _run(*paths, *wrong)
        assert caught.value.code == 2
