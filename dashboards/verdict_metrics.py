"""Verdicts as Prometheus metrics of our own, each told apart by its experiment.

Their names are fixed: what carries the guide's names and prefix is in exported_metrics.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from analysis.judge.judge_metrics import health_bounds
from analysis.metric_result import MetricResult
from analysis.verdict import Decision, Verdict
from dashboards.gauges import gauge, labels_of
from dashboards.report_view import VariantShare

PREFIX = "split_verdict"
# What each metric is, by the end of its name.
HELP = {
    "decision": "1 for the decision of the latest look, 0 for the other three",
    "health_score": "Canary health of the latest look, 0 to 100, as in the verdict",
    "health_score_lower": "What of the health score is proven at every look, 0 to 100",
    "health_score_upper": "What the health score could be by what is proven, 0 to 100",
    "harm": "Harm of a metric in its unit: above 0 the candidate is worse",
    "harm_lower": "Lower bound of the harm, valid at every look",
    "harm_upper": "Upper bound of the harm, valid at every look",
    "harm_allowed": "Harm that the margin allows",
    "split_configured_ratio": "Share of the traffic that is configured in the latest stage",
    "split_observed_ratio": "Share of the traffic that was seen in the latest stage",
    "stage": "Number of the latest stage that has begun, from 1",
    "check_failed": "1 for a check of the data that failed at the latest look",
    "waits_for_person": "1 while a person is to decide: a delivery, a signal or a pod",
    "look_timestamp_seconds": "Time of the latest look",
    "data_timestamp_seconds": "Up to when requests are known without a hole",
}

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class VerdictSamples:
    """The samples of one experiment: by the end of the metric's name, labels and value."""

    experiment: str
    values: tuple[tuple[str, Labels, float], ...]


def verdict_samples(
    verdict: Verdict, *, stage: int | None, split: Iterable[VariantShare], waits: bool
) -> VerdictSamples:
    """What the latest look at an experiment says; values that are not known are left out.

    stage, split: the number of the latest stage, and how its traffic was divided. waits: whether
    its delivery waits for a person; a signal or a pod that holds does so anyway.
    """
    samples = [
        *_decided(verdict, waits=waits),
        ("stage", (), stage),
        *(sample for metric in verdict.metrics for sample in _harm(metric)),
        *(sample for share in split for sample in _share(share)),
    ]
    found = [
        (name, labels, float(value))
        for name, labels, value in samples
        if value is not None and math.isfinite(value)
    ]
    return VerdictSamples(verdict.experiment, tuple(found))


def render_verdicts(found: Iterable[VerdictSamples]) -> str:
    """The text format, a family after the other; the same text whatever the input's order."""
    samples: dict[str, list[tuple[str, float]]] = {name: [] for name in HELP}
    for each in found:
        for name, labels, value in each.values:
            text = labels_of({"experiment": each.experiment, **dict(labels)})
            samples[name].append((text, value))
    return "".join(gauge(f"{PREFIX}_{name}", HELP[name], of) for name, of in samples.items())


_Sample = tuple[str, Labels, float | None]


def _decided(verdict: Verdict, *, waits: bool) -> Iterator[_Sample]:
    for decision in Decision:
        yield "decision", (("decision", decision.value),), float(decision is verdict.decision)
    yield "health_score", (), verdict.score
    bounds = health_bounds(verdict.metrics)
    if verdict.score is not None and bounds is not None:
        # A score of 0 is proven: a critical metric failed, or an outage was seen.
        yield "health_score_lower", (), min(bounds[0], verdict.score)
        yield "health_score_upper", (), bounds[1] if verdict.score else 0.0
    for check in verdict.quality:
        yield "check_failed", (("check", check.name),), float(not check.passed)
    holds = any(metric.holds for metric in verdict.metrics)
    yield "waits_for_person", (), float(waits or holds)
    yield "look_timestamp_seconds", (), verdict.look_at.timestamp()
    if verdict.watermark is not None:
        yield "data_timestamp_seconds", (), verdict.watermark.timestamp()


def _share(share: VariantShare) -> Iterator[_Sample]:
    labels = (("variant", share.variant),)
    yield "split_configured_ratio", labels, share.configured
    yield "split_observed_ratio", labels, share.observed


def _harm(metric: MetricResult) -> Iterator[_Sample]:
    """The harm as reports show it: what it is beyond the allowed, and the allowed."""
    if math.isnan(metric.excess.value):
        return
    labels = (
        ("candidate", metric.candidate_variant),
        ("metric", metric.metric),
        ("unit", metric.unit.value),
    )
    allowed = metric.margin
    yield "harm", labels, metric.excess.value + allowed
    yield "harm_lower", labels, metric.excess.lower + allowed
    yield "harm_upper", labels, metric.excess.upper + allowed
    yield "harm_allowed", labels, allowed
