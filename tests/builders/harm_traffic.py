"""Traffic of two versions in any mesh, one of them harmful or not, as counters that were scraped.

A cell is one line of the harm matrix: a mesh and its reporter, a harm, what goes on around it, and
the kind of histogram that latencies are kept in.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.counting.native_histograms import exponential_edges
from flows.ingest.requests.pull_requests import pull_requests
from flows.look.evaluate import score_experiment
from flows.look.verdict_document import VerdictDocument
from flows.spec.experiment import Experiment
from tests.builders.native_source import NativeSource
from tests.builders.scraped_source import ScrapedSource

START = 490_000 * 3_600_000
SCRAPE_MS = 15_000
SCRAPES = 80
PODS = 4
# Requests a scrape and pod: 100 requests a second in all, a fifth of them the canary's.
RATE = {"stable": 300, "canary": 75}
EDGES_MS = np.array([5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, np.inf])
# Of a native histogram with a standard schema, and of one with bounds of its own (NHCB).
NATIVE_EDGES_MS = exponential_edges(3, 2.0**-3, 2.0**14)
OWN_EDGES_MS = np.array([7.0, 20.0, 45.0, 90.0, 180.0, 450.0, 900.0, 1000.0, 3300.0, np.inf])
HISTOGRAMS = {"classic": EDGES_MS, "native": NATIVE_EDGES_MS, "own bounds": OWN_EDGES_MS}

MESHES = (
    ("istio", "destination"),
    ("istio", "source"),
    ("linkerd", "destination"),
    ("linkerd", "source"),
    ("linkerd-route", "destination"),
    ("linkerd-policy", "destination"),
    ("envoy", "destination"),
)
HARMS = (
    *("failures", "latency", "abandoned", "rejected", "spread", "one pod"),
    *("mesh time-outs", "no answer", "cut bodies", "client errors"),
)
# How a request can end, as _outcome_labels has it.
ENDS = ("success", "failure", "abandoned", "rejected", "timeout", "none", "cut", "wrong")
CONDITIONS = (
    "clean",
    "late",
    "renamed",
    "restarted",
    "empty",
    "duplicated",
    "shifted clocks",
    "gap",
)

# Scrapes that nobody takes in a gap; of the condition "unseen" all harm is in it.
UNSEEN = range(30, 36)


@dataclass(frozen=True, slots=True)
class TrafficCell:
    """One line of the matrix; harm is "none" for a healthy candidate."""

    mesh: str
    reporter: str
    harm: str
    condition: str
    seed: int = 1
    histogram: str = "classic"

    def __str__(self) -> str:
        kept = "" if self.histogram == "classic" else f", {self.histogram}"
        line = f"{self.mesh}/{self.reporter}, {self.harm}, {self.condition}{kept}"
        return f"{line}, seed {self.seed}"

    @property
    def edges_ms(self) -> NDArray[np.float64]:
        """Where the buckets of its latencies end."""
        return HISTOGRAMS[self.histogram]


def cells(seeds: int = 1) -> Iterator[TrafficCell]:
    """All of them; harm with no traffic at all is the same whatever the harm.

    Native histograms in every mesh, and in one of them whatever goes on.
    """
    for mesh, reporter in MESHES:
        for histogram in HISTOGRAMS:
            whole = histogram == "classic" or (mesh, reporter) == MESHES[0]
            for condition in CONDITIONS if whole else CONDITIONS[:1]:
                for harm in ("none", *HARMS):
                    # A bare Envoy counts an answer by its code alone, whole or not.
                    if harm == "cut bodies" and mesh == "envoy":
                        continue
                    if condition != "empty" or harm in ("none", "failures"):
                        for seed in range(1, seeds + 1):
                            yield TrafficCell(mesh, reporter, harm, condition, seed, histogram)


def verdict_of(cell: TrafficCell, folder: Path) -> VerdictDocument:
    """What a look at the plan's end says of the cell, its data pulled into an empty warehouse."""
    spec = spec_of(cell)
    end = datetime.fromtimestamp(START / 1000, UTC) + timedelta(milliseconds=SCRAPES * SCRAPE_MS)
    warehouse = folder / "warehouse.duckdb"
    until_ms = START + SCRAPES * SCRAPE_MS
    pull_requests(spec, scraped(cell), warehouse, until_ms=until_ms)
    return score_experiment(spec, warehouse, at=end)


