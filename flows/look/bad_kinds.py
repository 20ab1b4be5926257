"""Which kinds of response count as bad for a metric of requests."""

from __future__ import annotations

from analysis.requests.outcomes import ANSWERED, FailureRule, RequestOutcome
from flows.look.responses import ResponseKind
from flows.spec.experiment import Experiment
from flows.spec.metrics import ErrorShare, OutcomeShare
from flows.spec.signals import ExcusedFailures, UnusualAnswers, watched

# Metrics that count requests by how they ended.
ByKind = ErrorShare | OutcomeShare | ExcusedFailures | UnusualAnswers


def is_bad(spec: Experiment, metric: ByKind, kind: ResponseKind) -> bool:
    """Whether a request of that kind is a bad one for the metric."""
    if isinstance(metric, ErrorShare):
        return kind.outcome_by(rule_of(spec, metric)) is RequestOutcome.FAILURE
    if isinstance(metric, OutcomeShare):
        return kind.outcome_by(rule_of(spec, metric)) is RequestOutcome(metric.outcome)
    if isinstance(metric, ExcusedFailures):
        return kind.outcome is RequestOutcome.FAILURE and not _fails_a_metric(spec, kind)
    return kind.outcome is RequestOutcome.SUCCESS and not kind.is_usual


def counts(spec: Experiment, metric: ByKind, kind: ResponseKind) -> bool:
    """Whether the metric's share is one of such requests too."""
    if isinstance(metric, ErrorShare):
        return kind.outcome_by(rule_of(spec, metric)) in ANSWERED
    return kind.outcome is not RequestOutcome.INJECTED


def rule_of(spec: Experiment, metric: ErrorShare | OutcomeShare) -> FailureRule | None:
    """What fails, as the metric says it, or the spec; None for the table of all meshes."""
    own = metric.failures if isinstance(metric, ErrorShare) else None
    failures = own or spec.failures
    return None if failures is None else failures.rule


def _fails_a_metric(spec: Experiment, kind: ResponseKind) -> bool:
    """Whether some metric, or a signal in its place, counts it as another bad outcome."""
    return any(
        is_bad(spec, metric, kind)
        for metric in watched(spec).values()
        if isinstance(metric, ErrorShare | OutcomeShare)
    )
