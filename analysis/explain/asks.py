"""What a person is asked to decide: signals that hold, and pods that harm their users."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.explain.reasons import describe_margin, describe_pod, explain, listed
from analysis.metric_result import MetricResult
from analysis.plan import Plan
from analysis.requests.pods import BadPod


def explain_signals(plan: Plan, results: Sequence[MetricResult]) -> tuple[str, ...]:
    """The same of each signal that holds, and then what a person can do; empty where none does.

    Pods that harm their users come first.
    """
    pods = tuple(
        _ask_about(result, pod, plan.experiment)
        for result in results
        if result.asks_about_pods
        for pod in result.bad_pods
        if pod.harms
    )
    held = [result for result in results if result.holds and not result.asks_about_pods]
    if not held:
        return pods
    names = list(dict.fromkeys(result.metric for result in held))
    what, them = ("a signal", "it") if len(names) == 1 else ("signals", "them")
    ask = (
        f"{listed(names)}: {what} that a person must decide about: approve {them} (verdict "
        f"approve {plan.experiment})"
    )
    by_default = {metric.name: metric.is_default for metric in plan.metrics}
    if any(by_default.get(name) for name in names):
        ask += f", or name {them} in the spec's metrics"
    elif any(name in by_default for name in names):
        ask += f", or give {them} the role guardrail in the spec"
    return (*pods, *(explain(result) for result in held), ask)


def _ask_about(result: MetricResult, pod: BadPod, experiment: str) -> str:
    return (
        f"{result.metric}: {describe_pod(result, pod)}, which surely harms its users by more than "
        f"allowed {describe_margin(result)}. A person must decide: replace the pod, approve it "
        f"(verdict approve {experiment}), roll back (of a delivery: verdict abort {experiment}), "
        "or set `pods: rollback` in the spec"
    )
