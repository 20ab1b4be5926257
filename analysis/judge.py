"""Each metric against its margin: pass, fail, uncertain or no data."""

from __future__ import annotations

from analysis.evidence import Evidence
from analysis.judge_requests import judge_requests
from analysis.judge_users import judge_users
from analysis.metric_result import MetricResult
from analysis.plan import Plan


def judge_metrics(plan: Plan, evidence: Evidence, *, at_ms: int) -> tuple[MetricResult, ...]:
    """One result per metric and candidate: candidate by candidate, in the order of the plan."""
    found = {
        (result.metric, result.candidate_variant): result
        for candidate in plan.candidates
        for result in (
            *judge_requests(plan, evidence.requests, candidate),
            *judge_users(plan, evidence.users, candidate, at_ms=at_ms),
        )
    }
    return tuple(
        found[metric.name, candidate] for candidate in plan.candidates for metric in plan.metrics
    )
