"""What is watched of requests although a spec doesn't name it: no outcome escapes comparison."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.plan import Role
from flows.spec.experiment import Experiment
from flows.spec.metric_fields import MarginSpec
from flows.spec.metrics import ErrorShare, OutcomeShare, RequestMetric, SlowShare


@dataclass(frozen=True, slots=True)
class BaselineEdge:
    """Share of requests slower than the latency edge next to a quantile of the baseline."""

    quantile: float
    margin: MarginSpec


@dataclass(frozen=True, slots=True)
class Unmeasured:
    """Share of requests of which no series tells the latency, or none how they ended."""

    margin: MarginSpec


@dataclass(frozen=True, slots=True)
class UnusualAnswers:
    """Share of requests that succeeded, but not as a plain 200: redirects, flags nobody knows."""

    margin: MarginSpec


@dataclass(frozen=True, slots=True)
class ExcusedFailures:
    """Share of requests that fail by the table of all meshes, but not as the spec says it."""

    margin: MarginSpec


@dataclass(frozen=True, slots=True)
class Unattributed:
    """Share of requests that failed or were abandoned without a version, were all a candidate's."""

    margin: MarginSpec


Signal = BaselineEdge | Unmeasured | UnusualAnswers | ExcusedFailures | Unattributed
Watched = RequestMetric | Signal


def _outcome(outcome: str, margin: float) -> OutcomeShare:
    fields = {"kind": "outcome_share", "outcome": outcome, "margin": margin, "role": Role.SIGNAL}
    return OutcomeShare.model_validate(fields)


_OUTCOMES = {
    "failures": _outcome("failure", 0.005),
    "abandoned": _outcome("abandoned", 0.005),
    "rejected": _outcome("rejected", 0.005),
    "client-errors": _outcome("client_error", 0.02),
}
_OTHERS: dict[str, Signal] = {
    "unusual-answers": UnusualAnswers(MarginSpec(absolute=0.02)),
    "latency-p50": BaselineEdge(0.5, MarginSpec(absolute=0.10)),
    "latency-p90": BaselineEdge(0.9, MarginSpec(absolute=0.05)),
    "latency-p99": BaselineEdge(0.99, MarginSpec(absolute=0.01)),
    "unmeasured": Unmeasured(MarginSpec(absolute=0.01)),
    "unattributed": Unattributed(MarginSpec(absolute=0.005)),
}
# Only where a spec says itself what fails: its lists must hide nothing.
_EXCUSED: dict[str, Signal] = {
    "excused-failures": ExcusedFailures(MarginSpec(absolute=0.005)),
}


def default_signals(spec: Experiment) -> dict[str, OutcomeShare | Signal]:
    """The signals that a spec with request metrics has without saying so.

    A metric of the same outcome takes a signal's place, of failures also one of errors, of a
    latency one of slow requests by the same name. Any other of its name only takes the name.
    """
    metrics = spec.request_metrics
    if not metrics:
        return {}
    said = {m.outcome for m in metrics.values() if isinstance(m, OutcomeShare)}
    if any(isinstance(m, ErrorShare) for m in metrics.values()):
        said.add("failure")
    outcomes = {name: one for name, one in _OUTCOMES.items() if one.outcome not in said}
    errors = [m for m in metrics.values() if isinstance(m, ErrorShare)]
    has_own_lists = spec.failures is not None or any(m.failures is not None for m in errors)
    return {
        _free(name, spec): one
        for name, one in (outcomes | _OTHERS | (_EXCUSED if has_own_lists else {})).items()
        if not (isinstance(one, BaselineEdge) and isinstance(metrics.get(name), SlowShare))
    }


def _free(name: str, spec: Experiment) -> str:
    """The name, or one like it that no metric of the spec has."""
    while name in spec.metrics:
        name += "-signal"
    return name


def watched(spec: Experiment) -> dict[str, Watched]:
    """Every request metric, those of the spec first."""
    return {**spec.request_metrics, **default_signals(spec)}
