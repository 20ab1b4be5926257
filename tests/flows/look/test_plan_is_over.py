"""A gate answers about what runs now: a promote of a plan that was over long before is a hold."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from flows.cli.main import main
from flows.look.plan_is_over import as_of_now
from flows.look.verdict_document import stored_document
from tests.builders.harm_traffic import START, TrafficCell, scraped, spec_of
from tests.servers.backfilled_prometheus import backfilled

CELL = TrafficCell("istio", "destination", "none", "clean")
BEGIN = datetime.fromtimestamp(START / 1000, UTC)
END = BEGIN + timedelta(minutes=20)
RECORDED = {"requests": {"recording": "traffic.parquet"}}
SPEC = """\
experiment: web
service: web
namespace: shop
mesh: istio
variants: {stable: {version: v1}, canary: {version: v2}}
split: {stable: 80, canary: 20}
plan: {duration: 20m}
sources: {requests: {prometheus: "URL"}}
"""
ORDERS = {
    "kind": "ratio",
    "bad": 'failed_total{version="{{version}}"}',
    "of": 'orders_total{version="{{version}}"}',
}
DELIVERED = {
    "split": None,
    "plan": {"stages": [{"duration": "20m", "weights": {"stable": 80, "canary": 20}}]},
    "delivery": {"target": {"envoy": "routes.json"}},
}


@pytest.mark.parametrize(
    ("changes", "decision", "late", "is_told"),
    [
        ({}, "promote", timedelta(0), False),
        ({}, "promote", timedelta(minutes=5), False),
        ({}, "promote", timedelta(minutes=6), True),
        ({}, "promote", timedelta(days=30), True),
        ({"quality": {"stale_after": "1h"}}, "promote", timedelta(minutes=59), False),
        ({"metrics": {"orders": ORDERS}}, "promote", timedelta(hours=1), True),
        ({"sources": RECORDED}, "promote", timedelta(days=30), False),
        (DELIVERED, "promote", timedelta(days=30), False),
        ({}, "rollback", timedelta(days=30), False),
        ({}, "hold", timedelta(days=30), False),
        ({}, "invalid", timedelta(days=30), False),
    ],
)
def test_a_promote_is_of_the_plans_end_and_a_while(
    changes: dict[str, Any], decision: str, late: timedelta, *, is_told: bool
) -> None:
    spec = spec_of(CELL, **changes)
    verdict = {"decision": decision, "exit_code": 0, "reasons": ["fine"], "waits": []}
    verdict |= {"window_start": BEGIN.isoformat(), "look_at": END.isoformat()}
    told = as_of_now(spec, verdict, END + late)
    assert (told is not verdict) == is_told
    if is_told:
        assert (told["decision"], told["exit_code"]) == ("hold", 3)
        assert told["reasons"][0] == told["waits"][0]
        assert told["reasons"][0].startswith(f"the plan ended at {END:%Y-%m-%d %H:%M:%S} UTC")
        assert told["reasons"][1:] == ["fine"]


def test_the_next_version_under_the_same_labels_is_not_promoted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was judged stays a promote; the gate says so about then, and holds about now."""
    (tmp_path / "experiments").mkdir()
    (tmp_path / "server").mkdir()
    with backfilled(scraped(CELL), tmp_path / "server") as url:
        (tmp_path / "experiments" / "web.yaml").write_text(SPEC.replace("URL", url))
        for at, code in ((0, 0), (1440, 3), (1440, 3), (0, 0)):
            time = f"{END + timedelta(minutes=at):%Y-%m-%dT%H:%M:%SZ}"
            assert main(["--root", str(tmp_path), "gate", "web", "--json", "--at", time]) == code
            found = json.loads(capsys.readouterr().out)
            assert found["exit_code"] == code
            assert stored_document(found).exit_code == code
    (kept,) = (tmp_path / "verdicts" / "web").glob("*.json")
    assert json.loads(kept.read_text())["decision"] == "promote"
