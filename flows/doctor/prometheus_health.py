"""A spec's Prometheus: version, clock, metric families, labels, scrape interval."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from flows.doctor.health_finding import Health, HealthFinding
from flows.formats.time import milliseconds_of
from flows.ingest.requests.diagnosis import nothing_to_count, unseen_variants
from flows.ingest.requests.mesh.families import FAMILIES
from flows.ingest.requests.mesh.family import Family, SeriesRole, diagnostic_selectors, variant_of
from flows.ingest.requests.series_labels import normalised
from flows.ingest.sources.prometheus import PrometheusSamples
from flows.ingest.sources.prometheus_connection import AskForLess, Patience, PrometheusConnection
from flows.ingest.sources.samples import Samples, SourceRefused, SourceUnavailable
from flows.spec.experiment import Experiment
from flows.spec.sources import PrometheusSource

_HASTY = Patience(connect_s=3.0, read_s=10.0, whole_s=15.0, budget_s=15.0, attempts=1)
_SPAN = timedelta(minutes=5)
_MOST_SKEW_S = 5.0


def check_server(source: PrometheusSource) -> Sequence[HealthFinding]:
    """Version and clock of a server. Raises SourceUnavailable or SourceRefused."""
    samples = PrometheusSamples(source, _HASTY)
    subject = f"Prometheus {samples.url}"
    names = samples.metric_names()  # the first question: says what is wrong with login and network
    found = f"{_version(source)}, {len(names):,} metrics"
    clock = samples.server_time()
    if clock is None:
        return [HealthFinding(subject, Health.OK, f"{found}, clock unknown")]
    skew_s = (clock - datetime.now(UTC)).total_seconds()
    said = f"{found}, clock {round(skew_s):+d} s"
    if abs(skew_s) <= _MOST_SKEW_S:
        return [HealthFinding(subject, Health.OK, said)]
    remedy = "set both clocks by NTP: looks at `now` see that much too little or too much"
    return [HealthFinding(subject, Health.WARN, said, remedy)]


def check_series(spec: Experiment) -> Sequence[HealthFinding]:
    """Families, labels and scrapes of one experiment's requests in the last minutes."""
    source = spec.sources.requests
    if not isinstance(source, PrometheusSource) or spec.mesh is None:
        return []
    samples, family = PrometheusSamples(source, _HASTY), FAMILIES[spec.mesh]
    return list(_on_series(spec, source, samples, family))


def _on_series(
    spec: Experiment, source: PrometheusSource, samples: PrometheusSamples, family: Family
) -> Iterator[HealthFinding]:
    subject = f"series of {spec.experiment}"
    now_ms = milliseconds_of(samples.server_time() or datetime.now(UTC))
    span = {"start_ms": now_ms - int(_SPAN.total_seconds() * 1000), "until_ms": now_ms}
    known = set(samples.metric_names())
    latency = [name for name in family.latency if name in known]
    found = samples.read(diagnostic_selectors(family, spec)[0], span["start_ms"], now_ms)
    if not found.labels:
        error = nothing_to_count(family, spec, samples, **span)
        yield HealthFinding(
            subject,
            Health.FAIL,
            str(error).removeprefix(f"{spec.experiment}: "),
            "correct the spec, or start the traffic",
        )
        return
    metrics = sorted({labels["__name__"] for labels in found.labels})
    said = f"{', '.join((*metrics, *latency))}: {len(found.labels):,} series of requests"
    if latency:
        yield HealthFinding(subject, Health.OK, said)
    else:
        remedy = f"scrape {family.latency[0]}: without it latency isn't compared"
        yield HealthFinding(subject, Health.WARN, f"{said}, none of latency", remedy)
    seen = {
        variant_of(family, spec, normalised(labels), SeriesRole.REQUESTS) for labels in found.labels
    }
    others = [name for name in spec.variants if name not in seen]
    for unseen in unseen_variants(family, spec, samples, others, **span):
        yield HealthFinding(subject, Health.WARN, unseen, "correct the variant, or send it traffic")
    yield from _on_interval(subject, source, found)


def _on_interval(subject: str, source: PrometheusSource, found: Samples) -> Iterator[HealthFinding]:
    inside = np.diff(found.series_of_sample) == 0
    steps_s = np.diff(found.ts_ms)[inside] / 1000
    if not len(steps_s):
        return
    seen_s, set_s = float(np.median(steps_s)), source.scrape_interval.total_seconds()
    said = f"scraped every {seen_s:g} s (scrape_interval {set_s:g} s)"
    if abs(seen_s - set_s) <= max(1.0, 0.2 * set_s):
        yield HealthFinding(subject, Health.OK, said)
    else:
        remedy = f"set sources.requests.scrape_interval: {round(seen_s)}s"
        yield HealthFinding(subject, Health.WARN, said, remedy)


def _version(source: PrometheusSource) -> str:
    try:
        answer = PrometheusConnection(source, _HASTY).answer("/api/v1/status/buildinfo")
        version = json.loads(answer.body)["data"]["version"]
    except (SourceRefused, SourceUnavailable, AskForLess, ValueError, KeyError, TypeError):
        return "version unknown"
    return f"version {str(version)[:40]}"