def spec_of(cell: TrafficCell, **changes: Any) -> Experiment:
    """As short as a spec can be, but for the plan's times: metrics are the defaults."""
    return Experiment.model_validate(
        {
            "experiment": "web",
            "service": "web",
            "namespace": "shop",
            "mesh": cell.mesh,
            "reporter": cell.reporter,
            "variants": {
                "stable": {"version": _version(cell, "stable")},
                "canary": {"version": _version(cell, "canary")},
            },
            "split": {"stable": 80, "canary": 20},
            "plan": {
                "start": datetime.fromtimestamp(START / 1000, UTC),
                "duration": "20m",
                "minimum_duration": "5m",
            },
            "sources": {"requests": {"prometheus": "http://localhost:9090"}},
            **changes,
        }
    )


def _version(cell: TrafficCell, variant: str) -> str:
    number = {"stable": "v1", "canary": "v2"}[variant]
    by_backend = cell.mesh in ("linkerd-policy", "envoy") or (
        cell.mesh.startswith("linkerd") and cell.reporter == "source"
    )
    if not by_backend:
        return number
    return f"web-{number}"


def scraped(cell: TrafficCell) -> NativeSource:
    source = NativeSource()
    rng = np.random.default_rng(zlib.crc32(str(cell).encode()))
    for variant in ("stable", "canary"):
        for pod in range(PODS):
            if variant == "canary" and cell.condition == "empty":
                continue
            _add_pod(source, cell, variant, pod, rng)
    return source


def add_answers(
    source: ScrapedSource, cell: TrafficCell, labels: Mapping[str, str], *, share: float
) -> None:
    """Adds a pod to each variant, with that share of its requests.

    The canary's end as the labels say, the stable's are plain successes.
    """
    plain = _outcome_labels(cell, "stable", "success") or {}
    for variant, own in (("stable", plain), ("canary", labels)):
        target = {"job": "pods", "instance": f"{variant}-more:15020", "pod": f"{variant}-more"}
        times = [START + (i + 1) * SCRAPE_MS for i in range(SCRAPES)]
        counts = np.cumsum(np.full(SCRAPES, RATE[variant] * PODS * share / (1 - share)))
        grown = {at: float(round(n)) for at, n in zip(times, counts, strict=True)}
        source.add({"__name__": "up", **target}, dict.fromkeys(times, 1.0))
        started = (times[0] - 2_000) / 1000
        source.add(
            {"__name__": "process_start_time_seconds", **target}, dict.fromkeys(times, started)
        )
        of_version = _of_version(cell, variant)
        source.add({"__name__": _REQUESTS[cell.mesh], **of_version, **own, **target}, grown)
        if cell.mesh in _BEGUN:
            source.add({"__name__": _BEGUN[cell.mesh], **of_version, **target}, grown)
        name, factor = _LATENCY[cell.mesh]
        for edge in EDGES_MS:
            le = "+Inf" if np.isinf(edge) else f"{edge * factor:g}"
            at_most = {at: np.floor(n * (edge >= 50)) for at, n in grown.items()}
            source.add({"__name__": name, "le": le, **of_version, **target}, at_most)


def add_unanswered(source: ScrapedSource, cell: TrafficCell, *, per_scrape: int) -> None:
    """Adds a canary that answers no request, so that only their beginning is counted."""
    target = {"job": "pods", "instance": "canary-mute:15020", "pod": "canary-mute"}
    times = [START + (i + 1) * SCRAPE_MS for i in range(SCRAPES)]
    source.add({"__name__": "up", **target}, dict.fromkeys(times, 1.0))
    begun = {at: float(per_scrape * (i + 1)) for i, at in enumerate(times)}
    name = {"__name__": _BEGUN[cell.mesh], **_of_version(cell, "canary")}
    source.add({**name, **target}, begun)


