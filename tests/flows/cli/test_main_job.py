"""`verdict run` and `publish` when something is wrong: what can be done is done, and 2 says so."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from analysis.plan import Role
from flows.cli import main_job
from flows.cli.main import main
from flows.look.verdict_document import VerdictDocument
from flows.publish.marts import latest_marts
from tests.builders.metric_results import ERRORS
from tests.places import REPOSITORY
from tests.servers.small_disk import small_disk

REQUESTS, USERS = "exam-service-canary", "quiz-format"


@dataclass(frozen=True, slots=True)
class Said:
    code: int
    out: str
    err: str


class Commands:
    """Runs commands in a workspace."""

    def __init__(self, root: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.root, self._capture = root, capture

    def __call__(self, *arguments: str) -> Said:
        code = main(["--root", str(self.root), *arguments])
        return Said(code, *self._capture.readouterr())

    def spec(self, name: str, text: str | None = None) -> Path:
        """Writes a spec: the repository's, or the text."""
        path = self.root / "experiments" / f"{name}.yaml"
        path.write_text(text or (REPOSITORY / "experiments" / path.name).read_text())
        return path


@pytest.fixture
def verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Commands:
    shutil.copytree(REPOSITORY / "demo", tmp_path / "demo")
    (tmp_path / "experiments").mkdir()
    return Commands(tmp_path, capsys)


def test_broken_spec_stops_neither_the_others_nor_what_is_published(verdict: Commands) -> None:
    verdict.spec(REQUESTS)
    broken = verdict.spec("broken", "experiment: broken\nvariants: 7\n")
    run = verdict("run")
    assert run.code == 2
    assert f"{broken}:2: variants: " in run.err
    assert "1 promote" in run.out
    assert "1 failed: broken\n" in run.out
    assert (verdict.root / "verdicts" / REQUESTS).is_dir()
    marts = latest_marts(verdict.root / "var" / "marts")
    assert f"  {marts}" in run.out.splitlines()
    published = verdict("publish")
    assert published.code == 2
    assert published.err == "".join(line for line in run.err.splitlines(keepends=True))
    assert str(latest_marts(verdict.root / "var" / "marts")) in published.out.splitlines()
    assert f"sv-{REQUESTS}.json" in published.out
    assert "sv-broken.json" not in published.out


def test_of_named_experiments_those_that_are_there_run(verdict: Commands) -> None:
    verdict.spec(REQUESTS)
    broken = verdict.spec("broken", "experiment: broken\nvariants: 7\n")
    run = verdict("run", REQUESTS, "nothing-of-the-kind", REQUESTS)
    assert run.code == 2
    assert "there is no experiment 'nothing-of-the-kind'" in run.err
    assert run.out.count(f"{REQUESTS}\n") == 1
    assert (verdict.root / "verdicts" / REQUESTS).is_dir()
    # Nobody asked for this one: it is left out of what is published, and that is said.
    assert f"warning: {broken}:2: variants: " in run.err
    assert verdict("run", REQUESTS).code == 0


def test_pull_goes_on_after_a_broken_spec(verdict: Commands) -> None:
    verdict.spec(USERS)
    verdict.spec("broken", "experiment: broken\n")
    pulled = verdict("pull")
    assert pulled.code == 2
    assert "exposures" in pulled.out
    assert "broken.yaml:1: " in pulled.err


@pytest.mark.parametrize("command", ["run", "pull", "publish"])
def test_folder_without_specs_is_no_success(verdict: Commands, command: str) -> None:
    said = verdict(command)
    assert said.code == 2
    remedy = "run `verdict init`, or name the project's folder by --root"
    assert said.err == f"{verdict.root}/experiments has no specs (*.yaml): {remedy}\n"
    assert said.out == ""
    assert not (verdict.root / "var").exists()


def test_only_failures_list_nothing_as_written(verdict: Commands) -> None:
    spec = verdict.spec(REQUESTS)
    spec.write_text(spec.read_text().replace("requests.parquet", "nowhere.parquet"))
    run = verdict("run")
    assert run.code == 2
    assert "nowhere.parquet: no such recording" in run.err
    assert "written" not in run.out
    assert not (verdict.root / "verdicts").exists()


def test_failure_that_names_its_experiment_names_it_once(verdict: Commands) -> None:
    spec = verdict.spec(REQUESTS)
    spec.write_text(spec.read_text().replace("service: exam-service", "service: nowhere"))
    run = verdict("run")
    assert run.code == 2
    (said,) = (line for line in run.err.splitlines() if "no series of" in line)
    assert said.startswith(f"{REQUESTS}: no series of")


def state(root: Path) -> dict[str, bytes]:
    """Every published file with its content, the locks aside."""
    folders = [root / "var" / "marts", root / "var" / "dashboards"]
    paths = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    paths.append(root / "var" / "metrics.prom")
    return {str(path): path.read_bytes() for path in paths if path.name not in (".lock", "ballast")}


def test_full_disk_under_the_dashboards_leaves_all_that_was_published(verdict: Commands) -> None:
    verdict.spec(REQUESTS)
    with small_disk(verdict.root / "var" / "dashboards", megabytes=0.5) as disk:
        assert verdict("run").code == 0
        before = state(verdict.root)
        (disk / "ballast").write_bytes(b"x" * shutil.disk_usage(disk).free)
        verdict.spec(USERS)
        run = verdict("run")
        assert run.code == 2
        # The verdicts aren't lost.
        assert "2 promote" in run.out
        assert f"  {verdict.root / 'verdicts'}" in run.out.splitlines()
        assert "marts" not in run.out
        assert run.err.startswith(f"publish: could not publish to {verdict.root / 'var'}: ")
        assert "No space left on device" in run.err
        assert len(run.err.splitlines()) == 1
        assert state(verdict.root) == before
        (disk / "ballast").unlink()
        assert verdict("run").code == 0


def test_marts_that_cannot_be_published_leave_dashboards_and_metrics(verdict: Commands) -> None:
    verdict.spec(REQUESTS)
    assert verdict("run").code == 0
    before = state(verdict.root)
    with small_disk(verdict.root / "var" / "marts", megabytes=0.5):
        verdict.spec(USERS)
        run = verdict("run")
    assert run.code == 2
    assert "2 promote" in run.out
    assert "what was published before is untouched" in run.err.lower()
    assert state(verdict.root) == before


@pytest.mark.parametrize(
    ("role", "end"), [(Role.SIGNAL, " (signal)"), (Role.INFO, " (info)"), (Role.GUARDRAIL, ")")]
)
def test_what_decides_nothing_is_said_to(role: Role, end: str) -> None:
    """A promote beside "harm at most 1.43 points (margin 1.00)" looked like a mistake."""
    fields: dict[str, Any] = {"metrics": (replace(ERRORS, role=role),), "reasons": ()}
    (line,) = main_job._beside(VerdictDocument.model_construct(**fields))
    assert line.endswith(end)
    assert line.count("(signal)") + line.count("(info)") == (role is not Role.GUARDRAIL)
