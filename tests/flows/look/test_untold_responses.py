"""Where the label is missing by which an answer would be a failure, it is no plain success."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.requests.outcomes import RequestOutcome
from analysis.verdict import Decision
from flows.ingest.requests.mesh.istio import istio_response
from flows.ingest.requests.mesh.linkerd import classified_response
from flows.ingest.requests.pull_requests import pull_requests
from flows.look.evaluate import score_experiment
from flows.look.verdict_document import VerdictDocument
from tests.builders.harm_traffic import EDGES_MS, SCRAPE_MS, START
from tests.builders.scraped_source import ScrapedSource
from tests.flows.ingest.requests.test_pull_requests import add_evidence, experiment, istio

GRPC = {"request_protocol": "grpc", "grpc_response_status": "0"}
DROPPED = {
    "a gRPC status": (GRPC, {"grpc_response_status": "14"}, "grpc_response_status"),
    "response flags": ({}, {"response_flags": "UC"}, "response_flags"),
    "a code": ({}, {"response_code": "503"}, "response_code"),
}
# Who lacks the label, from which scrape on.
WHO = {
    "the candidate": {"v2": 0},
    "the candidate, later": {"v2": 60},
    "both": {"v1": 0, "v2": 0},
    "both, later": {"v1": 60, "v2": 60},
}
# Flags that both lack may have been removed for their number: requests are compared as they are.
ALIKE = {("response flags", "both"), ("response flags", "both, later")}
CASES = [(w, who) for w in DROPPED for who in WHO if (w, who) not in ALIKE]


def verdict_of(what: str, who: str, folder: Path, *, failing: float) -> VerdictDocument:
    usual, failed, label = DROPPED[what]
    spec = experiment(
        split={"stable": 50, "canary": 50},
        plan={"start": datetime.fromtimestamp(START / 1000, UTC), "duration": "30m"},
    )
    rng, source = np.random.default_rng(3), ScrapedSource()
    for version, share in (("v1", 0.003), ("v2", failing)):
        own: dict[tuple[tuple[str, str], ...], int] = {}
        times = [START + i * SCRAPE_MS for i in range(-3, 121)]
        for i, t in enumerate(times):
            bad = int(rng.binomial(200, share))
            for labels, count in ((usual, 200 - bad), (usual | failed, bad)):
                answered = istio(version, version, **labels)
                if who in WHO and i - 3 >= WHO[who].get(version, 999):
                    del answered[label]
                key = tuple(sorted(answered.items()))
                own[key] = own.get(key, 0) + count
            for key, count in own.items():
                if count:
                    source.add(dict(key), {t: count})
            for edge in EDGES_MS:
                le = "+Inf" if np.isinf(edge) else f"{edge:g}"
                name = "istio_request_duration_milliseconds_bucket"
                latency: dict[str, Any] = istio(version, version, __name__=name, le=le)
                source.add(latency, {t: 200 * (i + 1) * (edge >= 50)})
        add_evidence(source, istio(version, version), dict.fromkeys(times, 1), START - 10**8)
    end = START + 120 * SCRAPE_MS
    pull_requests(spec, source, folder / "warehouse.duckdb", until_ms=end)
    at = datetime.fromtimestamp(START / 1000, UTC) + timedelta(minutes=30)
    return score_experiment(spec, folder / "warehouse.duckdb", at=at)


@pytest.mark.parametrize(("what", "who"), CASES)
def test_harm_behind_a_dropped_label_is_never_promoted(tmp_path: Path, what: str, who: str) -> None:
    found = verdict_of(what, who, tmp_path, failing=0.1 if "later" not in who else 0.003)
    assert found.decision is Decision.HOLD, found.reasons


@pytest.mark.parametrize("what", DROPPED)
def test_a_healthy_candidate_with_all_labels_is_promoted(tmp_path: Path, what: str) -> None:
    found = verdict_of(what, "nobody", tmp_path, failing=0.003)
    assert found.decision is Decision.PROMOTE, found.reasons


def test_flags_that_both_lack_are_compared_as_they_are(tmp_path: Path) -> None:
    found = verdict_of("response flags", "both", tmp_path, failing=0.003)
    assert found.decision is Decision.PROMOTE, found.reasons


@pytest.mark.parametrize(
    ("labels", "outcome", "flags"),
    [
        ({"response_code": "200", "response_flags": "-"}, RequestOutcome.SUCCESS, ()),
        ({"response_code": "200"}, RequestOutcome.SUCCESS, ("no-flags",)),
        ({"response_code": "503"}, RequestOutcome.FAILURE, ()),
        ({"response_code": "404"}, RequestOutcome.CLIENT_ERROR, ()),
        ({"response_code": "0", "request_protocol": "grpc"}, RequestOutcome.ABANDONED, ()),
        (
            {"response_code": "200", "response_flags": "-", "request_protocol": "grpc"},
            RequestOutcome.UNKNOWN,
            ("no-grpc-status",),
        ),
        (
            {"response_code": "200", "response_flags": "UC", "request_protocol": "grpc"},
            RequestOutcome.FAILURE,
            ("UC",),
        ),
    ],
)
def test_istio_says_which_label_is_missing(
    labels: dict[str, str], outcome: RequestOutcome, flags: tuple[str, ...]
) -> None:
    found = istio_response(labels)
    assert (found.outcome, found.flags) == (outcome, flags)


def test_linkerd_says_which_label_is_missing() -> None:
    assert classified_response({"status_code": "200"}).flags == ("no-classification",)
    assert classified_response({"status_code": "200", "classification": "success"}).flags == ()
    assert classified_response({"status_code": "503"}).flags == ()
