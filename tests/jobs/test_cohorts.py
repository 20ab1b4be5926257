"""Route rules with splits of their own, on a real Prometheus: `verdict gate` on all kinds.

By way of flows.ingest.requests.mesh.family, flows.look.request_grid, analysis.judge.by_cohort,
analysis.requests.stratified and analysis.quality.cohort_checks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.cli.main import main
from flows.warehouse.connection import open_writer, transaction
from flows.warehouse.delivery_log import DeliveryEventKind, Event, add_event
from flows.workspace.paths import Workspace
from tests.builders.scraped_source import ScrapedSource
from tests.lab import needs_prometheus
from tests.servers.backfilled_prometheus import backfilled

START_MS = 1_767_268_800_000  # 2026-01-01 12:00 UTC
SCRAPE_MS, SCRAPES = 15_000, 80
MIDDLE_MS = START_MS + SCRAPES // 2 * SCRAPE_MS
END = datetime.fromtimestamp((START_MS + SCRAPES * SCRAPE_MS) / 1000, UTC)
TIMES = START_MS + SCRAPE_MS * np.arange(-20, SCRAPES + 1) + 7_000
# Requests a scrape, and percent of the canary, of each route of the guide's VirtualService.
ROUTES: Mapping[str, tuple[float, float]] = {
    "premium": (150, 100),
    "region": (900, 50),
    "everyone": (1500, 10),
}
SPLITS = {name: {"stable": 100 - part, "canary": part} for name, (_, part) in ROUTES.items()}
RAMP: tuple[dict[str, float], ...] = {"stable": 98, "canary": 2}, SPLITS["everyone"]
# Share that fails, by route and version.
HEALTHY = dict.fromkeys([(name, who) for name in ROUTES for who in ("stable", "canary")], 0.01)


@dataclass(frozen=True)
class Case:
    """failing: changes to the shares that fail; abandoned: the same of clients that leave.

    label: of which routes the series say it; cohorts: what the spec names, None for all. strays:
    requests of the canary at each scrape, in no cohort, that all fail. lost: the same of no
    version either. margin: of errors.
    ramp: `verdict deliver` shifts the route of everyone, in the middle, from 2 to 10 percent.
    """

    exit_code: int
    said: tuple[str, ...]
    failing: Mapping[tuple[str, str], float] = field(default_factory=dict)
    abandoned: Mapping[tuple[str, str], float] = field(default_factory=dict)
    label: tuple[str, ...] = tuple(ROUTES)
    cohorts: tuple[str, ...] | None = None
    splits: Mapping[str, Any] = field(default_factory=dict)
    strays: float = 0.0
    lost: float = 0.0
    margin: str | float = ""
    ramp: bool = False


REGION = ("region", "stable"), ("region", "canary")
EVERYONE = ("everyone", "stable"), ("everyone", "canary")
CASES = {
    "good": Case(0, ("errors@everyone", "errors@region", "errors@premium")),
    "one cohort harmed": Case(1, ("errors@region: canary",), {("region", "canary"): 0.06}),
    "the largest harmed": Case(1, ("errors@everyone",), {("everyone", "canary"): 0.04}),
    # Pooled, the canary has 1.5 % and stable 0.8 %: it has more of the users who fail more often.
    "other users, same versions": Case(
        0, (), {**dict.fromkeys(REGION, 0.02), **dict.fromkeys(EVERYONE, 0.004)}
    ),
    # Pooled, the canary would look better, as stable has most of the users who fail.
    "hidden by other users": Case(
        1,
        ("errors@region",),
        {("everyone", "stable"): 0.045, ("everyone", "canary"): 0.045, ("region", "canary"): 0.05},
    ),
    "alone and beyond its objective": Case(1, ("errors@premium",), {("premium", "canary"): 0.1}),
    "alone and worse than elsewhere": Case(
        3, ("errors@premium", "approve"), {("premium", "canary"): 0.035}
    ),
    "alone, and clients leave": Case(
        3, ("abandoned@premium",), abandoned={("premium", "canary"): 0.2}
    ),
    "no label": Case(4, ("of no cohort", "split_cohort=premium"), label=()),
    "label on some routes": Case(4, ("of no cohort",), label=("premium", "region")),
    "a cohort not named": Case(4, ("of no cohort",), cohorts=("premium", "everyone")),
    # 0.8 % of the canary's requests, less than may be of no cohort.
    "harm in no cohort": Case(4, ("of canary's requests are bad and of no cohort",), strays=6),
    "hardly any in no cohort": Case(0, ("errors@everyone",), strays=0.5, margin="80%"),
    "failures of no version in no cohort": Case(
        4, ("of no cohort, were all that name no version its own",), lost=6
    ),
    "hardly any of no version in no cohort": Case(0, ("errors@everyone",), lost=0.5),
    "another split than said": Case(
        4,
        ("cohort region", "30.0 % is configured"),
        splits={"region": {"stable": 70, "canary": 30}},
    ),
    "delivered": Case(0, ("errors@everyone", "errors@region"), margin=0.015, ramp=True),
    "delivered, and another route harmed": Case(
        1, ("errors@region: canary",), {("region", "canary"): 0.06}, ramp=True
    ),
    "delivered, and another route split otherwise": Case(
        4, ("cohort region",), splits={"region": {"stable": 70, "canary": 30}}, ramp=True
    ),
}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One server with all cases, each a service."""
    needs_prometheus()
    source, rng = ScrapedSource(), np.random.default_rng(16)
    for name, case in CASES.items():
        _scrape(source, rng, _service(name), case)
        if case.strays:
            _scrape_strays(source, rng, _service(name), case.strays, "canary", "v2")
        if case.lost:
            _scrape_strays(source, rng, _service(name), case.lost, "unknown", "unknown")
    for who in ("stable", "canary"):
        _add(source, {"__name__": "up", "instance": f"{who}-0", "job": "mesh"}, TIMES * 0 + 1)
    with backfilled(source, tmp_path_factory.mktemp("prometheus")) as address:
        yield address


