"""Rules of metrics of counters and queries: their server, and what their texts stand for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from flows.formats.problems import FieldPath, Finding
from flows.formats.time import shown_duration
from flows.spec.experiment import Experiment
from flows.spec.measured import CounterRate, Gauge
from flows.spec.placeholders import UnknownPlaceholder, rendered
from flows.spec.recovery import Parts
from flows.spec.sources import RecordingSource


def check_measured(parts: Parts, spec: Experiment) -> Iterator[Finding]:
    """Every broken rule, as far as the parts that it is about are known."""
    found = {n: m for n, m in spec.measured_metrics.items() if parts.is_sound("metrics", n)}
    if spec.sessions is not None and parts.is_sound("variants"):
        yield from _check_text(spec, ("sessions",), spec.sessions)
        if not spec.request_metrics:
            yield Finding(("sessions",), "are of requests: they need a metric of requests")
    if not found and spec.sessions is None:
        return
    server = spec.metrics_server
    if server is None and parts.is_sound("sources", "metrics"):
        names = ", ".join(found) or "sessions"
        yield Finding(("sources",), f"needs `metrics`: the server of {names}")
    if server is not None:
        yield from check_bucket(parts, spec, server.scrape_interval)
    for name, metric in found.items():
        if isinstance(metric, Gauge) and isinstance(server, RecordingSource):
            yield Finding(
                ("metrics", name), "a recording answers no query; name a server in sources.metrics"
            )
        if isinstance(metric, CounterRate) and metric.per == "request" and not spec.request_metrics:
            yield Finding(
                ("metrics", name, "per"),
                "request: needs a metric of the mesh's requests beside it (error_share), or the "
                "counter of requests instead",
            )
        if parts.is_sound("variants"):
            yield from _check_texts(spec, name)


def check_bucket(parts: Parts, spec: Experiment, scrape: timedelta) -> Iterator[Finding]:
    """A bucket has a scrape at least."""
    known = parts.is_sound("sources", "requests", "scrape_interval")
    if known and parts.is_sound("plan", "bucket") and spec.plan.bucket < scrape:
        yield Finding(
            ("plan", "bucket"),
            "is shorter than sources.requests.scrape_interval: "
            f"{shown_duration(spec.plan.bucket)}, must be at least {shown_duration(scrape)}",
        )


def _check_texts(spec: Experiment, name: str) -> Iterator[Finding]:
    metric = spec.measured_metrics[name]
    for part, text in metric.parts.items():
        field = next((f for f in type(metric).model_fields if getattr(metric, f) == text), part)
        yield from _check_text(spec, ("metrics", name, field), text)


def _check_text(spec: Experiment, path: FieldPath, text: str) -> Iterator[Finding]:
    """A text that is the same for two variants compares one with itself: always alike."""
    first: dict[str, str] = {}
    for variant in spec.variants:
        try:
            shown = rendered(text, spec, variant)
        except UnknownPlaceholder as error:
            yield Finding(path, str(error))
            return
        other = first.setdefault(shown, variant)
        if other != variant:
            yield Finding(
                path,
                f"is the same for {other} and {variant}, must name the variant: "
                '{{version}}, as in requests_total{version="{{version}}"}',
            )
            return
