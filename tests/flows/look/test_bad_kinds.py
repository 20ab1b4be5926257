"""No kind of answer escapes comparison, whatever its code, status and flag are.

A healthy canary, and 30 % more requests of it that end in one way, which stable's don't.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.requests.outcomes import RequestOutcome
from analysis.stages import Stage, have_most
from flows.ingest.requests.pull_requests import pull_requests
from flows.look.evaluate import score_experiment
from flows.look.responses import ResponseCounts, ResponseKind, with_unattributed
from flows.look.verdict_document import VerdictDocument
from flows.spec.experiment import Experiment
from tests.builders.harm_traffic import (
    SCRAPE_MS,
    SCRAPES,
    START,
    TrafficCell,
    add_answers,
    add_unanswered,
    scraped,
    spec_of,
)
from tests.builders.scraped_source import ScrapedSource
from tests.flows.ingest.requests import test_pull_requests as pulled

END_MS = START + SCRAPES * SCRAPE_MS
SUCCESS = {"classification": "success"}
# Mesh, the labels that tell how it ended, the decision and what the reasons name.
ANSWERS: list[tuple[str, dict[str, str], str, str]] = [
    *(
        ("istio", {"response_code": code}, "hold", f"points {code}")
        for code in ("100", "101", "201", "204", "206", "301", "302", "304", "307", "308")
    ),
    *(
        ("istio", {"response_code": "200", "response_flags": flag}, "hold", f"points 200/{flag}")
        for flag in ("NR", "DPE", "XYZ", "RFCF")
    ),
    ("istio", {"response_code": "302", "response_flags": "NR"}, "hold", "points 302/NR"),
    ("istio", {"response_code": "404", "response_flags": "XYZ"}, "hold", "points 404/XYZ"),
    ("istio", {"response_code": "999"}, "hold", "unmeasured"),
    ("istio", {"response_code": ""}, "hold", "unmeasured"),
    ("istio", {"response_flags": "-"}, "hold", "unmeasured"),
    ("istio", {"response_code": "200", "grpc_response_status": "99"}, "rollback", "grpc 99"),
    ("istio", {"response_code": "200", "grpc_response_status": "ODD"}, "rollback", "grpc ODD"),
    ("linkerd", {**SUCCESS, "status_code": "302"}, "hold", "points 302"),
    ("linkerd", {**SUCCESS, "status_code": "200", "error": "odd"}, "hold", "points 200/odd"),
    ("linkerd", {**SUCCESS, "status_code": "503"}, "rollback", "points 503"),
    ("linkerd", {"classification": "odd", "status_code": "500"}, "rollback", "points 500"),
    ("linkerd", {"status_code": ""}, "hold", "unmeasured"),
    ("linkerd-route", {**SUCCESS, "status_code": "503"}, "rollback", "points 503"),
    ("linkerd-policy", {"http_status": "302"}, "hold", "points 302"),
    ("linkerd-policy", {"http_status": "200", "error": "Odd"}, "hold", "points 200/"),
    ("envoy", {"envoy_response_code": "302"}, "hold", "points 302"),
    ("envoy", {"envoy_response_code": "999"}, "hold", "unmeasured"),
]


def look(folder: Path, mesh: str, labels: dict[str, str], **changes: Any) -> VerdictDocument:
    cell = TrafficCell(mesh, "destination", "none", "clean")
    source = scraped(cell)
    add_answers(source, cell, labels, share=0.3)
    spec = spec_of(cell, **changes)
    warehouse = folder / "w.duckdb"
    pull_requests(spec, source, warehouse, until_ms=END_MS)
    return score_experiment(spec, warehouse, at=datetime.fromtimestamp(END_MS / 1000, UTC))


@pytest.mark.parametrize(
    ("mesh", "labels", "decision", "named"),
    ANSWERS,
    ids=[f"{mesh} {' '.join(labels.values())}" for mesh, labels, *_ in ANSWERS],
)
def test_more_of_any_answer_is_compared(
    tmp_path: Path, mesh: str, labels: dict[str, str], decision: str, named: str
) -> None:
    document = look(tmp_path, mesh, labels)
    assert document.decision.value == decision
    assert named in " ".join(document.reasons)


@pytest.mark.parametrize("place", ["failures", "metric"])
@pytest.mark.parametrize(
    ("lists", "labels", "named"),
    [
        ({"codes": [429], "grpc": [], "flags": []}, {"response_code": "503"}, "points 503"),
        ({"codes": [500]}, {"response_code": "502"}, "points 502"),
        (
            {"flags": []},
            {"response_code": "200", "response_flags": "UT"},
            "points 200/UT",
        ),
        ({"grpc": [2]}, {"response_code": "200", "grpc_response_status": "14"}, "grpc 14"),
    ],
)
def test_what_a_spec_excuses_is_still_compared(
    tmp_path: Path, place: str, lists: dict[str, Any], labels: dict[str, str], named: str
) -> None:
    errors = {"kind": "error_share", "margin": 0.005, "role": "guardrail"}
    changes: dict[str, Any] = {"failures": lists, "metrics": {"errors": errors}}
    if place == "metric":
        changes = {"metrics": {"errors": errors | {"failures": lists}}}
    document = look(tmp_path, "istio", labels, **changes)
    assert document.decision.value == "hold"
    assert document.reasons[0].startswith("excused-failures: canary has")
    assert named in document.reasons[0]


def test_a_candidate_that_never_answers_is_an_outage_in_a_plan_without_a_start(
    tmp_path: Path,
) -> None:
    cell = TrafficCell("envoy", "destination", "none", "empty")
    source, warehouse = scraped(cell), tmp_path / "w.duckdb"
    add_unanswered(source, cell, per_scrape=300)
    spec = spec_of(cell, plan={"duration": "20m", "minimum_duration": "5m"})
    pull_requests(spec, source, warehouse, until_ms=END_MS)
    at = datetime.fromtimestamp(END_MS / 1000, UTC)
    document = score_experiment(spec, warehouse, at=at)
    assert document.decision.value == "rollback"
    assert "abandoned" in document.reasons[0]


@pytest.mark.parametrize("split", [{"stable": 80, "canary": 20}, None])
@pytest.mark.parametrize(
    ("labels", "share", "decision"),
    [
        ({"response_code": "503", "response_flags": "UF,URX"}, 0.02, "hold"),
        ({"response_code": "0", "response_flags": "DC"}, 0.02, "hold"),
        ({"response_code": "503", "response_flags": "UF,URX"}, 0.0002, "promote"),
        # Of no version by right: there is no route, or a fault was injected before one was chosen.
        ({"response_code": "404", "response_flags": "NR"}, 0.02, "promote"),
    ],
)
def test_failures_that_may_all_be_the_candidates_pass_no_candidate(
    tmp_path: Path,
    split: dict[str, int] | None,
    labels: dict[str, str],
    share: float,
    decision: str,
) -> None:
    """A pod that can't be reached: the client's proxy knows no version of it."""
    cell = TrafficCell("istio", "source", "none", "clean")
    source, warehouse = scraped(cell), tmp_path / "w.duckdb"
    of_canary = next(
        (dict(key), values)
        for key, values in source.series.items()
        if {("destination_version", "v2"), ("response_code", "200")} <= key
        and ("__name__", "istio_requests_total") in key
    )
    # As a share of all requests: one of 16 pods' successes are a twentieth of them.
    lost = {at: round(20 * share * value) for at, value in of_canary[1].items()}
    nowhere = {"destination_workload": "unknown", "destination_version": "unknown"}
    source.add(
        of_canary[0] | nowhere | {"destination_canonical_revision": "latest"} | labels,
        {at: float(value) for at, value in lost.items() if value},
    )
    spec = spec_of(cell, split=split)
    pull_requests(spec, source, warehouse, until_ms=END_MS)
    at = datetime.fromtimestamp(END_MS / 1000, UTC)
    document = score_experiment(spec, warehouse, at=at)
    assert document.decision.value == decision
    assert ("unattributed: canary has" in " ".join(document.reasons)) == (decision == "hold")


@pytest.mark.parametrize(
    ("share", "decision"), [(0.0, "promote"), (0.002, "promote"), (0.09, "hold"), (0.5, "rollback")]
)
def test_failures_of_no_version_are_of_who_has_all_the_traffic(
    tmp_path: Path, share: float, decision: str
) -> None:
    """A switch: nobody is left to compare with, and the client's proxy names no version."""
    half, every = 1_800_000, 15_000
    times = range(pulled.START, pulled.START + 2 * half + 1, every)
    source = ScrapedSource()
    caller = {"reporter": "source", "instance": "caller:15020"}
    nowhere = {
        "destination_workload": "unknown",
        "destination_version": "unknown",
        "destination_canonical_revision": "latest",
    }
    lost = nowhere | {"response_code": "503", "response_flags": "UF,URX"}
    for version, more, rates in (
        ("v1", {}, (3000.0, 0.0)),
        ("v2", {}, (3000.0, 6000 * (1 - share))),
        ("v2", lost, (0.0, 6000 * share)),
    ):
        added = [rates[t > pulled.START + half] for t in times]
        counter = dict(zip(times, np.cumsum(added).round().tolist(), strict=True))
        source.add(pulled.istio(version, "x", **caller, **more), counter)
    pulled.add_evidence(source, pulled.istio("v1", "caller"), dict.fromkeys(times, 1.0), 1)
    stages = [{"duration": "30m", "weights": {"stable": 100 - w, "canary": w}} for w in (50, 100)]
    start = datetime.fromtimestamp(pulled.START / 1000, UTC)
    spec = Experiment.model_validate(
        {
            "experiment": "checkout",
            "service": "checkout",
            "namespace": "shop",
            "mesh": "istio",
            "reporter": "source",
            "variants": {"stable": {"version": "v1"}, "canary": {"version": "v2"}},
            "metrics": {"errors": {"kind": "error_share", "objective": 0.05}},
            "sources": {"requests": {"prometheus": "http://127.0.0.1:9090"}},
            "plan": {"start": start, "stages": stages},
        }
    )
    warehouse, end_ms = tmp_path / "w.duckdb", pulled.START + 2 * half
    pull_requests(spec, source, warehouse, until_ms=end_ms)
    document = score_experiment(spec, warehouse, at=datetime.fromtimestamp(end_ms / 1000, UTC))
    assert document.decision.value == decision, document.reasons


def test_a_stage_is_looked_at_in_which_a_variant_has_half_of_its_most() -> None:
    shares = [0.0, 0.01, 0.3, 0.5, 1.0]
    stages = [Stage(0, 1, {"stable": 1 - share, "canary": share}) for share in shares]
    every = np.arange(len(stages))
    assert have_most("canary", stages, every).tolist() == [False, False, True, True, True]
    assert have_most("canary", stages[:2], every[:2]).tolist() == [False, True]
    assert have_most("canary", [Stage(0, 1, {})], every[:1]).tolist() == [True]


def test_what_a_version_may_have_is_compared_where_it_is_looked_at() -> None:
    kinds = (ResponseKind(RequestOutcome.FAILURE, "503", "", "UF"),)
    own, other = (ResponseCounts(kinds, np.array([counts])) for counts in ([9.0, 9.0], [1.0, 1.0]))
    total, bad, _ = with_unattributed(own, other, np.array([False, True]))
    assert (total.tolist(), bad.tolist()) == ([0, 10], [0, 1])
    total, bad, _ = with_unattributed(own, other, None)
    assert (total.tolist(), bad.tolist()) == ([9, 9], [0, 0])
