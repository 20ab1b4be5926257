"""Looks in processes of their own come to the same verdicts, and fail as they would here."""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flows.formats.problems import InputError, UserError
from flows.look.look import look_at_experiment
from flows.look.side_by_side import WorkerLost, look_apart
from flows.warehouse.connection import open_writer
from flows.workspace.paths import Workspace
from tests.builders.user_specs import day, write_exposures, write_outcomes
from tests.places import REPOSITORY

NAMES = [f"quiz-{number}" for number in range(4)]
SPEC = """experiment: {name}
service: quiz
variants: {{a: {{}}, b: {{}}}}
metrics: {{bought: {{kind: proportion, outcome: buy, window: 1d, margin: 0.05}}}}
sources: {{exposures: {{files: ../exposures.csv}}, outcomes: {{files: ../outcomes.csv}}}}
plan: {{start: 2026-01-01T00:00:00Z, duration: 14d}}
"""


def _workspace(root: Path) -> Workspace:
    (root / "experiments").mkdir(parents=True)
    for name in NAMES:
        (root / "experiments" / f"{name}.yaml").write_text(SPEC.format(name=name))
    write_exposures(root, [(user, "ab"[user % 2], user / 100) for user in range(900)])
    write_outcomes(root, [(user, "buy", user / 100 + 0.5, 1) for user in range(0, 900, 3)])
    return Workspace(root)


def test_they_write_what_looks_one_after_the_other_write(tmp_path: Path) -> None:
    apart, alone = _workspace(tmp_path / "apart"), _workspace(tmp_path / "alone")
    with ThreadPoolExecutor(len(NAMES)) as threads:
        found = threads.map(lambda name: look_apart(apart.root, name, day(20), workers=2), NAMES)
        said = [looked.document.to_json() for looked in found]
    assert said == [look_at_experiment(alone, name, at=day(20)).to_json() for name in NAMES]
    for path in alone.verdicts.rglob("*.json"):
        same = apart.verdicts / path.relative_to(alone.verdicts)
        assert json.loads(same.read_text()) == json.loads(path.read_text())


def test_what_is_wrong_is_said_here(tmp_path: Path) -> None:
    workspace = _workspace(tmp_path)
    with pytest.raises(InputError, match="there is no experiment 'quiz'"):
        look_apart(workspace.root, "quiz", day(20), workers=2)
    (tmp_path / "outcomes.csv").write_text("user_id\n1\n")
    with pytest.raises(UserError, match="no column 'outcome'"):
        look_apart(workspace.root, NAMES[0], day(20), workers=2)


def test_workers_end_without_a_word(tmp_path: Path) -> None:
    """DuckDB prints what it finds in use when Python ends."""
    look = f"look_apart(Path({str(_workspace(tmp_path).root)!r}), {NAMES[0]!r}, None, workers=1)"
    code = f"from pathlib import Path\nfrom flows.look.side_by_side import look_apart\n{look}"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_worker_that_is_killed_costs_no_other_look(tmp_path: Path) -> None:
    workspace = _workspace(tmp_path)
    look_apart(workspace.root, NAMES[0], day(20), workers=2)
    for worker in multiprocessing.active_children():
        worker.kill()
    looked = look_apart(workspace.root, NAMES[1], day(20), workers=2)
    assert looked.document.experiment == NAMES[1]


def test_a_worker_that_is_killed_each_time_is_said(tmp_path: Path) -> None:
    """A look that doesn't end meanwhile: it waits for the warehouse."""
    workspace = _workspace(tmp_path)
    over = threading.Event()

    def kill() -> None:
        while not over.wait(0.2):
            for worker in multiprocessing.active_children():
                worker.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        with (
            open_writer(workspace.warehouse),
            pytest.raises(WorkerLost, match=r"quiz-2: .* was killed 3 times"),
        ):
            look_apart(workspace.root, NAMES[2], day(20), workers=2)
    finally:
        over.set()
        killer.join()
