"""`verdict judge`: files in, labels and exit codes out; everything wrong with a file is said.

Covers flows.kayenta.judge_files, flows.kayenta.judgement_document, flows.kayenta.metric_document.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from flows.cli import judge_command
from flows.formats.problems import InputError
from tests.builders.canary_files import canary_config, metric, problems_of

SPIKES = [100, 1, 100, 100, 1, 100, 100, 100, 1, 100]


def _run(*arguments: str | Path) -> int:
    """The command's exit code."""
    parser = argparse.ArgumentParser()
    judge_command.add(parser.add_subparsers())
    options = parser.parse_args(["judge", *map(str, arguments)])
    code: int = options.run(options)
    return code


def _normal(seed: int, mean: float, spread: float = 5) -> list[float]:
    values: list[float] = np.random.default_rng(seed).normal(mean, spread, 60).round(3).tolist()
    return values


Files = Callable[[Any, Any], tuple[str | Path, ...]]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Writes a config and values (metric: its two series); gives the arguments that name them."""

    def write(config: Any, values: Any) -> tuple[str | Path, ...]:
        if isinstance(values, dict) and "metrics" not in values:
            rows = values.items()
            values = {"metrics": [{"name": n, "control": c, "experiment": e} for n, (c, e) in rows]}
        for name, content in (("canary.json", config), ("values.json", values)):
            text = content if isinstance(content, str) else json.dumps(content, indent=1)
            (tmp_path / name).write_text(text)
        return "--config", tmp_path / "canary.json", "--metrics", tmp_path / "values.json"

    return write


# what is judged


def test_healthy_canary_passes_with_both_judges(files: Files) -> None:
    paths = files(canary_config(metric("latency")), {"latency": (_normal(1, 100), _normal(2, 100))})
    assert _run("--judge", "kayenta", *paths) == 0
    assert _run("--judge", "verdict", *paths) == 0


def test_harm_fails_with_both_judges(files: Files) -> None:
    paths = files(canary_config(metric("latency")), {"latency": (_normal(1, 100), _normal(2, 130))})
    assert _run(*paths) == 1
    assert _run("--judge", "verdict", *paths) == 1


def test_blind_spot_passes_kayenta_with_a_warning_and_fails_ours(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = files(canary_config(metric("queue")), {"queue": ([1] * 10, SPIKES)})
    assert _run(*paths) == 0
    shown = capsys.readouterr().out
    assert "Pass" in shown
    assert "! values stray farther than the control's" in shown
    assert _run("--judge", "verdict", *paths) == 1
    assert "exceeds what is allowed (10 %) by at least" in capsys.readouterr().out


def test_errors_against_a_baseline_without_values_are_warned_of(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    errors = [5 if at % 5 == 0 else None for at in range(60)]
    config = canary_config(metric("errors", nanStrategy="replace"))
    paths = files(config, {"errors": ([None] * 60, errors)})
    assert _run(*paths) == 0
    assert "! the control has no value at all" in capsys.readouterr().out
    assert _run("--judge", "verdict", *paths) == 1


def test_sparse_errors_are_warned_of_and_fail_ours(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    errors = [3 if at % 5 == 0 else 0 for at in range(60)]
    paths = files(canary_config(metric("errors")), {"errors": ([0] * 60, errors)})
    assert _run(*paths) == 0
    assert "! 90 % of the values are 0" in capsys.readouterr().out
    assert _run("--judge", "verdict", *paths) == 1


def test_score_between_thresholds_is_marginal(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    config = canary_config(metric("a", "fast"), metric("b", "slow"), weights={"fast": 80})
    values = {"a": (_normal(1, 9), _normal(2, 9)), "b": (_normal(3, 9, 1), _normal(4, 20, 1))}
    paths = files(config, values)
    assert _run(*paths) == 3
    shown = capsys.readouterr().out
    assert shown.startswith("exam-canary: marginal (score 80, kayenta judge)")
    assert "group slow: 0 (weight 20 %)" in shown
    assert _run(*paths, "--thresholds", "80", "50") == 0
    assert _run(*paths, "--thresholds", "95", "90") == 1


def test_critical_metric_alone_fails_the_canary(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    config = canary_config(
        metric("a"), metric("b"), metric("c", critical=True, effectSize={"criticalIncrease": 2})
    )
    steady = (_normal(1, 9), _normal(2, 9))
    twice = files(config, {"a": steady, "b": steady, "c": (_normal(3, 9, 1), _normal(4, 20, 1))})
    assert _run(*twice) == 1
    assert "score 0 is below 75, the least: critical metric c" in capsys.readouterr().out
    half = files(config, {"a": steady, "b": steady, "c": (_normal(3, 9, 1), _normal(4, 13, 1))})
    assert _run(*half, "--thresholds", "60", "50") == 0


def test_half_of_the_metrics_without_data_is_no_data(files: Files) -> None:
    values = {"a": (_normal(1, 9, 0.2), _normal(2, 9, 0.2)), "b": ([], [])}
    paths = files(canary_config(metric("a"), metric("b")), values)
    assert _run(*paths) == 4
    assert _run("--judge", "verdict", *paths) == 4


def test_few_intervals_are_judged_by_their_ranks(files: Files) -> None:
    config = canary_config(metric("a"))
    assert _run("--judge", "verdict", *files(config, {"a": ([1, 2, 3, 2], [2, 2, 1, 2])})) == 0
    assert _run("--judge", "verdict", *files(config, {"a": ([1, 2, 3], [5, 4, 6])})) == 1
    # All worse, but two values a side can't show it.
    assert _run("--judge", "verdict", *files(config, {"a": ([1, 2], [2.5, 3.5])})) == 3
    assert _run("--judge", "verdict", *files(config, {"a": ([1], [9])})) == 3


@pytest.mark.parametrize(
    ("few", "said"),
    [
        (["a"], "no harm is proven; a has too few values to bound it"),
        (["a", "b"], "no harm is proven; 2 metrics have too few values to bound it"),
        ([], "every metric's harm is within what is allowed"),
    ],
)
@pytest.mark.parametrize("count", [2, 3, 10])
def test_a_pass_on_few_values_claims_no_bound(
    files: Files, capsys: pytest.CaptureFixture[str], count: int, few: list[str], said: str
) -> None:
    short, long = ([5.0, 5.2] * 5)[:count], [1.0, 1.02] * 60
    values = {name: (short, short[::-1]) if name in few else (long, long[::-1]) for name in "ab"}
    paths = files(canary_config(metric("a"), metric("b")), values)
    assert _run("--judge", "verdict", *paths) == 0
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert (": pass (" in first, second) == (True, f"  {said}")


def test_muted_metric_is_shown_but_decides_nothing(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    config = canary_config(metric("a"), metric("b", muted=True, critical=True))
    steady = (_normal(1, 9, 0.2), _normal(2, 9, 0.2))
    paths = files(config, {"a": steady, "b": (_normal(3, 9, 1), _normal(4, 20, 1))})
    assert _run(*paths) == 0
    assert "b (muted)" in capsys.readouterr().out
    assert _run("--judge", "verdict", *paths) == 0


def test_kayentas_own_list_of_pairs_is_read_with_tags(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = [
        {
            "name": "cpu",
            "id": f"id-{zone}",
            "tags": {"zone": zone},
            "values": {"control": [*_normal(1, 9, 1), "NaN"], "experiment": _normal(2, mean, 1)},
            "attributes": {"control": {}, "experiment": {}},
            "scopes": {},
        }
        for zone, mean in (("a", 9.0), ("b", 20.0))
    ]
    assert _run(*files(canary_config(metric("cpu")), pairs)) == 1
    shown = capsys.readouterr().out
    assert "cpu (zone=a)  Pass" in shown
    assert "cpu (zone=b)  High" in shown
    assert "score 50" in shown


def test_lost_weights_and_metrics_without_a_group_are_warned_of(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = {**metric("b"), "groups": []}
    config = canary_config(metric("a"), alone, weights={"health": 60, "gone": 40})
    steady = (_normal(1, 9, 0.2), _normal(2, 9, 0.2))
    assert _run(*files(config, {"a": steady, "b": steady})) == 1
    shown = capsys.readouterr().out
    assert "! group 'gone' has a weight but no metric" in shown
    assert "! metric 'b' is in no group" in shown


def test_config_without_any_group_is_no_rollback(files: Files) -> None:
    """Nothing counts in its score, as when the file of values is given as the config."""
    config = canary_config({**metric("a"), "groups": []})
    steady = {"a": (_normal(1, 9, 0.2), _normal(2, 9, 0.2))}
    with pytest.raises(InputError, match=r"metrics: none is in a group \(`groups`\), so the score"):
        _run(*files(config, steady))
    assert _run(*files(config, steady), "--judge", "verdict") == 0


@pytest.mark.parametrize("kind", ["kayenta", "verdict"])
def test_json_follows_its_schema_and_says_what_is_not_known(
    files: Files, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    config = canary_config(metric("a"), metric("b"), metric("c"))
    values = {
        "metrics": [
            {"name": "a", "control": _normal(1, 9), "experiment": _normal(2, 9), "step": 60,
             "start": "2026-01-31T12:00:00Z"},
            {"name": "b", "control": [None, None], "experiment": [1, "NaN"]},
            {"name": "c", "control": [1, 2], "experiment": [3, 4]},
        ]
    }  # fmt: skip
    assert _run("--schema") == 0
    schema = json.loads(capsys.readouterr().out)
    code = _run("--judge", kind, "--json", *files(config, values))
    document = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator(schema).validate(document)
    assert document["exit_code"] == code
    assert document["judge"] == kind
    a, b, _ = document["metrics"]
    assert (a["start"], a["step"], a["control"]["values"]) == ("2026-01-31T12:00:00Z", 60, 60)
    assert (b["shift"], b["control"]["mean"], b["control"]["missing"]) == (None, None, 2)


# what is wrong with the command


def test_missing_files_and_senseless_options_are_usage_errors(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = files(canary_config(metric("a")), {"a": ([1], [1])})
    assert _run(*paths[:2]) == 2
    assert "needs --config CANARY.json and --metrics VALUES.json" in capsys.readouterr().err
    assert _run(*paths, "--thresholds", "50", "80") == 2
    for wrong in (("--margin", "2"), ("--alpha", "0"), ("--intervals", "1"), ("--judge", "coin")):
        with pytest.raises(SystemExit) as caught:
            _run(*paths, *wrong)
        assert caught.value.code == 2


def test_ours_refuses_series_that_cannot_be_paired(files: Files) -> None:
    paths = files(canary_config(metric("a")), {"a": ([1, 2, 3], [1, 2])})
    assert _run(*paths) == 0
    said = problems_of(lambda: _run("--judge", "verdict", *paths))
    assert "3 control and 2 experiment values" in said[0]


@pytest.mark.parametrize(
    ("judge", "options", "said"),
    [
        ("kayenta", ("--margin", "0.01"), "--margin needs --judge verdict"),
        ("kayenta", ("--absolute-margin", "1"), "--absolute-margin needs --judge verdict"),
        ("kayenta", ("--alpha", "0.01"), "--alpha needs --judge verdict"),
        ("kayenta", ("--intervals", "60"), "--intervals needs --judge verdict"),
        ("verdict", ("--thresholds", "95", "75"), "--thresholds is kayenta's"),
        ("verdict", ("--every", "10", "--lookback", "sliding:10"), "sliding is kayenta's"),
    ],
)
def test_an_option_that_the_judge_would_pass_over_is_refused(
    judge: str,
    options: tuple[str, ...],
    said: str,
    files: Files,
    capsys: pytest.CaptureFixture[str],
) -> None:
    named = files(canary_config(metric("a")), {"a": (_normal(1, 100), _normal(2, 100))})
    assert _run(*named, "--judge", judge, *options) == 2
    assert said in capsys.readouterr().err
