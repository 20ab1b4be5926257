"""PostgreSQL, Prefect and Kubernetes, as far as specs or the environment name them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import requests
from urllib3.exceptions import HTTPError

from flows.delivery.targets.open_target import open_target
from flows.doctor.health_finding import Health, HealthFinding
from flows.formats.network_words import network_words
from flows.formats.safe_text import hide, read_secret
from flows.formats.urls import endpoint_of
from flows.ingest.sources.login import Bearer, SpecSession
from flows.ingest.sources.user_postgres import describe_query
from flows.ingest.users.engine_pull import describe_engine
from flows.spec.experiment import Experiment
from flows.spec.sources import PostgresSource, UsersQuery

_WAIT_S = 5.0
_MOST_READ = 1 << 16
_POOL = "verdict"


def check_query(
    spec: Experiment, kind: str, source: PostgresSource | UsersQuery
) -> Sequence[HealthFinding]:
    """Whether the server takes the spec's query, without running it. Raises a UserError."""
    columns, where = describe_query(source)
    said = f"{where} takes the query: {', '.join(columns)}"
    return [HealthFinding(f"{kind} of {spec.experiment}", Health.OK, said)]


def check_engine(spec: Experiment, path: Path) -> Sequence[HealthFinding]:
    """Whether the engine answers, and sees the spec's files. Raises a UserError."""
    if spec.engine is None:
        return []
    said = describe_engine(spec, spec.engine, path.parent)
    return [HealthFinding(f"engine of {spec.experiment}", Health.OK, said)]


def check_target(spec: Experiment, path: Path) -> Sequence[HealthFinding]:
    """Whether the place that holds the weights can be read. Raises its errors."""
    target = open_target(spec, spec_dir=path.parent)
    weights = target.read().weights
    said = ", ".join(f"{name} {share:g} %" for name, share in weights.items())
    return [HealthFinding(f"delivery of {spec.experiment}", Health.OK, f"{target.title}: {said}")]


def check_prefect(environment: Mapping[str, str] = os.environ) -> Sequence[HealthFinding]:
    """Whether PREFECT_API_URL answers, and has the work pool of prefect.yaml."""
    url = environment.get("PREFECT_API_URL", "")
    if not url:
        said = "PREFECT_API_URL is not set: no server is asked"
        return [
            HealthFinding("Prefect", Health.UNUSED, said, "set it where scheduled runs are wanted")
        ]
    server = endpoint_of(url)
    subject = f"Prefect {server.shown}"
    with SpecSession(_WAIT_S) as session:
        try:
            session.auth = _login(environment) or server.credentials
            answer = _get(session, f"{server.url}/admin/version")
            answer.raise_for_status()
            version = str(json.loads(answer.raw.read(_MOST_READ, decode_content=True)))[:40]
            pool = _get(session, f"{server.url}/work_pools/{_POOL}")
        except (requests.RequestException, HTTPError, ValueError, RecursionError) as error:
            said = network_words(error)
            remedy = "start it (prefect server start), or correct PREFECT_API_URL"
            return [HealthFinding(subject, Health.FAIL, said, remedy)]
    if pool.status_code != requests.codes.ok:
        said = f"version {version}, no work pool {_POOL!r} ({pool.status_code})"
        remedy = f"prefect work-pool create {_POOL} --type process; prefect deploy --all"
        return [HealthFinding(subject, Health.WARN, said, remedy)]
    return [HealthFinding(subject, Health.OK, f"version {version}, work pool {_POOL}")]


def _login(environment: Mapping[str, str]) -> requests.auth.AuthBase | None:
    """The key or the user that the environment has. Raises ValueError, which quotes neither."""
    if environment.get("PREFECT_API_KEY"):
        return Bearer(read_secret(environment, "PREFECT_API_KEY", is_token=True))
    if not environment.get("PREFECT_API_AUTH_STRING"):
        return None
    user, _, password = read_secret(environment, "PREFECT_API_AUTH_STRING").partition(":")
    hide(password)
    return requests.auth.HTTPBasicAuth(user.encode(), password.encode())


def _get(session: requests.Session, url: str) -> requests.Response:
    return session.get(url, timeout=_WAIT_S, stream=True)
