"""What is watched of requests although a spec doesn't name it: no outcome escapes comparison."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.plan import Role
from flows.spec.experiment import Experiment
from flows.spec.metrics import MarginSpec, OutcomeShare, RequestMetric


@dataclass(frozen=True, slots=True)
class BaselineEdge:
    """Share of requests slower than the latency edge next to a quantile of the baseline."""

    quantile: float
    margin: MarginSpec


@dataclass(frozen=True, slots=True)
class Unmeasured:
    """Share of requests of which no series tells the latency, or none how they ended."""

    margin: MarginSpec


Watched = RequestMetric | BaselineEdge | Unmeasured


def _outcome(outcome: str, margin: float) -> OutcomeShare:
    fields = {"kind": "outcome_share", "outcome": outcome, "margin": margin, "role": Role.SIGNAL}
    return OutcomeShare.model_validate(fields)


_OUTCOMES = {
    "abandoned": _outcome("abandoned", 0.005),
    "rejected": _outcome("rejected", 0.005),
    "client-errors": _outcome("client_error", 0.02),
}
_OTHERS: dict[str, BaselineEdge | Unmeasured] = {
    "latency-p50": BaselineEdge(0.5, MarginSpec(absolute=0.10)),
    "latency-p90": BaselineEdge(0.9, MarginSpec(absolute=0.05)),
    "latency-p99": BaselineEdge(0.99, MarginSpec(absolute=0.01)),
    "unmeasured": Unmeasured(MarginSpec(absolute=0.01)),
}


def default_signals(spec: Experiment) -> dict[str, OutcomeShare | BaselineEdge | Unmeasured]:
    """The signals that a spec with request metrics has without saying so.

    A metric of the same name, or of the same outcome, takes a signal's place.
    """
    if not spec.request_metrics:
        return {}
    said = {m.outcome for m in spec.request_metrics.values() if isinstance(m, OutcomeShare)}
    outcomes = {name: one for name, one in _OUTCOMES.items() if one.outcome not in said}
    return {k: one for k, one in (outcomes | _OTHERS).items() if k not in spec.metrics}


def watched(spec: Experiment) -> dict[str, Watched]:
    """Every request metric, those of the spec first."""
    return {**spec.request_metrics, **default_signals(spec)}
