"""Requests, errors and slow requests of a service in rows of time, judged before against during."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.evidence import RequestEvidence
from analysis.judge.request_metrics import judge_requests
from analysis.metric_result import Classification, MetricResult
from analysis.plan import Margin, MetricPlan, Plan, Role, Stage, Unit
from analysis.requests.bucket_counts import BucketCounts
from tests.places import SHARED

DATA = SHARED / "data"
MISSING = "no real incidents here: {} is not part of the repository"
QUANTILES = {"P50": 0.5, "P90": 0.9, "P95": 0.95, "P99": 0.99}
METRICS = ("errors", "slow")

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Rows:
    """Requests, failed and slow ones of a service, a row a bucket; at_s: when."""

    at_s: Floats
    total: Floats
    failed: Floats
    slow: Floats

    def take(self, index: Sequence[int] | NDArray[np.intp]) -> Rows:
        """The rows with these indices."""
        chosen = np.asarray(index, np.intp)
        return Rows(*(c[chosen] for c in (self.at_s, self.total, self.failed, self.slow)))

    @property
    def counts(self) -> BucketCounts:
        """Errors and slow requests, as the analysis takes them."""
        return BucketCounts(np.array([self.total, self.total]), np.array([self.failed, self.slow]))


def joined(parts: Iterable[Rows]) -> Rows:
    """The rows of all parts, one after the other."""
    some = list(parts)
    columns = [(p.at_s, p.total, p.failed, p.slow) for p in some]
    return Rows(*(np.concatenate(column) for column in zip(*columns, strict=True)))


def slower(total: Floats, quantiles: Mapping[float, Floats], bound: float) -> Floats:
    """How many requests were slower than the bound at least, by their quantiles."""
    share = np.zeros(len(total))
    for level, values in quantiles.items():
        share = np.where(values > bound, np.maximum(share, 1 - level), share)
    return np.floor(total * share)


def judge(
    before: Rows, during: Rows, *, bucket_s: int, planned: int | None = None
) -> dict[str, MetricResult]:
    """The product's defaults: 0.5 points of errors, 1 point of slow requests, alpha 0.05."""
    buckets = len(before.total)
    stage = Stage(0, (planned or buckets) * bucket_s * 1000, {})
    plan = Plan(
        experiment="incident",
        baseline="before",
        candidates=("during",),
        metrics=(
            MetricPlan("errors", Unit.REQUEST, Role.GUARDRAIL, Margin(absolute=0.005)),
            MetricPlan("slow", Unit.REQUEST, Role.GUARDRAIL, Margin(absolute=0.01)),
        ),
        stages=(stage,),
        bucket_ms=bucket_s * 1000,
        alpha=0.05,
        minimum_ms=0,
        minimum_exposure=1,
        look_every_ms=bucket_s * 1000,
    )
    evidence = RequestEvidence(
        stage=np.zeros(buckets, np.int64),
        requests={"before": before.total, "during": during.total},
        metrics=METRICS,
        counts={"before": before.counts, "during": during.counts},
    )
    return dict(zip(METRICS, judge_requests(plan, evidence, "during"), strict=True))


def has_failed(results: Mapping[str, MetricResult]) -> bool:
    """Whether any metric has: the verdict would be a rollback."""
    return any(result.classification is Classification.FAIL for result in results.values())
