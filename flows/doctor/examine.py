"""Everything that experiments stand on, examined one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from flows.doctor.health_finding import Check, Health, HealthFinding, begin
from flows.doctor.machine import (
    check_disk,
    check_files,
    check_memory,
    check_notifications,
    check_specs,
    check_warehouse,
)
from flows.spec.experiment import Experiment
from flows.spec.sources import PrometheusSource
from flows.workspace.experiments import Selection
from flows.workspace.paths import Workspace

_WITHIN_S = 20.0


def examine(
    workspace: Workspace, chosen: Selection, *, within_s: float = _WITHIN_S
) -> Iterator[HealthFinding]:
    """Everything is asked at once, and waited for within_s at most."""
    deadline = time.monotonic() + within_s
    begun = [(begin(subject, check), of) for subject, check, of in _checks(workspace, chosen)]
    failed: set[str] = set()
    for running, server in begun:
        # What is on a server that doesn't answer doesn't either: that is said once.
        if server in failed:
            continue
        found = running.findings(deadline, within_s)
        if server and not is_well(found):
            failed.add(server)
        yield from found


def is_well(findings: Sequence[HealthFinding]) -> bool:
    """Whether nothing has to be mended before experiments can be judged."""
    return all(finding.health is not Health.FAIL for finding in findings)


def _checks(workspace: Workspace, chosen: Selection) -> Iterator[tuple[str, Check, str]]:
    """Subject and check, and the server that it stands or falls with; "" without one."""
    yield "specs", partial(check_specs, workspace, chosen), ""
    yield "warehouse", partial(check_warehouse, workspace), ""
    yield "disk", partial(check_disk, workspace), ""
    yield "memory", check_memory, ""
    yield "notifications", check_notifications, ""
    for path, spec in chosen.specs:
        yield f"files of {spec.experiment}", partial(check_files, spec, path), ""
    yield from _prometheus_checks(chosen.experiments)
    for subject, check in _server_checks(chosen):
        yield subject, check, ""


def _prometheus_checks(specs: Sequence[Experiment]) -> Iterator[tuple[str, Check, str]]:
    from flows.doctor.prometheus_health import check_series, check_server  # noqa: PLC0415

    asked: dict[str, PrometheusSource] = {}
    for spec in specs:
        conversions = spec.sources.conversions
        servers = (
            spec.sources.requests,
            spec.sources.metrics,
            conversions.prometheus if conversions else None,
        )
        for server in servers:
            if isinstance(server, PrometheusSource):
                asked.setdefault(_login_at(server), server)
    if not asked:
        yield "Prometheus", _unused("Prometheus", "no spec names a server"), ""
    for key, server in asked.items():
        yield "Prometheus", partial(check_server, server), key
    for spec in specs:
        source = spec.sources.requests
        if isinstance(source, PrometheusSource) and spec.mesh is not None:
            yield f"series of {spec.experiment}", partial(check_series, spec), _login_at(source)


def _login_at(server: PrometheusSource) -> str:
    """Tells servers apart, and ways to log in, but not how often they scrape."""
    return server.model_dump_json(exclude={"scrape_interval"})


def _server_checks(chosen: Selection) -> Iterator[tuple[str, Check]]:
    from flows.doctor.other_servers import (  # noqa: PLC0415
        check_engine,
        check_prefect,
        check_query,
        check_target,
    )
    from flows.spec.delivery import KubernetesTarget  # noqa: PLC0415
    from flows.spec.sources import PostgresSource, UsersQuery  # noqa: PLC0415

    queries = [
        (spec, kind, source)
        for spec in chosen.experiments
        for kind, source in spec.sources.rows.items()
        if isinstance(source, PostgresSource | UsersQuery)
    ]
    if not queries:
        yield "PostgreSQL", _unused("PostgreSQL", "no spec names a query")
    for spec, kind, source in queries:
        yield f"{kind} of {spec.experiment}", partial(check_query, spec, kind, source)
    for path, spec in chosen.specs:
        if spec.engine is not None:
            yield f"engine of {spec.experiment}", partial(check_engine, spec, path)
    yield "Prefect", check_prefect
    delivered = [(path, spec) for path, spec in chosen.specs if spec.delivery is not None]
    if not any(
        spec.delivery and isinstance(spec.delivery.target, KubernetesTarget)
        for _, spec in delivered
    ):
        yield "Kubernetes", _unused("Kubernetes", "no spec's delivery names an object")
    for path, spec in delivered:
        yield f"delivery of {spec.experiment}", partial(check_target, spec, path)


def _unused(subject: str, said: str) -> Callable[[], Sequence[HealthFinding]]:
    return lambda: [HealthFinding(subject, Health.UNUSED, said)]
