"""One look, one verdict: promote, hold, rollback or invalid, with its reasons.

Read this module first. A look gathers evidence (evidence.py), checks its quality
(quality/checks.py), judges every metric against its margin (judge/judge_metrics.py) and decides by
the rules below. The same plan and the same evidence give the same verdict, byte for byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from analysis.evidence import Evidence, QualityLimits
from analysis.explain.asks import explain_signals
from analysis.explain.notes import notes_on_arrivals, notes_on_edges, notes_on_split, take_notes
from analysis.explain.reasons import explain, explain_alone
from analysis.explain.time_to_decision import missing_for_decision
from analysis.judge.judge_metrics import health_score, judge_metrics
from analysis.judge.latency_table import LatencyTable, compare_latencies
from analysis.judge.segments import SegmentTable
from analysis.judge.user_metrics import judge_segments
from analysis.judge.warming_pods import notes_on_warming
from analysis.judge.wide_buckets import in_wide_buckets
from analysis.metric_result import Classification, MetricResult
from analysis.plan import Plan
from analysis.quality.checks import QualityCheck, check_quality, without_requests
from analysis.strategies.declaration import Found, StrategyFinding


class Decision(StrEnum):
    """What to do with the candidate; a gate's exit codes are 0, 3, 1 and 4."""

    PROMOTE = "promote"
    HOLD = "hold"
    ROLLBACK = "rollback"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer of one look.

    look_at, window_start, watermark: in UTC; watermark: up to when requests are known without a
    hole, None where none are compared.
    score: canary health, 0..100; None without data and where the data can't be trusted.
    reasons: plain sentences, the decisive ones first.
    notes: what decides nothing, but a reader of the verdict should know.
    segments: user metrics by segment; exploratory.
    latency: a table per candidate, where latencies are known; decides nothing.
    waits: what must change before the candidate may get more traffic: other experiments, what a
        strategy's check doesn't know yet, and requests that have ended.
    """

    experiment: str
    decision: Decision
    score: float | None
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    look_at: datetime
    window_start: datetime
    watermark: datetime | None
    metrics: tuple[MetricResult, ...]
    quality: tuple[QualityCheck, ...]
    segments: tuple[SegmentTable, ...]
    latency: tuple[LatencyTable, ...]
    waits: tuple[str, ...] = ()


def reach_verdict(
    plan: Plan,
    evidence: Evidence,
    limits: QualityLimits,
    *,
    at_ms: int,
    checks: Sequence[QualityCheck] = (),
    waits: Sequence[str] = (),
    findings: Sequence[StrategyFinding] = (),
) -> Verdict:
    """The verdict at one look; valid however often one looks.

    at_ms: the look's time; evidence holds nothing later. checks: made beforehand, of what isn't
    in the evidence (manifests). waits: why it may not be promoted yet, whatever the evidence says.
    findings: what the strategy's own check says: harm of it rolls back as a guardrail's does.
    """
    quality = (
        *checks,
        *check_quality(plan, evidence, limits, at_ms=at_ms),
        *(_checked(one) for one in findings if one.found in (Found.GOOD, Found.UNFIT)),
    )
    wide, judged = in_wide_buckets(plan, evidence)
    metrics = judge_metrics(wide, judged, at_ms=at_ms)
    waits = (
        *waits,
        *(one.detail for one in findings if one.found is Found.WAIT),
        *without_requests(plan, evidence.requests, limits.stale_ms),
    )
    missing = (*waits, *missing_for_decision(plan, metrics, at_ms=at_ms))
    harms = tuple(one.detail for one in findings if one.found is Found.HARM)
    decision = _decide(metrics, quality, missing, harms)
    segments = judge_segments(plan, evidence.users)
    # Pooled over cohorts, versions would differ by whose requests they have.
    latency = compare_latencies(wide, None if plan.cohorts else judged.requests)
    watermark_ms = evidence.coverage.watermark_ms
    return Verdict(
        experiment=plan.experiment,
        decision=decision,
        score=_score(decision, metrics, harms),
        reasons=_reasons(plan, decision, metrics, quality, missing, harms),
        notes=(
            *(one.detail for one in findings if one.found is Found.NOTE),
            *notes_on_edges(plan, evidence.requests),
            *notes_on_warming(evidence.requests),
            *notes_on_split(plan, evidence.users),
            *notes_on_arrivals(plan, evidence.users, at_ms=at_ms),
            *take_notes(plan, evidence.users, metrics, segments, latency),
        ),
        look_at=_instant(at_ms),
        window_start=_instant(plan.start_ms),
        watermark=None if watermark_ms is None else _instant(watermark_ms),
        metrics=metrics,
        quality=quality,
        segments=segments,
        latency=latency,
        waits=waits,
    )


def _checked(finding: StrategyFinding) -> QualityCheck:
    return QualityCheck(finding.name, finding.found is Found.GOOD, finding.detail)


def _score(
    decision: Decision, metrics: tuple[MetricResult, ...], harms: tuple[str, ...]
) -> float | None:
    """Data that can't be trusted has no score that somebody might act on."""
    if decision is Decision.INVALID:
        return None
    return 0.0 if harms else health_score(metrics)


