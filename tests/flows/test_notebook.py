"""The notebook of a new project runs on what a run published, for each kind of experiment.

Covers flows.project.template.notebook.
"""

from __future__ import annotations

import html
import json
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flows.cli import main as cli
from flows.project.new_project import write_project
from tests.places import PATIENCE_S, REPOSITORY

REQUESTS, USERS = "exam-service-canary", "quiz-format"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new project with recorded requests and users, judged once at the recording's end."""
    root = tmp_path_factory.mktemp("project")
    list(write_project(root))
    shutil.copytree(REPOSITORY / "demo", root / "demo")
    for name in (REQUESTS, USERS):
        shutil.copy(REPOSITORY / "experiments" / f"{name}.yaml", root / "experiments")
    at = ["--at", "2026-11-23T17:32:28Z"]
    assert cli.main(["--root", str(root), "run", REQUESTS, USERS, *at]) == 0
    return root


def charts(notebook: Path, experiment: str) -> list[dict[str, Any]]:
    """What the notebook draws of an experiment, as Vega-Lite. Raises what a cell raises."""
    text = notebook.read_text()
    chosen = notebook.with_name(f"{experiment}.py")
    chosen.write_text(text.replace("value=names[0]", f"value={experiment!r}"))
    assert chosen.read_text() != text
    outputs, _ = runpy.run_path(str(chosen))["app"].run()
    shown = "".join(getattr(one, "text", "") for one in outputs)
    return [json.loads(html.unescape(spec)) for spec in re.findall(r"data-spec='([^']*)'", shown)]


def drawn(chart: object) -> set[str]:
    """The columns that a chart draws."""
    if isinstance(chart, dict):
        own = {chart["field"]} if "field" in chart else set()
        return own.union(*map(drawn, chart.values()))
    return set().union(*map(drawn, chart)) if isinstance(chart, list) else set()


@pytest.mark.parametrize(
    ("experiment", "columns"),
    [(REQUESTS, {"difference", "requests", "success_rate"}), (USERS, {"difference", "day"})],
)
def test_each_kind_of_experiment_has_its_charts(
    project: Path, experiment: str, columns: set[str]
) -> None:
    found = charts(project / "notebook.py", experiment)
    assert columns <= drawn(found)
    assert all(chart["data"] for chart in found)


def test_every_cell_runs_as_the_command_runs_it(project: Path) -> None:
    page = project / "notebook.html"
    command = ["marimo", "-q", "export", "html", str(project / "notebook.py"), "-o", str(page)]
    ended = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, timeout=PATIENCE_S, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert "Verdicts" in page.read_text()


def test_without_published_marts_it_says_what_to_run(tmp_path: Path) -> None:
    list(write_project(tmp_path))
    (message, *others), _ = runpy.run_path(str(tmp_path / "notebook.py"))["app"].run()
    assert "run `verdict run` or `verdict publish`" in getattr(message, "text", "")
    assert others == [None] * len(others)
