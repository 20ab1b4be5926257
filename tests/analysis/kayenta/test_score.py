"""The score: groups, weights, critical failures, missing data, rounding, thresholds."""

from __future__ import annotations

import pytest

from analysis.kayenta.config import CanaryConfig, MetricConfig
from analysis.kayenta.judgement import MetricJudgement, MetricLabel
from analysis.kayenta.score import CanaryScore, ScoreLabel, canary_score

PASS, HIGH, LOW = MetricLabel.PASS, MetricLabel.HIGH, MetricLabel.LOW
NODATA, REQUIRED = MetricLabel.NODATA, MetricLabel.NODATA_FAIL_METRIC


def _score(
    groups: dict[str, list[MetricLabel]],
    weights: dict[str, float] | None = None,
    *,
    critical: int | None = None,
    muted: int | None = None,
) -> CanaryScore:
    """critical, muted: the place of such a metric; a critical one fails so."""
    labelled = [(group, label) for group, labels in groups.items() for label in labels]
    metrics = tuple(
        MetricConfig(name=f"m{i}", groups=(group,), critical=i == critical, muted=i == muted)
        for i, (group, _) in enumerate(labelled)
    )
    judged = [
        MetricJudgement(MetricConfig(name=f"m{i}"), label, i == critical, untested="why")
        for i, (_, label) in enumerate(labelled)
    ]
    return canary_score(CanaryConfig(metrics=metrics, group_weights=weights or {}), judged)


@pytest.mark.parametrize(
    ("groups", "weights", "score", "label"),
    [
        ({"a": [PASS, PASS]}, {"a": 100}, 100, "pass"),
        ({"a": [PASS, HIGH]}, {"a": 100}, 50, "fail"),
        ({"a": [PASS, LOW, HIGH, PASS]}, {"a": 100}, 50, "fail"),
        # a metric without data is no part of its group; one that must have data fails
        ({"a": [PASS, PASS, NODATA]}, {"a": 100}, 100, "pass"),
        ({"a": [PASS, PASS, REQUIRED]}, {"a": 100}, 66.67, "fail"),
        # weights; groups without one share what is left
        ({"a": [PASS], "b": [HIGH]}, {"a": 80, "b": 20}, 80, "marginal"),
        ({"a": [PASS], "b": [HIGH]}, {}, 50, "fail"),
        ({"a": [PASS], "b": [HIGH], "c": [PASS]}, {"a": 40}, 70, "fail"),
        ({"a": [PASS], "b": [HIGH], "c": [PASS]}, {"a": 80}, 90, "marginal"),
        # a group without data counts as 100
        ({"a": [PASS, PASS], "b": [NODATA]}, {"a": 50, "b": 50}, 100, "pass"),
        ({"a": [HIGH, PASS], "b": [NODATA]}, {"a": 50, "b": 50}, 75, "marginal"),
        # a weight of a group that no metric is in is lost
        ({"a": [PASS]}, {"a": 60, "gone": 40}, 60, "fail"),
        # two decimals, half up
        ({"a": [PASS, PASS, HIGH]}, {"a": 100}, 66.67, "fail"),
        ({"a": [PASS, HIGH, HIGH, LOW], "b": [PASS]}, {"a": 0.5, "b": 99.5}, 99.63, "pass"),
        # thresholds are reached by equality
        ({"a": [PASS], "b": [HIGH]}, {"a": 95, "b": 5}, 95, "pass"),
        ({"a": [PASS], "b": [HIGH]}, {"a": 75, "b": 25}, 75, "marginal"),
        ({"a": [PASS], "b": [HIGH]}, {"a": 74.99, "b": 25.01}, 74.99, "fail"),
    ],
)
def test_score(
    groups: dict[str, list[MetricLabel]], weights: dict[str, float], score: float, label: str
) -> None:
    found = _score(groups, weights)
    assert (found.score, found.label.value) == (score, label)


def test_critical_failure_makes_the_score_zero_and_is_named() -> None:
    found = _score({"a": [PASS, PASS, HIGH]}, {"a": 100}, critical=2)
    assert (found.score, found.label) == (0, ScoreLabel.FAIL)
    assert "critical metric m2: why" in found.reason
    assert found.groups[0].score == pytest.approx(200 / 3)


@pytest.mark.parametrize(("missing", "score"), [(1, 100), (2, 0), (3, 0)])
def test_half_of_the_metrics_without_data_fails(missing: int, score: float) -> None:
    labels = [NODATA] * missing + [PASS] * (4 - missing)
    found = _score({"a": labels}, {"a": 100})
    assert (found.score, found.without_data) == (score, score == 0)


def test_required_data_that_is_missing_is_no_missing_data_of_the_whole() -> None:
    assert not _score({"a": [REQUIRED, REQUIRED, PASS]}, {"a": 100}).without_data


def test_muted_metric_counts_nowhere() -> None:
    assert _score({"a": [PASS, HIGH]}, {"a": 100}, muted=1).score == 100
    assert _score({"a": [PASS, NODATA]}, {"a": 100}, muted=1).score == 100
    assert _score({"a": [PASS, HIGH]}, {"a": 100}, muted=1, critical=1).score == 100


def test_metric_in_two_groups_counts_in_both() -> None:
    metrics = (MetricConfig(name="m", groups=("a", "b")), MetricConfig(name="n", groups=("b",)))
    judged = [
        MetricJudgement(MetricConfig(name=name), label)
        for name, label in (("m", HIGH), ("n", PASS))
    ]
    config = CanaryConfig(metrics=metrics, group_weights={"a": 50, "b": 50})
    found = canary_score(config, judged)
    assert [(group.name, group.score) for group in found.groups] == [("a", 0), ("b", 50)]
    assert found.score == 25
