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
_BURST = 5.0


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
    """A sentence on the first gap that proves harm at the metric's level, or on all of them."""
    names = result.candidate_variant, result.baseline_variant
    gaps = len(evidence.gap_ends_ms)
    if not gaps:
        return None
    row = evidence.metrics.index(metric.name)
    counted = [evidence.gaps[name] for name in names]
    own, baseline = (BucketCounts(c.total[row][:, None], c.bad[row][:, None]) for c in counted)
    factor, burst = 1 + metric.allowed_harm.relative, np.full(gaps, _BURST)
    harm = own.share - factor * baseline.share - metric.allowed_harm.absolute
    variance = own.burst_variance(burst) + factor**2 * baseline.burst_variance(burst)
    # Each gap by itself, and all as strata: a split that changed between them mixes nothing.
    weights = np.where((baseline.total > 0) & (own.total > 0), own.total, 0.0).T
    weights = np.concatenate([np.diag(weights[0]), weights])
    multiplier = float(-ndtri(plan.harm_alpha(metric) / len(weights)))
    excess = (weights @ harm - multiplier * np.sqrt(weights**2 @ variance))[:, 0]
    if not (excess > 0).any():
        return None
    found = int((excess > 0).argmax())
    of = weights[found] > 0
    ended = datetime.fromtimestamp(int(evidence.gap_ends_ms[of][-1]) / 1000, UTC)
    shares = ", ".join(
        f"{name} has {100 * one.bad[of].sum() / one.total[of].sum():.2f} % of "
        f"{one.total[of].sum():,.0f}"
        for name, one in zip(names, (own, baseline), strict=True)
    )
    which = "a gap" if of.sum() == 1 else f"{of.sum()} gaps"
    return (
        f"of the requests that were counted over {which} in the scrapes of all pods, which ended "
        f"at {ended:%Y-%m-%d %H:%M:%S} UTC, {shares}: harm beyond the margin, at times that nobody "
        f"saw. Approve it (verdict approve {plan.experiment}), or set plan.start after the gap"
    )