@pytest.mark.parametrize("name", CASES)
def test_each_cohort_is_judged_apart_and_together(
    name: str, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case, folder = CASES[name], tmp_path / "experiments"
    folder.mkdir()
    (folder / f"{_service(name)}.yaml").write_text(_spec(case, _service(name), url))
    at = END.strftime("%Y-%m-%dT%H:%M:%SZ")
    if case.ramp:
        _deliver(tmp_path, _service(name))
    code = main(["--root", str(tmp_path), "gate", _service(name), "--at", at])
    said = "".join(capsys.readouterr())
    assert code == case.exit_code, said
    for words in case.said:
        assert words in said, said
    if name == "good":
        assert main(["--root", str(tmp_path), "publish"]) == 0


def _service(name: str) -> str:
    return re.sub("[^a-z]+", "-", name)


def _deliver(root: Path, experiment: str) -> None:
    """Writes down what a controller did: both stages, each when it was applied."""
    begun = DeliveryEventKind.BEGAN, len(RAMP), dict[str, float](), "identity"
    events = [(START_MS, *begun)]
    for stage, (at, weights) in enumerate(zip((START_MS, MIDDLE_MS), RAMP, strict=True), 1):
        events += [
            (at, kind, stage, dict(weights), "no harm")
            for kind in (DeliveryEventKind.SHIFTING, DeliveryEventKind.SHIFTED)
        ]
    with open_writer(Workspace(root).warehouse) as con, transaction(con):
        for event in events:
            add_event(con, experiment, Event(1, *event), fence=1)


def _scrape(source: ScrapedSource, rng: np.random.Generator, service: str, case: Case) -> None:
    failing = {**HEALTHY, **case.failing}
    for route, (rate, _) in ROUTES.items():
        for who, version in (("stable", "v1"), ("canary", "v2")):
            percent = SPLITS[route][who]
            if not percent:
                continue
            mean = rate * np.full(len(TIMES), percent / 100)
            if case.ramp and route == "everyone":
                mean[TIMES <= MIDDLE_MS] = rate * RAMP[0][who] / 100
            bad, left = failing[route, who], case.abandoned.get((route, who), 0.0)
            labels = {
                "reporter": "destination",
                "destination_service_name": service,
                "destination_service_namespace": "shop",
                "destination_workload": f"exam-{who}",
                "destination_version": version,
                "instance": f"{who}-0",
                "job": "mesh",
                **({"split_cohort": route} if route in case.label else {}),
            }
            seen = (("200", "-", 1 - bad - left), ("503", "-", bad), ("0", "DC", left))
            total = np.zeros(len(TIMES))
            for status, flags, share in seen:
                counts = np.cumsum(rng.poisson(mean * share, len(TIMES))).astype(float)
                total += counts
                answer = {"response_code": status, "response_flags": flags}
                _add(source, {"__name__": "istio_requests_total", **labels, **answer}, counts)
            name = "istio_request_duration_milliseconds_bucket"
            for le, part in (("100", 0.99), ("1000", 0.9995), ("+Inf", 1.0)):
                _add(source, {"__name__": name, **labels, "le": le}, np.floor(total * part))


def _scrape_strays(
    source: ScrapedSource,
    rng: np.random.Generator,
    service: str,
    mean: float,
    workload: str,
    version: str,
) -> None:
    labels = {
        "__name__": "istio_requests_total",
        "reporter": "destination",
        "destination_service_name": service,
        "destination_service_namespace": "shop",
        "destination_workload": workload,
        "destination_version": version,
        "instance": "canary-0",
        "job": "mesh",
        "response_code": "503",
        "response_flags": "-",
    }
    _add(source, labels, np.cumsum(rng.poisson(mean, len(TIMES))).astype(float))


AT_ONCE = {
    "start": (END - timedelta(milliseconds=SCRAPES * SCRAPE_MS)).isoformat(),
    "duration": "20m",
}


def _delivered() -> dict[str, Any]:
    stages = [{"duration": "10m", "weights": weights} for weights in RAMP]
    target = {"kubernetes": "VirtualService/exam", "route": "everyone"}
    return {
        "plan": {"stages": stages, "minimum_duration": "5m"},
        "delivery": {"target": target},
    }


def _add(source: ScrapedSource, labels: dict[str, str], values: Any) -> None:
    source.add(labels, dict(zip(TIMES.tolist(), values.tolist(), strict=True)))


def _spec(case: Case, name: str, url: str) -> str:
    """As a person writes it. JSON is YAML."""
    errors = {"kind": "error_share", "objective": 0.05}
    return json.dumps(
        {
            "experiment": name,
            "service": name,
            "namespace": "shop",
            "mesh": "istio",
            "variants": {"stable": {"version": "v1"}, "canary": {"version": "v2"}},
            "cohorts": {
                route: {
                    "match": {"split_cohort": route},
                    "split": {**SPLITS, **case.splits}[route],
                }
                if route != "everyone" or not case.ramp
                else {"match": {"split_cohort": route}}
                for route in case.cohorts or ROUTES
            },
            **(_delivered() if case.ramp else {"plan": {**AT_ONCE, "minimum_duration": "5m"}}),
            "sources": {"requests": {"prometheus": url}},
            **({"metrics": {"errors": errors | {"margin": case.margin}}} if case.margin else {}),
        }
    )
