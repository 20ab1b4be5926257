"""Publishing takes away what belongs to experiments without a spec, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

from dashboards.experiment_view import EXPERIMENT_TAG, uid_of
from flows.publish.cleanup import remove_leftovers
from flows.workspace.paths import Workspace


def test_only_our_own_dashboards_of_unknown_experiments_go(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    folder = workspace.dashboards
    folder.mkdir(parents=True)
    for name in ("kept", "gone"):
        uid = uid_of(name)
        board = {"uid": uid, "tags": [EXPERIMENT_TAG]}
        (folder / f"{uid}.json").write_text(json.dumps(board))
    (folder / "sv-theirs.json").write_text(json.dumps({"uid": "sv-theirs", "tags": ["ours"]}))
    odd = {"broken": "{", "deep": "[" * 100_000, "list": "[1]", "tags": '{"uid": 5, "tags": {}}'}
    for name, text in odd.items():
        (folder / f"sv-{name}.json").write_text(text)

    remove_leftovers(workspace, ["kept"])

    left = {path.name for path in folder.iterdir()}
    assert left == {f"{uid_of('kept')}.json", "sv-theirs.json", *(f"sv-{n}.json" for n in odd)}


def test_pages_of_others_stay(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.report.mkdir(parents=True)
    (workspace.report / "notes.html").write_text("<h1>ours</h1>")

    remove_leftovers(workspace, [])

    assert (workspace.report / "notes.html").exists()
