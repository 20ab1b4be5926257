"""Gross failures and outages of a candidate, by exact tests of counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.special import ndtr, ndtri

from analysis.arrays import BoolArray, FloatArray
from analysis.evidence import RequestEvidence
from analysis.judge.started_harm import is_timed
from analysis.plan import MetricPlan, Plan
from analysis.requests.bucket_counts import BucketCounts
from analysis.requests.gross_failure import GrossNull, ever_gross, gross_share_log_e
from analysis.requests.own_states import FURTHEST_FAILED, FURTHEST_SLOW, reach_of_states
from analysis.stages import are_without

# The exact test's null hypothesis lies this far beyond the margin: bursts don't reach it.
_GROSS_GAP_FLOOR = 0.1
_GROSS_GAP_MARGINS = 4.0
# A signal doesn't roll back; a version of which so many more clients leave than of the other is
# down all the same.
_OUTAGE_GAP = 0.5


def gross_failures(
    plan: Plan,
    baseline: BucketCounts,
    candidate: BucketCounts,
    metrics: list[MetricPlan],
    alpha: FloatArray,
    overdispersion: FloatArray,
) -> BoolArray:
    """Whether the candidate was ever grossly worse than the baseline at the time: bool[metrics].

    A version's own states slow or fail its requests for minutes, and of a share that is large, as
    half of all beyond the median, they move tens of points. So nothing within the reach of such
    states is gross.
    """
    allowed = [metric.allowed_harm for metric in metrics]
    gap = np.array([gross_gap(margin.absolute) for margin in allowed])
    factor = np.array([1 + margin.relative for margin in allowed])
    null = GrossNull(gap, alpha, plan.planned_buckets, factor, overdispersion)
    # States only widen the gap: where no bucket is beyond it as it is, there is nothing to find.
    rows = np.flatnonzero((candidate.share > null.allowed(baseline)).any(axis=1))
    found = np.zeros(len(metrics), dtype=np.bool_)
    if rows.size:
        theirs, ours = (
            BucketCounts(one.total[rows], one.bad[rows]) for one in (baseline, candidate)
        )
        slow = np.array([is_timed(metrics[row]) for row in rows.tolist()])
        furthest = np.where(slow, FURTHEST_SLOW, FURTHEST_FAILED)
        reach = reach_of_states(theirs, ours, furthest=furthest)
        share = (theirs.bad.sum(axis=1) + 1) / (theirs.total.sum(axis=1) + 2)
        of_rows = null.only(rows)
        wide = np.maximum(of_rows.gap, ndtr(ndtri(share) + reach) - of_rows.factors * share)
        found[rows] = ever_gross(theirs, ours, replace(of_rows, gap=wide))
    return found


def gross_failures_alone(
    plan: Plan,
    evidence: RequestEvidence,
    baseline: BucketCounts,
    candidate: BucketCounts,
    metrics: list[MetricPlan],
    alpha: FloatArray,
    overdispersion: FloatArray,
) -> BoolArray:
    """Whether the candidate is far beyond an objective where nobody else has traffic.

    Without an objective it is an outage beside what the baseline had before: times differ, but by
    less than that.
    """
    alone = are_without(plan.baseline, plan.stages, evidence.stage)
    before, bad = baseline.total[:, ~alone].sum(axis=1), baseline.bad[:, ~alone].sum(axis=1)
    wanted = np.array([m.objective is not None for m in metrics]) | (before > 0)
    if not alone.any() or not wanted.any():
        return np.zeros(len(metrics), dtype=np.bool_)
    limits = [
        m.allowed_harm.absolute + (1 + m.allowed_harm.relative) * share + _OUTAGE_GAP
        if m.objective is None
        else m.objective + _GROSS_GAP_FLOOR
        for m, share in zip(metrics, bad / np.maximum(before, 1.0), strict=True)
    ]
    log_e = gross_share_log_e(
        candidate,
        limit=np.minimum(limits, 1.0),
        alone=alone,
        alpha=alpha,
        planned_buckets=plan.planned_buckets,
        overdispersion=overdispersion,
    )
    return np.asarray(wanted & (log_e >= -np.log(alpha)))


def is_outage(plan: Plan, evidence: RequestEvidence, candidate: str, metric: MetricPlan) -> bool:
    """Whether surely most of the candidate's clients leave without an answer, by counts."""
    if not metric.may_be_outage or not evidence.outage:
        return False
    alpha = np.array([plan.request_alpha(metric)])
    null = GrossNull(np.array([_OUTAGE_GAP]), alpha, plan.planned_buckets)
    return bool(ever_gross(evidence.outage[plan.baseline], evidence.outage[candidate], null)[0])


def gross_gap(margin: float) -> float:
    """How far beyond the baseline the exact test's null hypothesis reaches.

    A multiple of the margin, but never so wide that a total failure would lie within.
    """
    return max(_GROSS_GAP_FLOOR, min(_GROSS_GAP_MARGINS * margin, (1 + margin) / 2))
