"""What passes by another spec than the one by which a look said rollback is said to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from flows.look.changed_spec import note_on_changed_spec
from flows.plan.from_spec import plan_of
from flows.warehouse.connection import open_writer, transaction
from flows.warehouse.statements import run
from tests.builders.harm_traffic import START, TrafficCell, spec_of

CELL = TrafficCell("istio", "destination", "none", "clean")
BEGIN = datetime.fromtimestamp(START / 1000, UTC)
ERRORS = {"kind": "error_share", "margin": 0.005}
PLAN = {"start": BEGIN, "duration": "20m", "minimum_duration": "5m"}


def plan(**changes: Any) -> dict[str, Any]:
    return {"plan": PLAN | changes}


LATER = BEGIN + timedelta(minutes=15)
FAR = BEGIN + timedelta(hours=2)
# What is edited after a look ten minutes after the start, and what is named.
EDITS: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, ""),
    "what is shown only": ({"description": "x", "owner": "y"}, ""),
    "a margin": ({"metrics": {"errors": ERRORS | {"margin": 0.05}}}, "metrics.errors.margin"),
    "a role": ({"metrics": {"errors": ERRORS | {"role": "goal"}}}, "metrics.errors.role"),
    "a name": ({"metrics": {"errs": ERRORS}}, "metrics.errors, metrics.errs"),
    "the start": (plan(start=LATER), "plan.start"),
    "the length": (plan(duration="11m"), "plan.duration"),
    "the split": ({"split": {"stable": 81, "canary": 19}}, "split.stable, split.canary"),
    "no split": ({"split": None}, "split"),
    "the reporter": ({"reporter": "source"}, "reporter"),
    "a limit": ({"quality": {"stale_after": "1h"}}, "quality.stale_after"),
    "another rollout": (plan(start=FAR), ""),
    "another version": ({"variants": {"stable": {}, "canary": {"version": "v9"}}}, ""),
}


@pytest.mark.parametrize(("changes", "named"), EDITS.values(), ids=EDITS)
@pytest.mark.parametrize("decision", ["rollback", "promote", "hold", "invalid"])
def test_an_edit_after_a_rollback_is_said(
    tmp_path: Path, changes: dict[str, Any], named: str, decision: str
) -> None:
    before = spec_of(CELL, metrics={"errors": ERRORS}, plan=PLAN)
    spec = spec_of(CELL, **({"metrics": {"errors": ERRORS}, "plan": PLAN} | changes))
    look_at = BEGIN + timedelta(minutes=10)
    look = {"experiment": "web", "look_at": look_at}
    with open_writer(tmp_path / "warehouse.duckdb") as con, transaction(con):
        known = {"experiment": "web", "spec_hash": before.spec_hash}
        run(con, "load/spec", **known, spec=before.model_dump_json(), used_at=look_at)
        made = {"window_start": BEGIN, "watermark": None, "software_version": "1"}
        run(con, "load/look", **look, **made, spec_hash=before.spec_hash)
        run(con, "load/verdict", **look, decision=decision, score=0, reasons=[], verdict="{}")
    begun_ms = START if spec.plan.start is None else round(spec.plan.start.timestamp() * 1000)
    with open_writer(tmp_path / "warehouse.duckdb") as con:
        planned = plan_of(spec, start_ms=begun_ms)
        said = note_on_changed_spec(con, spec, planned, at_ms=planned.end_ms)
    time = f"the look at {look_at:%Y-%m-%d %H:%M:%S} UTC said rollback"
    expected = (f"{time}; the spec has changed since: {named}",)
    assert said == (expected if named and decision == "rollback" else ())
