"""What the gate prints beside a verdict's own sentences."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.cli.main import main
from flows.ingest.sources.samples import Selector
from tests.builders.harm_traffic import SCRAPE_MS, SCRAPES, START, TrafficCell, scraped
from tests.builders.recordings import write_recording

SPEC = """\
experiment: web
service: web
namespace: shop
mesh: istio
variants: {stable: {version: v1}, canary: {version: v2}}
split: {stable: 80, canary: 20}
plan: {start: 2025-11-24T16:00:00Z, duration: 20m}
sources: {requests: {recording: traffic.parquet}}
"""
NOTE = "the plan ended at 2025-11-24 16:20:00 UTC; what came later is not judged"
THEN = "judged as of 2025-11-24 16:20:00 UTC, 37.3 days ago"


@pytest.mark.parametrize(
    ("harm", "at", "code", "said"),
    [
        ("none", "2025-11-24T16:20:10Z", 0, None),
        ("none", "2025-11-24T16:21:00Z", 0, NOTE),
        ("none", "2026-01-01T00:00:00Z", 0, NOTE),
        ("failures", "2025-11-24T16:20:10Z", 1, None),
        ("failures", "2026-01-01T00:00:00Z", 1, THEN),
    ],
)
def test_a_verdict_on_a_plan_that_is_over_says_so(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    harm: str,
    at: str,
    code: int,
    said: str | None,
) -> None:
    source = scraped(TrafficCell("istio", "destination", harm, "clean"))
    names = sorted({dict(labels)["__name__"] for labels in source.series})
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "web.yaml").write_text(SPEC)
    write_recording(
        tmp_path / "experiments" / "traffic.parquet",
        source.read([Selector(name) for name in names], 0, START + SCRAPES * SCRAPE_MS),
    )
    # Again: by the look that stands.
    for _ in range(2):
        assert main(["--root", str(tmp_path), "gate", "web", "--at", at]) == code
        printed = " ".join(capsys.readouterr().out.split())
        assert [note for note in (NOTE, THEN) if note in printed] == ([said] if said else [])
