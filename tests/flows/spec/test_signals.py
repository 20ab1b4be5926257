"""What is watched of requests where a spec doesn't name it."""

from __future__ import annotations

from typing import Any

import pytest

from flows.spec.experiment import Experiment
from flows.spec.metrics import OutcomeShare
from flows.spec.signals import BaselineEdge, default_signals

ERRORS = {"kind": "error_share"}
SLOW = {"kind": "slow_share", "above": "1s"}
OUTCOMES = {"abandoned", "rejected", "client_error"}


def watched(**metrics: Any) -> tuple[set[str], set[float]]:
    """The outcomes and the quantiles that the signals of these metrics are about."""
    spec = Experiment.model_validate(
        {
            "experiment": "web",
            "service": "web",
            "variants": {"stable": {"version": "v1"}, "canary": {"version": "v2"}},
            "metrics": {name.replace("_", "-"): metric for name, metric in metrics.items()},
            "sources": {"requests": {"prometheus": "http://localhost:9090"}},
        }
    )
    found = default_signals(spec)
    assert not set(found) & set(spec.metrics)
    return (
        {one.outcome for one in found.values() if isinstance(one, OutcomeShare)},
        {one.quantile for one in found.values() if isinstance(one, BaselineEdge)},
    )


@pytest.mark.parametrize(
    "name", ["errors", "abandoned", "rejected", "client_errors", "latency_p99"]
)
def test_a_metric_of_another_kind_takes_no_signals_place(name: str) -> None:
    assert watched(**{name: ERRORS}) == (OUTCOMES, {0.5, 0.9, 0.99})


@pytest.mark.parametrize("outcome", ["abandoned", "rejected", "client_error", "failure"])
def test_a_metric_of_an_outcome_takes_its_signals_place(outcome: str) -> None:
    own = {"kind": "outcome_share", "outcome": outcome}
    assert watched(own=own) == ((OUTCOMES | {"failure"}) - {outcome}, {0.5, 0.9, 0.99})


def test_failures_are_watched_where_only_latency_is_named() -> None:
    assert watched(slow=SLOW) == (OUTCOMES | {"failure"}, {0.5, 0.9, 0.99})


def test_slow_requests_by_the_name_of_a_signal_take_its_place() -> None:
    assert watched(errors=ERRORS, latency_p99=SLOW) == (OUTCOMES, {0.5, 0.9})
