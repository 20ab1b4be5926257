"""From the spec to what the dashboards need to know of an experiment."""

from __future__ import annotations

from collections.abc import Iterator

from dashboards.experiment_view import ExperimentView, MetricView, VariantView
from dashboards.page_templates import page_of
from dashboards.prometheus_server import Login, PrometheusServer
from flows.formats.safe_text import safe_url
from flows.formats.urls import credentials_of
from flows.publish.addresses import NO_ADDRESSES, Addresses
from flows.spec.experiment import Experiment
from flows.spec.metrics import SlowShare
from flows.spec.sources import PrometheusSource


def view_of(spec: Experiment, addresses: Addresses = NO_ADDRESSES) -> ExperimentView:
    """The experiment as the dashboards see it."""
    service, name = addresses.service, spec.experiment
    servers = servers_of(spec)
    slow = [m for m in spec.request_metrics.values() if isinstance(m, SlowShare)]
    variants = {
        name: VariantView(name, variant.version, variant.labels)
        for name, variant in spec.variants.items()
    }
    return ExperimentView(
        name=spec.experiment,
        service=spec.service,
        namespace=spec.namespace,
        mesh=None if spec.mesh is None or not spec.request_metrics else spec.mesh.value,
        baseline=variants[spec.baseline],
        candidates=tuple(variants[name] for name in spec.candidates),
        description=spec.description,
        reporter=spec.reporter,
        match=spec.match,
        has_conversions=bool(spec.user_metrics),
        metrics=tuple(_metrics(spec)),
        latency_bound_ms=slow[0].above.total_seconds() * 1000 if slow else None,
        page_url=f"{service}/report/{page_of(name)}" if service else "",
        verdict_url=f"{service}/verdict/{name}" if service else "",
        datasource=(servers[0].name, servers[0].uid) if servers else None,
    )


def _metrics(spec: Experiment) -> Iterator[MetricView]:
    for name in spec.request_metrics:
        yield MetricView(name, is_share=True)
    for name, metric in spec.user_metrics.items():
        yield MetricView(name, metric.is_share)
    for name in spec.measured_metrics:
        yield MetricView(name, is_share=False)


def servers_of(spec: Experiment) -> tuple[PrometheusServer, ...]:
    """The Prometheus servers that a spec's data is from; none where it is from recordings."""
    requests, conversions = spec.sources.requests, spec.sources.conversions
    sources = [
        *([requests] if isinstance(requests, PrometheusSource) else []),
        *([conversions.prometheus] if conversions else []),
    ]
    return tuple(_server(source) for source in sources)


def _server(source: PrometheusSource) -> PrometheusServer:
    """The server without the URL's password: what is published is read by many."""
    return PrometheusServer(
        url=safe_url(source.url),
        scrape_interval_s=source.scrape_interval.total_seconds(),
        login=_login(source),
    )


def _login(source: PrometheusSource) -> Login | None:
    if source.token_env is not None:
        return Login(token_env=source.token_env)
    if source.user_env is not None:
        return Login(user_env=source.user_env, password_env=source.password_env)
    _, credentials = credentials_of(source.url)
    if credentials is None:
        return None
    user, password = credentials
    # Without a password the user is a token, which is one.
    return Login(user=user if password else None)
