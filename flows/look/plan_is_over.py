"""A gate's answer long after a plan's end: what was promoted then may not be what runs now.

Version labels are used again (`canary`, a Service of its own): by the same spec the next version
would be promoted on the requests of the last one.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from analysis.explain.spans import span_s
from flows.spec.experiment import Experiment
from flows.spec.sources import PrometheusSource

# As a part of the plan's length: whoever asks at most so rarely still learns of the promote.
_LATE_PART = 4


def as_of_now(spec: Experiment, verdict: Mapping[str, Any], at: datetime) -> Mapping[str, Any]:
    """A verdict's JSON, as it is; a hold where it is a promote of a plan that was over long before.

    Of live traffic: a recording, or users, are what they were. A delivery's plan ends with it.
    """
    sources = spec.sources.requests, spec.metrics_server
    is_live = any(isinstance(source, PrometheusSource) for source in sources)
    is_compared = bool(spec.request_metrics or spec.measured_metrics) and spec.delivery is None
    if verdict["decision"] != "promote" or not (is_live and is_compared):
        return verdict
    start, ended = (datetime.fromisoformat(verdict[each]) for each in ("window_start", "look_at"))
    late = at - ended
    if late <= max(spec.quality.stale_after, (ended - start) / _LATE_PART):
        return verdict
    # Most verdicts are told as they are, and don't wait for what reaches them.
    from analysis.verdict import Decision  # noqa: PLC0415
    from flows.formats.exit_codes import exit_code  # noqa: PLC0415

    why = (
        f"the plan ended at {ended:%Y-%m-%d %H:%M:%S} UTC, {span_s(late.total_seconds())} ago, and "
        "nothing later is judged: set plan.start to judge what runs now, or ask about then "
        f"(at {ended:%Y-%m-%dT%H:%M:%SZ})"
    )
    hold = Decision.HOLD
    said = {each: [why, *verdict.get(each, [])] for each in ("reasons", "waits")}
    return {**verdict, "decision": hold.value, "exit_code": exit_code(hold), **said}
