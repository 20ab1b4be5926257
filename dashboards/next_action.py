"""What a person on call does next, as sentences, from the latest verdict."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime

from analysis.explain.reasons import describe_harm
from analysis.explain.spans import span_s
from analysis.metric_result import Classification, MetricResult
from analysis.verdict import Decision, Verdict
from dashboards import report_numbers as numbers
from dashboards.report_view import ExperimentReport

# Longer than this nobody extends a plan.
_LONGEST_EXTENSION = 10.0


def next_actions(report: ExperimentReport) -> tuple[str, ...]:
    """What to do now, the first thing first; never empty."""
    verdict = report.verdict
    candidates = " and ".join(report.variants[1:]) or "the candidate"
    match verdict.decision:
        case Decision.PROMOTE:
            return (f"Give {candidates} all traffic, then remove the split.",)
        case Decision.ROLLBACK:
            worst = " and ".join(dict.fromkeys(_rolled_back(verdict))) or candidates
            return (f"Set the weight of {worst} to 0 %.", "Then look at what failed (below).")
        case Decision.INVALID if report.plan_start and verdict.look_at < report.plan_start:
            starts = numbers.minute(report.plan_start)
            return (f"Wait: the plan starts at {starts}. Correct `plan.start` if that is wrong.",)
        case Decision.INVALID:
            again = f"Then look again: `verdict gate {verdict.experiment}`"
            return ("Correct what the failed checks name; make no decision from this look.", again)
        case Decision.HOLD:
            return tuple(_held(report))


def asks_of(verdict: Verdict, *, plan_ended: bool) -> str:
    """What a held experiment waits for a person for, in a few words; "" if it only takes time."""
    if verdict.decision is not Decision.HOLD:
        return ""
    asking = [metric.metric for metric in verdict.metrics if metric.holds]
    if asking:
        return f"Approve or abort: {', '.join(asking)}."
    return "Plan has ended: extend or stop." if plan_ended else ""


def harms_beside(verdict: Verdict) -> tuple[str, ...]:
    """Harm that an invalid look saw: bad data decides nothing, but nobody should overlook it."""
    if verdict.decision is not Decision.INVALID:
        return ()
    return tuple(
        f"{metric.metric} of {metric.candidate_variant}: {describe_harm(metric)}"
        for metric in verdict.metrics
        if metric.classification is Classification.FAIL
    )


def _rolled_back(verdict: Verdict) -> Iterator[str]:
    return (metric.candidate_variant for metric in verdict.metrics if metric.rolls_back)


def _held(report: ExperimentReport) -> Iterator[str]:
    verdict = report.verdict
    asking = [metric for metric in verdict.metrics if metric.holds]
    if asking:
        named = ", ".join(metric.metric for metric in asking)
        yield f"Look at {named}, then approve or abort the experiment."
        yield f"`verdict approve {verdict.experiment}` or `verdict abort {verdict.experiment}`"
        return
    end = report.plan_end
    if end is None or verdict.look_at < end:
        left = "" if end is None else f"; the plan ends in {_left(report, end)}"
        yield f"Nothing: keep the split as it is{left}."
        return
    found = False
    for metric in verdict.metrics:
        if metric.role.decides and metric.classification is Classification.UNCERTAIN:
            found = True
            yield _extension(report, metric)
    if not found:
        yield "The plan has ended: extend it, or stop the experiment."


def _left(report: ExperimentReport, end: datetime) -> str:
    return span_s((end - report.verdict.look_at).total_seconds())


def _extension(report: ExperimentReport, metric: MetricResult) -> str:
    """How much longer would tell the effect that is seen from what is allowed."""
    start = report.plan_start or report.verdict.window_start
    elapsed = (report.verdict.look_at - start).total_seconds()
    effect = numbers.difference(metric.difference, is_share=metric.is_share)
    excess = metric.excess
    far = excess.upper - excess.value if excess.value < 0 else excess.value - excess.lower
    if not math.isfinite(far) or not excess.value:
        return f"After the plan's end: {metric.metric} is not known well enough; stop, or ask more."
    growth = (far / abs(excess.value)) ** 2
    if not math.isfinite(growth) or growth > _LONGEST_EXTENSION:
        half = (metric.difference.upper - metric.difference.lower) / 2
        seen, later = (
            numbers.signed(width, is_share=metric.is_share).lstrip("+")
            for width in (half, half / math.sqrt(2))
        )
        return (
            f"After the plan's end: stop, or extend by {span_s(elapsed)} to know {metric.metric} "
            f"to within {later}{' points' if metric.is_share else ''} (now {seen})."
        )
    more = span_s(elapsed * max(growth - 1, 0.05))
    return f"After the plan's end: extend by about {more} for {effect} of {metric.metric}, or stop."
