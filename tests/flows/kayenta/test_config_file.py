"""Spinnaker's canary configs: every option is read, and every mistake is said with its field.

Covers flows.kayenta.config_schema.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from analysis.kayenta.config import Direction, EffectMeasure, NanStrategy
from flows.kayenta.config_file import load_canary_config
from tests.builders.canary_files import canary_config, metric, problems_of


def test_defaults_are_kayentas(tmp_path: Path) -> None:
    path = tmp_path / "canary.json"
    path.write_text('{"metrics": [{"name": "a", "groups": null, "analysisConfigurations": {}}]}')
    config = load_canary_config(path)
    (metric,) = config.metrics
    assert (metric.direction, metric.nan_strategy) == (Direction.EITHER, NanStrategy.REMOVE)
    assert (metric.critical, metric.must_have_data, metric.muted) == (False, False, False)
    assert (metric.measure, metric.limit(metric.allowed_increase)) == (EffectMeasure.MEAN_RATIO, 1)
    assert (config.name, config.pass_threshold, config.marginal_threshold) == ("canary", 95, 75)


def test_every_option_is_read(tmp_path: Path) -> None:
    path = tmp_path / "canary.json"
    effect = {
        "measure": "cles", "allowedIncrease": 0.6, "allowedDecrease": 0.4,
        "criticalIncrease": 0.9, "criticalDecrease": 0.1,
    }  # fmt: skip
    written = metric(
        "a",
        direction="decrease",
        nanStrategy="replace",
        critical=True,
        mustHaveData=True,
        muted=True,
        effectSize=effect,
        outliers={"strategy": "remove", "outlierFactor": 1.5},
    )
    path.write_text(json.dumps(canary_config(written, weights={"health": 100})))
    config = load_canary_config(path)
    (read,) = config.metrics
    assert (read.direction.value, read.nan_strategy.value) == ("decrease", "replace")
    assert (read.critical, read.must_have_data, read.muted) == (True, True, True)
    assert (read.measure.value, read.allowed_increase, read.allowed_decrease) == ("cles", 0.6, 0.4)
    assert (read.critical_increase, read.critical_decrease) == (0.9, 0.1)
    assert (read.outliers.value, read.outlier_factor) == ("remove", 1.5)
    assert (read.groups, config.group_weights) == (("health",), {"health": 100})


def test_config_within_a_request_is_read_with_the_requests_thresholds(tmp_path: Path) -> None:
    path = tmp_path / "request.json"
    thresholds = {"pass": 90, "marginal": 40}
    request = {
        "canaryConfig": canary_config(metric("a")),
        "executionRequest": {"scopes": {}, "thresholds": thresholds},
    }
    path.write_text(json.dumps(request))
    config = load_canary_config(path)
    assert (config.name, config.pass_threshold, config.marginal_threshold) == (
        "exam-canary",
        90,
        40,
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"increase"', '"up"', ".direction: is 'up', must be 'increase', 'decrease' or 'either'"),
        ('"increase"', '"increse"', "(did you mean 'increase'?)"),
        (
            '"direction"',
            '"nanStrategy"',
            ".nanStrategy: is 'increase', must be 'remove' or 'replace'",
        ),
        (
            '"direction"',
            '"critcal"',
            ".critcal: unknown field 'critcal' (did you mean 'critical'?)",
        ),
        (
            '"direction": "increase"',
            '"critical": "perhaps"',
            ".critical: is 'perhaps', must be a valid bool",
        ),
        (
            '"direction": "increase"',
            '"effectSize": {"measure": "mean"}',
            "must be 'meanRatio' or 'cles'",
        ),
        (
            '"direction": "increase"',
            '"effectSize": {"allowedIncrease": NaN}',
            "must be a finite number",
        ),
        (
            '"direction": "increase"',
            '"outliers": {"strategy": "drop"}',
            "must be 'keep' or 'remove'",
        ),
        ('"direction": "increase"', '"outliers": 3', ".outliers: is 3, must be an object"),
        ('"pass": 95', '"pass": 950', ".pass: is 950, must be less than or equal to 100"),
        ('"pass": 95', '"pass": 50', "marginal 75 must not exceed pass 50"),
        (
            '"groupWeights": {}',
            '"groupWeights": {"a": 70, "b": 50}',
            "groupWeights sum to 120, must",
        ),
        (
            '"groupWeights": {}',
            '"groupWeight": {}',
            ".groupWeight: unknown field 'groupWeight' (did you mean 'groupWeights'?)",
        ),
        (
            '"classifier"',
            '"clasifier"',
            "clasifier: unknown field 'clasifier' (did you mean 'classifier'?)",
        ),
        (
            '"NetflixACAJudge-v1.0"',
            '"CoinJudge"',
            "judge.name: is 'CoinJudge', must be 'NetflixACAJudge-v1.0'",
        ),
        ('"metrics"', '"measures"', "metrics: is missing"),
        ('"name": "latency"', '"title": "latency"', "metrics[0].name: is missing"),
    ],
)
def test_mistake_in_a_config_is_said_with_its_field(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    path = tmp_path / "canary.json"
    text = json.dumps(canary_config(metric("latency")), indent=1)
    assert old in text
    path.write_text(text.replace(old, new, 1))
    assert said in "\n".join(problems_of(lambda: load_canary_config(path)))


def test_every_mistake_is_said_at_once_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "canary.json"
    path.write_text(
        '{"metrics": [\n{"name": "a",\n "analysisConfigurations": {"canary": {\n'
        '  "direction": "up",\n  "muted": "no idea"}}},\n{"name": "a"}],\n"jugde": {}}'
    )
    lines = [
        re.split(r" is | unknown ", said)[0]
        for said in problems_of(lambda: load_canary_config(path))
    ]
    inner = "metrics[0].analysisConfigurations.canary"
    assert lines == [f"4: {inner}.direction:", f"5: {inner}.muted:", "7: jugde:"]
    path.write_text('{"metrics": [{"name": "a"},\n{"name": "a"}]}')
    assert problems_of(lambda: load_canary_config(path)) == [
        "2: metrics[1].name: is 'a', as metrics[0] is; values are found by name"
    ]


def test_only_a_list_without_items_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "canary.json"
    path.write_text(json.dumps(canary_config(metric("a", direction="up"))))
    (one,) = problems_of(lambda: load_canary_config(path))
    assert "direction" in one
    path.write_text(json.dumps(canary_config()))
    (one,) = problems_of(lambda: load_canary_config(path))
    assert one.endswith("metrics: is empty, must hold at least one")
