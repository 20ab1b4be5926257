"""The canary's score, 0 to 100, from its metrics' labels, groups and weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum

from analysis.kayenta.config import CanaryConfig, MetricConfig
from analysis.kayenta.judgement import MetricJudgement, MetricLabel

# From this share of metrics without data on, the canary fails.
MOST_WITHOUT_DATA = 0.5


class ScoreLabel(StrEnum):
    """pass: the threshold to pass is reached; marginal: only the lower one; fail: neither."""

    PASS = "pass"
    MARGINAL = "marginal"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class GroupScore:
    """One group: its score in percent and its weight in percent of the whole.

    score is None where no metric of the group has data; it then counts as 100.
    """

    name: str
    score: float | None
    weight: float


@dataclass(frozen=True, slots=True)
class CanaryScore:
    """The whole: the score, what it means by the thresholds, and what decided it."""

    score: float
    label: ScoreLabel
    reason: str
    groups: tuple[GroupScore, ...]
    without_data: bool = False


def canary_score(config: CanaryConfig, judgements: Sequence[MetricJudgement]) -> CanaryScore:
    """The score as Kayenta's judge has it; judgements in the order of config.metrics.

    A group's score is the share of its metrics that pass, of those that pass or fail; muted
    metrics are left out. The summary is their weighted sum, rounded to two decimals. A critical
    failure, or half of the metrics or more without data, makes it 0.
    """
    counted = [
        (metric, judged)
        for metric, judged in zip(config.metrics, judgements, strict=True)
        if not metric.muted
    ]
    scores = {
        name: _group_score([judged for metric, judged in counted if name in metric.groups])
        for name in group_names(metric for metric, _ in counted)
    }
    groups = weighted_groups(scores, config.group_weights)
    critical = [judged for _, judged in counted if judged.critical_failure]
    if critical:
        reason = f"critical metric {critical[0].name}: {critical[0].reason}"
        return _scored(config, 0.0, groups, reason)
    missing = sum(judged.label is MetricLabel.NODATA for _, judged in counted)
    if counted and missing >= MOST_WITHOUT_DATA * len(counted):
        reason = f"{missing} of {len(counted)} metrics have no data"
        return _scored(config, 0.0, groups, reason, without_data=True)
    return _scored(config, summary(groups), groups, "")


def group_names(metrics: Iterable[MetricConfig]) -> tuple[str, ...]:
    """The groups that metrics name, each once, in order of appearance."""
    return tuple(dict.fromkeys(name for metric in metrics for name in metric.groups))


def weighted_groups(
    scores: Mapping[str, float | None], weights: Mapping[str, float]
) -> tuple[GroupScore, ...]:
    """Groups with their weights; those without one share equally what is left of 100."""
    unweighted = [name for name in scores if name not in weights]
    rest = (100 - sum(weights.values())) / max(len(unweighted), 1)
    return tuple(GroupScore(name, score, weights.get(name, rest)) for name, score in scores.items())


def summary(groups: Sequence[GroupScore]) -> float:
    """The weighted sum of the groups' scores, rounded half up to two decimals."""
    total = sum(
        (100.0 if group.score is None else group.score) * group.weight / 100 for group in groups
    )
    return float(Decimal(repr(float(total))).quantize(Decimal("0.01"), ROUND_HALF_UP))


def _group_score(judgements: Sequence[MetricJudgement]) -> float | None:
    labels = [judged.label for judged in judgements if judged.label is not MetricLabel.NODATA]
    return 100 * labels.count(MetricLabel.PASS) / len(labels) if labels else None


def _scored(
    config: CanaryConfig,
    score: float,
    groups: tuple[GroupScore, ...],
    reason: str,
    *,
    without_data: bool = False,
) -> CanaryScore:
    if score >= config.pass_threshold:
        label, told = ScoreLabel.PASS, f"reaches {config.pass_threshold:g} to pass"
    elif score >= config.marginal_threshold:
        label, told = ScoreLabel.MARGINAL, f"is below {config.pass_threshold:g} to pass"
    else:
        label, told = ScoreLabel.FAIL, f"is below {config.marginal_threshold:g}, the least"
    because = f": {reason}" if reason else ""
    return CanaryScore(score, label, f"score {score:g} {told}{because}", groups, without_data)