def _instant(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def _decide(
    metrics: tuple[MetricResult, ...],
    quality: tuple[QualityCheck, ...],
    missing: tuple[str, ...],
    harms: tuple[str, ...],
) -> Decision:
    """Bad data never becomes a promote; harm comes before what is still missing.

    Where the comparison can't be trusted, what a candidate shows by itself still rolls it back. A
    signal never rolls back, and is never promoted over.
    """
    if any(not check.passed for check in quality):
        alone = any(_fails_by_itself(metric, quality) for metric in metrics)
        return Decision.ROLLBACK if alone else Decision.INVALID
    if harms or any(metric.rolls_back for metric in metrics):
        return Decision.ROLLBACK
    held = missing or any(metric.holds for metric in metrics)
    return Decision.HOLD if held else Decision.PROMOTE


def _fails_by_itself(metric: MetricResult, quality: tuple[QualityCheck, ...]) -> bool:
    """Whether the candidate's own data, which no failed check spoils, shows that it fails.

    It misses an objective with confidence and alone, or fails grossly: far beyond what a split that
    is off, or users of both variants, could explain.
    """
    spoilt = {variant for check in quality if not check.passed for variant in check.spoils}
    if not metric.rolls_back or _is_spoilt(metric, metric.candidate_variant, spoilt):
        return False
    by_counts = metric.gross or metric.outage
    gross = by_counts and (metric.alone or not _is_spoilt(metric, metric.baseline_variant, spoilt))
    return gross or (metric.objective is not None and metric.objective.violated)


def _is_spoilt(metric: MetricResult, variant: str, spoilt: set[str]) -> bool:
    """Whether a variant's data can't be trusted: at all, or in the metric's cohort, or in any."""
    _, at, cohort = metric.metric.partition("@")
    within = f"{variant}@{cohort}" if at else f"{variant}@"
    return any(
        one == variant or (one == within if at else one.startswith(within)) for one in spoilt
    )


def _reasons(
    plan: Plan,
    decision: Decision,
    metrics: tuple[MetricResult, ...],
    quality: tuple[QualityCheck, ...],
    missing: tuple[str, ...],
    by_strategy: tuple[str, ...],
) -> tuple[str, ...]:
    failed = tuple(check.detail for check in quality if not check.passed)
    if decision is Decision.INVALID:
        harm = (explain(m) for m in metrics if m.classification is Classification.FAIL)
        unsure = (f"harm seen that can't be counted: {said}" for said in (*by_strategy, *harm))
        return (*failed, *unsure)
    if failed:
        alone = (metric for metric in metrics if _fails_by_itself(metric, quality))
        return (*map(explain_alone, alone), *(f"nothing is compared: {why}" for why in failed))
    if decision is Decision.HOLD:
        return (*explain_signals(plan, metrics), *missing)
    if decision is Decision.ROLLBACK:
        harms = tuple(explain(metric) for metric in metrics if metric.rolls_back)
        outages = {metric.metric for metric in metrics if metric.outage}
        others = (m for m in metrics if m.holds and m.metric not in outages)
        return (*by_strategy, *harms, *(explain(metric) for metric in others))
    return tuple(
        explain(metric)
        for metric in metrics
        if metric.role.decides and metric.classification is Classification.PASS
    )
