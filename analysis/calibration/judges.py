"""Four judges of the same runs: ours, a fixed threshold, a z-test at each look, Kayenta's.

Ours decides by production's own rules. The others know no promote before the end: they roll back
at the first look that fails, and what was never rolled back is promoted at the plan's end, as a
pipeline does that goes on while its analysis passes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np

from analysis.arrays import BoolArray, FloatArray, IntArray
from analysis.calibration.outcome import HOLD, PROMOTE, ROLLBACK, Decisions
from analysis.evidence import Coverage, Evidence, QualityLimits, RequestEvidence
from analysis.judge.request_tests import RequestTests
from analysis.judge.wide_buckets import width_of, with_width
from analysis.kayenta.classify import classify_metrics
from analysis.kayenta.config import MetricConfig
from analysis.kayenta.judgement import MetricLabel
from analysis.metric_result import Classification
from analysis.plan import MetricPlan, Plan
from analysis.requests.bucket_counts import BucketCounts
from analysis.verdict import Decision, reach_verdict

_WINDOW_MS = 300_000
_MINUTE_MS = 60_000
_Z = 1.96
# With fewer values a version, no rank of the differences is a bound at Kayenta's 98 %.
_KAYENTA_LEAST = 5
_KAYENTA_VALUES = (30, 60)
_KAYENTA_MARGINAL = 0.75


class Judge(StrEnum):
    """Who decides."""

    VERDICT = "verdict"
    THRESHOLD = "threshold"
    Z_TEST = "z-test"
    KAYENTA = "kayenta"


@dataclass(frozen=True, slots=True)
class Setting:
    """What all runs have in common.

    plan: it starts at 0 and has request metrics only, those that decide before the signals.
    looks_ms: int64[looks], whole buckets. thresholds: float64[deciding metrics], shares of bad
    requests from which the fixed threshold fails. choices: by signal, from how many latency edges
    its own was chosen.
    """

    plan: Plan
    limits: QualityLimits
    looks_ms: IntArray
    thresholds: FloatArray
    choices: Mapping[str, int] = field(default_factory=dict)

    @property
    def deciding(self) -> tuple[MetricPlan, ...]:
        """The metrics that roll back, the first of the plan's; the other judges know no others."""
        return tuple(metric for metric in self.plan.metrics if metric.role.decides)

    @property
    def kayenta_step(self) -> int:
        """Buckets to one of Kayenta's values: a minute, but 30 to 60 values in the whole plan."""
        buckets, (least, most) = self.plan.planned_buckets, _KAYENTA_VALUES
        minute = max(1, _MINUTE_MS // self.plan.bucket_ms)
        return max(1, -(-buckets // most), min(minute, buckets // least))


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs of one scenario, over the whole plan.

    requests: by variant, float64[runs, buckets]. counts: by variant, [runs, metrics, buckets].
    """

    requests: Mapping[str, FloatArray]
    counts: Mapping[str, BucketCounts]

    @property
    def size(self) -> int:
        """How many runs."""
        return len(next(iter(self.requests.values())))


@dataclass(frozen=True, slots=True, kw_only=True)
class _ManyRuns(Plan):
    """A plan whose metrics stand there once a run; each has the risk that it has in one run."""

    single: Plan

    def harm_alpha(self, metric: MetricPlan) -> float:
        """The metric's part of alpha in one run."""
        return self.single.harm_alpha(metric)


def decide(judge: Judge, setting: Setting, runs: Runs) -> Decisions:
    """Every run's first decision by this judge."""
    if judge is Judge.VERDICT:
        return _by_verdict(setting, runs)
    failed = {Judge.THRESHOLD: _threshold, Judge.Z_TEST: _z_test, Judge.KAYENTA: _kayenta}[judge]
    decision, at_ms = _undecided(setting, runs)
    for look_ms in setting.looks_ms:
        left = np.flatnonzero(decision == HOLD)
        if not left.size:
            break
        found = left[failed(setting, runs, left, int(look_ms) // setting.plan.bucket_ms)]
        decision[found], at_ms[found] = ROLLBACK, look_ms
    decision[decision == HOLD] = PROMOTE
    return Decisions(decision, at_ms)


def _undecided(setting: Setting, runs: Runs) -> tuple[IntArray, IntArray]:
    decision = np.full(runs.size, HOLD, dtype=np.int64)
    return decision, np.full(runs.size, setting.looks_ms[-1], dtype=np.int64)


def _by_verdict(setting: Setting, runs: Runs) -> Decisions:
    """Production's first promote or rollback.

    All runs are screened at once for a metric that fails, or for metrics that all pass; only
    then reach_verdict, with its signals, its checks of quality and of what is missing, is asked.
    """
    decision, at_ms = _undecided(setting, runs)
    words = {Decision.PROMOTE: PROMOTE, Decision.ROLLBACK: ROLLBACK}
    for look_ms in map(int, setting.looks_ms):
        left = np.flatnonzero(decision == HOLD)
        if not left.size:
            break
        fails, passes = _screened(setting, runs, left, look_ms // setting.plan.bucket_ms)
        for run in left[fails | (passes & (look_ms >= setting.plan.minimum_ms))]:
            evidence = evidence_of(setting, runs, int(run), look_ms)
            verdict = reach_verdict(setting.plan, evidence, setting.limits, at_ms=look_ms)
            if verdict.decision in words:
                decision[run], at_ms[run] = words[verdict.decision], look_ms
    return Decisions(decision, at_ms)


def evidence_of(setting: Setting, runs: Runs, run: int, at_ms: int) -> Evidence:
    """What production would see of one run at one look; the histograms, a label, are left out."""
    plan, buckets = setting.plan, at_ms // setting.plan.bucket_ms
    starts = np.arange(buckets) * plan.bucket_ms
    requests = RequestEvidence(
        stage=np.searchsorted([stage.start_ms for stage in plan.stages], starts, "right") - 1,
        requests={name: n[run, :buckets] for name, n in runs.requests.items()},
        metrics=tuple(metric.name for metric in plan.metrics),
        counts={
            name: BucketCounts(c.total[run, :, :buckets], c.bad[run, :, :buckets])
            for name, c in runs.counts.items()
        },
        choices=setting.choices,
    )
    return Evidence(requests, None, Coverage(watermark_ms=at_ms))


def _screened(
    setting: Setting, runs: Runs, left: IntArray, buckets: int
) -> tuple[BoolArray, BoolArray]:
    """Which of the runs have a metric that fails, and in which all pass: bool[left] each.

    Signals are left out: they keep a promote back, and never fail a run.
    """
    width, kept = width_of(setting.plan, buckets), len(setting.deciding)
    plan = with_width(setting.plan, width)
    metrics = tuple(
        replace(metric, name=f"{run} {metric.name}", quantile=None)
        for run in left
        for metric in setting.deciding
    )
    fields = {name: getattr(plan, name) for name in Plan.__slots__}
    many = _ManyRuns(**{**fields, "metrics": metrics}, single=plan)
    shape = (len(metrics), buckets)
    evidence = RequestEvidence(
        stage=np.zeros(buckets, dtype=np.int64),
        requests={},
        metrics=tuple(metric.name for metric in metrics),
        counts={
            name: BucketCounts(*(x[left, :kept, :buckets].reshape(shape) for x in (c.total, c.bad)))
            for name, c in runs.counts.items()
        },
    ).merged(width)
    tests = [RequestTests.of(many, evidence, list(metrics), name) for name in plan.candidates]
    found = [[one.classify(i) for i in range(len(metrics))] for one in tests]
    labels = np.array(found).reshape(len(plan.candidates), len(left), kept)
    fails = (labels == Classification.FAIL).any(axis=(0, 2))
    return fails, (labels == Classification.PASS).all(axis=(0, 2))


def _share(counts: BucketCounts, left: IntArray, first: int, last: int) -> BucketCounts:
    """Sums over buckets [first, last): [left, metrics]."""
    return BucketCounts(
        counts.total[left, :, first:last].sum(axis=-1), counts.bad[left, :, first:last].sum(axis=-1)
    )


def _threshold(setting: Setting, runs: Runs, left: IntArray, buckets: int) -> BoolArray:
    """A candidate's share over the last five minutes is above its objective: bool[left]."""
    first = max(0, buckets - max(1, _WINDOW_MS // setting.plan.bucket_ms))
    shares = [
        _share(runs.counts[candidate], left, first, buckets).share[:, : setting.thresholds.size]
        for candidate in setting.plan.candidates
    ]
    return np.asarray((np.array(shares) > setting.thresholds).any(axis=(0, 2)))


def _z_test(setting: Setting, runs: Runs, left: IntArray, buckets: int) -> BoolArray:
    """Two proportions with pooled variance, all that was counted so far: bool[left]."""
    ours = _share(runs.counts[setting.plan.baseline], left, 0, buckets)
    failed = np.zeros(len(left), dtype=bool)
    for candidate in setting.plan.candidates:
        theirs = _share(runs.counts[candidate], left, 0, buckets)
        pooled = BucketCounts(ours.total + theirs.total, ours.bad + theirs.bad).share
        with np.errstate(divide="ignore", invalid="ignore"):
            variance = pooled * (1 - pooled) * (1 / ours.total + 1 / theirs.total)
            z = (theirs.share - ours.share) / np.sqrt(variance)
        failed |= (np.nan_to_num(z)[:, : len(setting.deciding)] > _Z).any(axis=-1)
    return failed


def _kayenta(setting: Setting, runs: Runs, left: IntArray, buckets: int) -> BoolArray:
    """Any candidate's score is below marginal, on the values so far: bool[left].

    The score is the share of metrics that pass, of those with data; 0 with a critical failure.
    """
    step = setting.kayenta_step
    values = buckets // step
    failed = np.zeros(len(left), dtype=bool)
    if values < _KAYENTA_LEAST:
        return failed
    rows, metrics = len(left), len(setting.deciding)
    series = {
        name: _values(counts, left, step, values)[:, :metrics]
        for name, counts in runs.counts.items()
    }
    critical = np.array([metric.critical for metric in setting.deciding])
    control = series[setting.plan.baseline].reshape(rows * metrics, values)
    for candidate in setting.plan.candidates:
        experiment = series[candidate].reshape(rows * metrics, values)
        pairs = list(zip(control, experiment, strict=True))
        found = classify_metrics(pairs, [MetricConfig.default()] * len(pairs))
        labels = np.array([judged.label for judged in found]).reshape(rows, metrics)
        known, passed = labels != MetricLabel.NODATA, labels == MetricLabel.PASS
        failed |= passed.sum(axis=1) < _KAYENTA_MARGINAL * known.sum(axis=1)
        failed |= (known & ~passed & critical).any(axis=1)
    return failed


def _values(counts: BucketCounts, left: IntArray, step: int, values: int) -> FloatArray:
    """Shares of bad requests, a value to so many buckets: float64[left, metrics, values].

    NaN where there was no request.
    """
    total, bad = (
        x[left, :, : values * step].reshape(len(left), -1, values, step).sum(axis=-1)
        for x in (counts.total, counts.bad)
    )
    return np.asarray(np.divide(bad, total, out=np.full_like(bad, np.nan), where=total > 0))
