"""No outcome escapes comparison: `verdict gate` on a real Prometheus, harm by harm."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flows.cli.main import main
from tests.builders.harm_traffic import SCRAPE_MS, SCRAPES, START, TrafficCell, scraped, spec_of
from tests.lab import needs_prometheus
from tests.servers.backfilled_prometheus import backfilled

END = datetime.fromtimestamp(START / 1000, UTC) + timedelta(milliseconds=SCRAPES * SCRAPE_MS)
# Mesh, reporter, harm; then the gate's exit code, and what its reasons name.
CASES = [
    ("istio", "destination", "none", 0, ()),
    ("istio", "destination", "no answer", 3, ("abandoned", "points 0/DC", "(margin 0.50)")),
    ("istio", "destination", "mesh time-outs", 3, ("abandoned", "points 0/DC")),
    ("istio", "source", "mesh time-outs", 1, ("of requests failed", "points 504/UT")),
    ("istio", "destination", "cut bodies", 1, ("of requests failed", "points 200/UT")),
    ("istio", "source", "rejected", 3, ("rejected", "points 429/RL")),
    ("istio", "destination", "client errors", 3, ("client-errors", "points 404")),
    ("linkerd", "destination", "no answer", 3, ("abandoned", "points no answer")),
    ("linkerd", "source", "mesh time-outs", 1, ("points ResponseHeadersTimeout",)),
    ("linkerd-policy", "source", "abandoned", 3, ("abandoned", "points cancelled")),
    ("envoy", "source", "no answer", 3, ("abandoned", "points no answer")),
    ("envoy", "source", "latency", 3, ("latency-p99",)),
]


@pytest.mark.parametrize(("mesh", "reporter", "harm", "exit_code", "named"), CASES)
def test_gate_finds_the_harm_and_names_what_it_is_made_of(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    mesh: str,
    reporter: str,
    harm: str,
    exit_code: int,
    named: tuple[str, ...],
) -> None:
    needs_prometheus()
    cell = TrafficCell(mesh, reporter, harm, "clean")
    root, server = tmp_path / "root", tmp_path / "server"
    (root / "experiments").mkdir(parents=True)
    server.mkdir()
    with backfilled(scraped(cell), server) as url:
        (root / "experiments" / "web.yaml").write_text(_yaml(cell, url))
        at = END.strftime("%Y-%m-%dT%H:%M:%SZ")
        assert main(["--root", str(root), "gate", "web", "--at", at]) == exit_code
    said = capsys.readouterr().out
    for name in named:
        assert name in said, said


def _yaml(cell: TrafficCell, url: str) -> str:
    """The cell's spec as a person writes it, with the server's address. JSON is YAML."""
    spec = spec_of(cell)
    return json.dumps(
        {
            "experiment": spec.experiment,
            "service": spec.service,
            "namespace": spec.namespace,
            "mesh": cell.mesh,
            "reporter": cell.reporter,
            "variants": {name: {"version": one.version} for name, one in spec.variants.items()},
            "split": spec.split,
            "plan": {
                "start": datetime.fromtimestamp(START / 1000, UTC).isoformat(),
                "duration": "20m",
                "minimum_duration": "5m",
            },
            "sources": {"requests": {"prometheus": url}},
        }
    )
