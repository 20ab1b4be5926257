"""What was published and is still whole and true is not written again; all else is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from flows.look.evaluate import score_experiment
from flows.publish.marts import LATEST, latest_marts
from flows.publish.publish_all import publish_all
from flows.warehouse.connection import open_writer
from flows.workspace.experiments import select
from flows.workspace.paths import Workspace
from tests.builders.small_warehouse import BUCKET, START
from tests.flows.publish.test_report import BUCKETS, SPEC, _workspace


def _published(workspace: Workspace) -> dict[Path, tuple[int, int]]:
    """Every published file, and what moves when it is written."""
    files = [
        path
        for folder in (workspace.marts, workspace.dashboards, workspace.report)
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    ]
    files.append(workspace.dashboards.parent / "metrics.prom")
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


def _look(workspace: Workspace) -> None:
    score_experiment(SPEC, workspace.warehouse, at=START + (BUCKETS - 1) * BUCKET)


def _delivery(workspace: Workspace) -> None:
    with open_writer(workspace.warehouse) as con:
        con.execute(
            "insert into delivery_events values "
            "('checkout', 1, 1, '2026-03-02', 'began', 1, null, 1, '')"
        )


def _marts(workspace: Workspace) -> Path:
    found = latest_marts(workspace.marts)
    assert found is not None
    return found


CHANGES: dict[str, Callable[[Workspace], object]] = {
    "another look": _look,
    "the same look recorded again": _look,
    "a delivery": _delivery,
    "marts are gone": lambda w: _marts(w).unlink(),
    "the pointer is gone": lambda w: (w.marts / LATEST).unlink(),
    "a dashboard was edited": lambda w: (w.dashboards / "sv-checkout.json").write_text("{}"),
    "a dashboard is gone": lambda w: (w.dashboards / "sv-checkout.json").unlink(),
    "the page is gone": lambda w: (w.report / "checkout.html").unlink(),
    "the index was edited": lambda w: (w.report / "index.html").write_text(""),
    "metrics are gone": lambda w: (w.dashboards.parent / "metrics.prom").unlink(),
    "what was noted is damaged": lambda w: (w.dashboards.parent / "published.json").write_text("["),
    "a broken spec": lambda w: (w.experiments / "broken.yaml").write_text("variants: 7\n"),
    "a spec is gone": lambda w: (w.experiments / "broken.yaml").unlink(),
}


def test_only_what_changed_is_published_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = _workspace(tmp_path, looks=1)
    shown = publish_all(workspace, select(workspace))
    texts = {p: p.read_text() for p in shown[1:]}
    for name, change in CHANGES.items():
        before = _published(workspace)
        assert publish_all(workspace, select(workspace))[1:] == shown[1:]
        assert _published(workspace) == before, name
        change(workspace)
        again = publish_all(workspace, select(workspace))
        assert again[0] == _marts(workspace) != shown[0], name
        assert all(path.is_file() for path in again), name
    # All is as it was, whatever was done to it meanwhile.
    dashboard = workspace.dashboards / "sv-checkout.json"
    assert dashboard.read_text() == texts[dashboard]
    monkeypatch.setenv("VERDICT_METRIC_PREFIX", "shop")
    before = _published(workspace)
    publish_all(workspace, select(workspace))
    assert "shop_" in dashboard.read_text()
    assert _published(workspace) != before


def test_unchanged_experiment_keeps_its_files_while_another_one_is_published(
    tmp_path: Path,
) -> None:
    workspace = _workspace(tmp_path, looks=1)
    other = SPEC.model_copy(update={"experiment": "other"})
    text = (workspace.experiments / "checkout.yaml").read_text()
    (workspace.experiments / "other.yaml").write_text(text.replace("checkout", "other", 1))
    score_experiment(other, workspace.warehouse, at=START + BUCKETS * BUCKET)
    publish_all(workspace, select(workspace))
    before = _published(workspace)
    score_experiment(other, workspace.warehouse, at=START + BUCKETS * BUCKET - timedelta(minutes=1))
    publish_all(workspace, select(workspace))
    after = _published(workspace)
    own = {workspace.dashboards / "sv-checkout.json", workspace.report / "checkout.html"}
    theirs = {workspace.dashboards / "sv-other.json", workspace.report / "other.html"}
    assert all(after[path] == before[path] for path in own)
    assert all(after[path] != before[path] for path in theirs)
