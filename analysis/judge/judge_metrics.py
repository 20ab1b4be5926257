"""Each metric against its margin: pass, fail, uncertain or no data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from analysis.evidence import Evidence
from analysis.judge.by_cohort import judge_cohorts
from analysis.judge.measured_metrics import judge_measured
from analysis.judge.request_metrics import judge_requests
from analysis.judge.together import judge_together
from analysis.judge.user_metrics import judge_users
from analysis.metric_result import Classification, MetricResult
from analysis.plan import Plan, Role


def judge_metrics(plan: Plan, evidence: Evidence, *, at_ms: int) -> tuple[MetricResult, ...]:
    """One result per metric and candidate: candidate by candidate, in the order of the plan.

    Signals that the spec doesn't name have none without data. Of several metrics together there is
    one where they are harmed, and none of them alone is proven to be.
    """
    found: list[MetricResult] = []
    for candidate in plan.candidates:
        requests = (
            judge_cohorts(plan, evidence, candidate)
            if plan.cohorts
            else judge_requests(plan, evidence.requests, candidate)
        )
        users = judge_users(plan, evidence.users, candidate, at_ms=at_ms)
        measured = judge_measured(plan, evidence.measured, candidate)
        named = {result.metric: result for result in (*requests, *users, *measured)}
        found += [named.pop(metric.name) for metric in plan.metrics if metric.name in named]
        found += named.values()
        if not plan.cohorts:
            found += judge_together(plan, evidence.requests, candidate, requests)
    return tuple(map(with_room_for_harm, found))


def with_room_for_harm(result: MetricResult) -> MetricResult:
    """The result, unless no harm could exceed the margin: that none does then shows nothing.

    As where all requests of both versions fail, or too few users convert to lose that many.
    """
    shares = (result.baseline, result.candidate)
    room = max(shares if result.higher_is_better else (1 - share for share in shares))
    is_pass = result.role is Role.GUARDRAIL and result.classification is Classification.PASS
    is_met = result.objective is not None and result.objective.state is Classification.PASS
    if not (result.is_share and is_pass and room <= result.margin) or is_met:
        return result
    names = (result.baseline_variant, result.candidate_variant)
    seen = ", ".join(
        f"{name} {100 * share:.2f} %" for name, share in zip(names, shares, strict=True)
    )
    why = (
        f"no harm can exceed the margin of {100 * result.margin:.2f} points ({seen}), so that "
        "nothing shows health; an objective, a smaller margin or another bound would"
    )
    return replace(
        result,
        classification=Classification.NO_DATA,
        probability_within_margin=np.nan,
        unknown=why,
    )


def health_score(metrics: Sequence[MetricResult]) -> float | None:
    """Weighted mean over metrics of the probability, in percent, that harm is within the margin.

    A critical metric that fails sets it to 0, and so does an outage; otherwise signals and info
    don't count. Of several candidates the worst counts. None where no metric has data. Rounded to
    one decimal: more would be noise.
    """
    return _worst(metrics, lambda metric: metric.probability_within_margin)


def health_bounds(metrics: Sequence[MetricResult]) -> tuple[float, float] | None:
    """The score's interval: what of it is proven at every look, and what could still be.

    At least: only metrics whose upper bound of harm is within the margin count. At most: those
    whose lower bound isn't beyond it count whole. None where there is no score.
    """
    lower = _worst(metrics, lambda m: m.probability_within_margin if m.excess.upper <= 0 else 0.0)
    upper = _worst(metrics, lambda m: m.probability_within_margin if m.excess.lower > 0 else 1.0)
    return None if lower is None or upper is None else (lower, upper)


def _worst(
    metrics: Sequence[MetricResult], health: Callable[[MetricResult], float]
) -> float | None:
    """The score of the worst candidate; health: of one metric, 0..1."""
    scores = [
        _candidate_score([m for m in metrics if m.candidate_variant == candidate], health)
        for candidate in sorted({metric.candidate_variant for metric in metrics})
    ]
    known = [score for score in scores if score is not None]
    return round(min(known), 1) if known else None


def _candidate_score(
    metrics: Sequence[MetricResult], health: Callable[[MetricResult], float]
) -> float | None:
    deciding = [m for m in metrics if m.role.decides]
    failed = any(m.critical and m.classification is Classification.FAIL for m in deciding)
    if failed or any(m.outage for m in metrics):
        return 0.0
    known = [m for m in deciding if np.isfinite(m.probability_within_margin)]
    if not known:
        return None
    total = sum(m.weight for m in known)
    return 100 * sum(m.weight * health(m) for m in known) / total