def _add_pod(
    source: NativeSource, cell: TrafficCell, variant: str, pod: int, rng: np.random.Generator
) -> None:
    """The pod's counters, in the lives that the condition gives it."""
    counts = [_scrape(cell, variant, pod, i, rng) for i in range(SCRAPES)]
    half = SCRAPES // 2
    lives = [(0, SCRAPES)]
    if cell.condition in ("renamed", "restarted"):
        lives = [(0, half), (half, SCRAPES)]
    offset = (pod * 3_700 + (variant == "canary") * 1_900) % SCRAPE_MS
    offset = offset if cell.condition == "shifted clocks" else 0
    jobs = ("pods", "pods-again") if cell.condition == "duplicated" else ("pods",)
    for number, (begin, end) in enumerate(lives):
        name = f"{variant}-{pod}-{number if cell.condition == 'renamed' else 0}"
        times = [START + offset + (i + 1) * SCRAPE_MS for i in range(begin, end)]
        has_gap = cell.condition in ("gap", "unseen")
        seen = [k for k in range(end - begin) if not has_gap or k not in UNSEEN]
        for job in jobs:
            target = {"job": job, "instance": f"{name}:15020", "pod": name}
            source.add({"__name__": "up", **target}, {times[k]: 1.0 for k in seen})
            started = (times[0] - 2_000) / 1000
            source.add(
                {"__name__": "process_start_time_seconds", **target},
                {times[k]: started for k in seen},
            )
            for labels, grown in _series(cell, variant, counts[begin:end]):
                source.add({**labels, **target}, {times[k]: float(grown[k]) for k in seen})
            if cell.histogram != "classic":
                labels, edges, grown = _histogram(cell, variant, counts[begin:end])
                source.add_histograms(
                    labels | target,
                    edges,
                    {times[k]: grown[k] for k in seen},
                    own_bounds=cell.histogram == "own bounds",
                )


@dataclass(frozen=True, slots=True)
class _Scrape:
    """Requests between two scrapes: by outcome, and by latency edge (not cumulated)."""

    outcomes: Mapping[str, int]
    latencies: NDArray[np.int64]


def _scrape(
    cell: TrafficCell, variant: str, pod: int, number: int, rng: np.random.Generator
) -> _Scrape:
    total = int(rng.poisson(RATE[variant]))
    begun = cell.condition != "late" or number >= SCRAPES // 2
    begun &= cell.condition != "unseen" or number in UNSEEN
    harm = cell.harm if variant == "canary" and begun else "none"
    shares = {"failure": 0.003, "abandoned": 0.001, "rejected": 0.001, "wrong": 0.02}
    shares |= {
        "failures": {"failure": 0.303},
        "abandoned": {"abandoned": 0.301},
        "rejected": {"rejected": 0.201},
        "mesh time-outs": {"timeout": 0.1},
        "no answer": {"none": 0.3},
        "cut bodies": {"cut": 0.1},
        "client errors": {"wrong": 0.15},
        "one pod": {"failure": 0.6 if pod == 0 else 0.003},
        "weak in three": {"failure": 0.0058, "abandoned": 0.004, "wrong": 0.034},
        "ailing pod": {"failure": 0.053 if pod == 0 else 0.003},
    }.get(harm, {})
    outcomes = {name: int(rng.binomial(total, share)) for name, share in shares.items()}
    success = max(0, total - sum(outcomes.values()))
    answered = success + outcomes["failure"] + outcomes["wrong"] + outcomes.get("cut", 0)
    latency = rng.lognormal(np.log(40.0), 0.6, answered)
    if harm == "latency":
        latency *= 2
    if harm == "spread":
        slow = rng.random(latency.size) < 0.15
        latency = np.where(slow, latency * 12, latency * 0.8)
    edges = cell.edges_ms
    index = np.searchsorted(edges, latency)
    return _Scrape({"success": success, **outcomes}, np.bincount(index, minlength=len(edges)))


def _series(
    cell: TrafficCell, variant: str, scrapes: list[_Scrape]
) -> Iterator[tuple[dict[str, str], NDArray[np.float64]]]:
    """Each counter's labels, without its target's, and its values scrape by scrape."""
    for outcome in ENDS:
        grown = np.cumsum([one.outcomes.get(outcome, 0) for one in scrapes], dtype=np.float64)
        if not grown[-1]:
            continue
        labels = _outcome_labels(cell, variant, outcome)
        if labels is not None:
            yield labels, grown
    if cell.mesh in _BEGUN:
        begun = np.cumsum([sum(s.outcomes.values()) for s in scrapes], dtype=np.float64)
        yield {"__name__": _BEGUN[cell.mesh], **_of_version(cell, variant)}, begun
    if cell.histogram != "classic":
        return
    by_edge = np.cumsum([scrape.latencies for scrape in scrapes], axis=0)
    at_most = np.cumsum(by_edge, axis=1, dtype=np.float64)
    for i, edge in enumerate(EDGES_MS):
        name, factor = _LATENCY[cell.mesh]
        le = "+Inf" if np.isinf(edge) else f"{edge * factor:g}"
        yield {"__name__": name, "le": le, **_of_version(cell, variant)}, at_most[:, i]


