"""Harm among requests that were counted over a gap in all scrapes: a metric doesn't pass over it.

Where Prometheus was down, counters say how many requests failed meanwhile, but not when. Such
minutes at once are no bucket like others, so they aren't compared with the rest. What they show by
themselves is known all the same, and a person decides about it.
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
from scipy.special import ndtri

from analysis.evidence import RequestEvidence
from analysis.metric_result import Classification, MetricResult
from analysis.plan import MetricPlan, Plan, Role
from analysis.requests.bucket_counts import BucketCounts

# Nothing of a gap tells how failures came in it: in bursts of as many as a gross failure allows.
_BURST = np.array([5.0])


def with_gaps(
    plan: Plan, evidence: RequestEvidence, metric: MetricPlan, result: MetricResult
) -> MetricResult:
    """The result, unless it passes over harm beyond the margin that is proven of a gap.

    A guardrail or a goal is then unknown, and a signal holds; both until a person approves it.
    """
    is_signal = result.role is Role.SIGNAL
    passes = result.classification is Classification.PASS
    if result.approved is not None or result.role is Role.INFO or not (passes or is_signal):
        return result
    why = _proven(plan, evidence, metric, result)
    if why is None or result.classification is Classification.FAIL:
        return result
    if is_signal:
        return replace(result, classification=Classification.FAIL, unknown=why)
    return replace(
        result,
        classification=Classification.NO_DATA,
        probability_within_margin=math.nan,
        unknown=why,
    )


def _proven(
    plan: Plan, evidence: RequestEvidence, metric: MetricPlan, result: MetricResult
) -> str | None:
    """A sentence on the first gap that proves harm at the metric's level, if any does."""
    names = result.baseline_variant, result.candidate_variant
    if not len(evidence.gap_ends_ms):
        return None
    row = evidence.metrics.index(metric.name)
    factor, gap = 1 + metric.allowed_harm.relative, metric.allowed_harm.absolute
    multiplier = float(-ndtri(plan.harm_alpha(metric) / len(evidence.gap_ends_ms)))
    for i, end_ms in enumerate(evidence.gap_ends_ms.tolist()):
        of_gap = (
            BucketCounts(one.total[row : row + 1, i : i + 1], one.bad[row : row + 1, i : i + 1])
            for one in (evidence.gaps[name] for name in names)
        )
        baseline, own = of_gap
        if not (baseline.total.all() and own.total.all()):
            continue
        harm = float((own.share - factor * baseline.share).item()) - gap
        variance = own.burst_variance(_BURST) + factor**2 * baseline.burst_variance(_BURST)
        if harm <= multiplier * math.sqrt(variance.item()):
            continue
        ended = datetime.fromtimestamp(end_ms / 1000, UTC)
        shares = [
            f"{name} has {100 * one.share.item():.2f} % of {one.total.item():,.0f}"
            for name, one in zip(reversed(names), (own, baseline), strict=True)
        ]
        return (
            f"of the requests that were counted over a gap in the scrapes of all pods, which ended "
            f"at {ended:%Y-%m-%d %H:%M:%S} UTC, {', '.join(shares)}: harm beyond the margin, at "
            f"times that nobody saw. Approve it (verdict approve {plan.experiment}), or set "
            "plan.start after the gap"
        )
    return None
