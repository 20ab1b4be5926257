"""`verdict deliver`: what it shows beforehand, and wrong specs.

Covers flows.cli.deliver_command.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from flows.formats.problems import InputError
from flows.workspace.experiments import load_spec
from flows.workspace.paths import Workspace
from tests.builders.delivery_workspace import (
    SPEC,
    command,
    delivery_workspace,
    version,
)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return delivery_workspace(tmp_path)


def test_a_dry_run_changes_nothing(workspace: Workspace) -> None:
    shown = subprocess.run(
        command(workspace, "deliver", "exam", "--dry-run"),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "now has stable 100, canary 0" in shown
    assert "stage 2: stable 50, canary 50 for 1h to 2h" in shown
    assert shown.splitlines()[-1] == "next: stage 1 would be applied"
    assert version(workspace) == 7
    assert not (workspace.root / "var").exists()
    assert not workspace.verdicts.exists()


def test_nothing_is_shifted_before_the_source_has_answered(workspace: Workspace) -> None:
    (workspace.root / "demo").unlink()
    shown = subprocess.run(
        command(workspace, "deliver", "exam"), capture_output=True, text=True, check=False
    )
    assert shown.returncode == 2
    assert len(shown.stderr.splitlines()) == 1
    assert version(workspace) == 7


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("plan:\n", "plan:\n  start: 2026-01-01\n"), "plan.start: isn't known before"),
        (("{stable: 95, canary: 5}", "{canary: 100}"), "must name stable and canary"),
        (("duration: 1h, weights: {stable: 95", "duration: 1h, at_most: 1m, weights: {stable: 95"),
         "plan.stages.0.at_most: is shorter than the stage's duration"),
        (("routes.json}", "routes.json, names: {blue: x}}"), "blue: is not a variant"),
        (("{envoy:", "{envy:"), "delivery.target.envy"),
    ],
)  # fmt: skip
def test_a_wrong_delivery_is_explained(
    workspace: Workspace, change: tuple[str, str], problem: str
) -> None:
    path = workspace.experiments / "exam.yaml"
    path.write_text(SPEC.replace(*change, 1))
    with pytest.raises(InputError) as error:
        load_spec(path)
    assert problem in str(error.value)


def test_a_spec_without_delivery_is_told_what_to_write(workspace: Workspace) -> None:
    path = workspace.experiments / "exam.yaml"
    path.write_text(SPEC[: SPEC.index("delivery:")])
    shown = subprocess.run(
        command(workspace, "deliver", "exam"), capture_output=True, text=True, check=False
    )
    assert (shown.returncode, "has no `delivery`" in shown.stderr) == (2, True)