def _histogram(
    cell: TrafficCell, variant: str, scrapes: list[_Scrape]
) -> tuple[dict[str, str], NDArray[np.float64], NDArray[np.float64]]:
    """Labels, edges in the mesh's unit, and the counts of each bucket scrape by scrape."""
    name, factor = _LATENCY[cell.mesh]
    labels = {"__name__": name.removesuffix("_bucket"), **_of_version(cell, variant)}
    grown = np.cumsum([scrape.latencies for scrape in scrapes], axis=0, dtype=np.float64)
    return labels, cell.edges_ms * factor, grown


_LATENCY = {
    "istio": ("istio_request_duration_milliseconds_bucket", 1.0),
    "linkerd": ("response_latency_ms_bucket", 1.0),
    "linkerd-route": ("route_response_latency_ms_bucket", 1.0),
    "linkerd-policy": ("outbound_http_route_backend_response_duration_seconds_bucket", 0.001),
    "envoy": ("envoy_cluster_upstream_rq_time_bucket", 1.0),
}
_BEGUN = {
    "linkerd": "request_total",
    "linkerd-route": "route_request_total",
    "linkerd-policy": "outbound_http_route_backend_requests_total",
    "envoy": "envoy_cluster_upstream_rq_total",
}
_REQUESTS = {
    "istio": "istio_requests_total",
    "linkerd": "response_total",
    "linkerd-route": "route_response_total",
    "linkerd-policy": "outbound_http_route_backend_response_statuses_total",
    "envoy": "envoy_cluster_upstream_rq",
}


def _of_version(cell: TrafficCell, variant: str) -> dict[str, str]:
    version = _version(cell, variant)
    match cell.mesh, cell.reporter:
        case "istio", reporter:
            return {
                "reporter": reporter,
                "destination_service_name": "web",
                "destination_service_namespace": "shop",
                "destination_workload": f"web-{version}",
                "destination_version": version,
                "destination_canonical_revision": version,
            }
        case "linkerd", "destination":
            return {"direction": "inbound", "namespace": "shop", "version": version}
        case "linkerd", _:
            authority = "web.shop.svc.cluster.local:80"
            return {"direction": "outbound", "authority": authority, "dst_service": version}
        case "linkerd-route", _:
            dst = "web.shop.svc.cluster.local:80"
            return {"direction": "inbound", "dst": dst, "version": version, "rt_route": "GET /"}
        case "linkerd-policy", _:
            return {"parent_name": "web", "parent_namespace": "shop", "backend_name": version}
        case _:
            return {"envoy_cluster_name": version}


def _outcome_labels(cell: TrafficCell, variant: str, outcome: str) -> dict[str, str] | None:
    """As the mesh counts that outcome; None where it doesn't count it by how it ended.

    The destination's proxy sees a time-out of the mesh as a client that left.
    """
    if cell.reporter == "destination" and outcome == "timeout" and cell.mesh != "envoy":
        outcome = "abandoned" if cell.mesh != "linkerd-policy" else outcome
    base = {"__name__": _REQUESTS[cell.mesh], **_of_version(cell, variant)}
    code, flags = {
        "success": ("200", "-"),
        "failure": ("503", "UF,URX"),
        "abandoned": ("0", "DC"),
        "rejected": ("429", "RL"),
        "timeout": ("504", "UT"),
        "none": ("0", "DC"),
        "cut": ("200", "UT"),
        "wrong": ("404", "-"),
    }[outcome]
    if cell.mesh == "istio":
        return base | {"response_code": code, "response_flags": flags}
    if cell.mesh == "envoy":
        without = outcome in ("abandoned", "none")
        return None if without else base | {"envoy_response_code": code}
    if outcome == "none":
        return None
    error = {
        "abandoned": {"error": "cancelled"},
        "timeout": {"error": "ResponseHeadersTimeout"},
        "cut": {"error": "ResponseStreamTimeout"},
    }.get(outcome, {})
    if cell.mesh == "linkerd-policy":
        return base | ({"http_status": code} if not error else {}) | error
    failed = outcome in ("failure", "abandoned", "timeout", "cut")
    status = {"status_code": code} if not error else {}
    return base | {"classification": "failure" if failed else "success"} | status | error
