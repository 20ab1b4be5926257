"""Every command in every document: its options exist, and it does what the document says."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
import yaml

from flows.cli.main import command_parser
from flows.project.new_project import write_project
from tests.builders.delivery_workspace import canary_share, delivery_workspace
from tests.places import PATIENCE_S, REPOSITORY

DOCUMENTS = [REPOSITORY / "README.md", *sorted(REPOSITORY.glob("*/**/*.md"))]
# Documents of others come with what is installed and built.
DOCUMENTS = [
    path for path in DOCUMENTS if not {".venv", "build"} & {*path.relative_to(REPOSITORY).parts}
]
_BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
_INLINE = re.compile(r"`(verdict [a-z][^`]*)`")
# What runs until it is stopped, and what needs such: tests of their own.
_ENDLESS = {"serve", "deliver", "approve", "abort"}


def blocks(path: Path) -> list[str]:
    """The lines of a document's shell blocks, without comments."""
    found = [line for block in _BLOCK.findall(path.read_text()) for line in block.splitlines()]
    return [line for line in (re.split(r" +# ", line)[0].strip() for line in found) if line]


def commands(path: Path) -> list[str]:
    return [line for line in blocks(path) if line.startswith("verdict ")]


def mentioned() -> list[str]:
    return sorted(
        {line for path in DOCUMENTS for line in commands(path)}
        | {
            " ".join(text.replace("...", "").split())
            for path in DOCUMENTS
            for text in _INLINE.findall(path.read_text())
            if " " in text.strip() and not re.fullmatch(r"verdict [a-z]+", text)
        }
    )


@pytest.mark.parametrize("line", mentioned())
def test_options_of_documented_commands_exist(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = shlex.split(line, comments=True)
    with contextlib.suppress(SystemExit):
        command_parser().parse_args(words[1:])
        return
    # What is only mentioned may leave out whom it is about.
    assert "arguments are required" in capsys.readouterr().err, line
    assert line not in {command for path in DOCUMENTS for command in commands(path)}


def test_make_targets_in_documents_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    named = {
        name
        for path in DOCUMENTS
        for name in re.findall(r"(?:`|^)make ([a-z][a-z-]*)", path.read_text(), re.MULTILINE)
    }
    assert named <= targets


def test_modules_in_documents_exist() -> None:
    for path in DOCUMENTS:
        for module in re.findall(
            r"python -m ((?:tests|benchmarks|flows)[a-z_.]*)", path.read_text()
        ):
            place = REPOSITORY / module.replace(".", "/")
            assert place.with_suffix(".py").is_file() or (place / "__init__.py").is_file(), module


def test_links_of_documents_lead_to_files_and_headings() -> None:
    """Those of docs/ are checked with the site as well; this is for the others, and for all."""
    for path in DOCUMENTS:
        text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
        for link in re.findall(r"\]\(([^)\s]+)\)|src(?:set)?=\"([^\"]+)\"", text):
            place, _, anchor = "".join(link).partition("#")
            if place.startswith(("http://", "https://")):
                continue
            target = (path.parent / place).resolve() if place else path
            assert target.exists(), (path, link)
            if anchor:
                headings = re.findall(r"^#+ (.*)", target.read_text(), re.MULTILINE)
                named = {re.sub(r"[^\w -]", "", one).lower().replace(" ", "-") for one in headings}
                assert anchor in named, (path, link)


def test_rows_of_tables_have_as_many_cells_as_their_heads() -> None:
    """A | within a cell begins another one, in code too; what is beyond the head's isn't shown."""
    for path in DOCUMENTS:
        text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
        for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
            assert len({len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}) == 1, (
                path, table,
            )  # fmt: skip


def environment_of(folder: Path) -> dict[str, str]:
    """In which `verdict` is this repository's."""
    binary = folder / ".bin"
    if not binary.exists():
        binary.mkdir()
        (binary / "verdict").write_text(f'#!/bin/sh\nexec {sys.executable} -m flows.cli "$@"\n')
        (binary / "verdict").chmod(0o755)
    environment = {**os.environ, "PATH": f"{binary}:{os.environ['PATH']}"}
    environment["PYTHONPATH"] = str(REPOSITORY)
    return environment


def run(folder: Path, line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The line in a shell of its own."""
    return subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env=environment_of(folder) | environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


@contextlib.contextmanager
def started(folder: Path, line: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """The line as a process that goes on; it is stopped as by Ctrl-C or Kubernetes."""
    process = subprocess.Popen(
        ["bash", "-c", f"exec {line}"],
        cwd=folder,
        env=environment_of(folder) | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def test_documented_delivery_runs_in_its_order(tmp_path: Path) -> None:
    """Shown beforehand, begun, stopped, approved by a person, and aborted by one."""
    workspace = delivery_workspace(tmp_path)
    spec = (workspace.experiments / "exam.yaml").read_text()
    text = spec.replace("experiment: exam\n", "experiment: exam-service\n")
    (workspace.experiments / "exam-service.yaml").write_text(text)
    lines = commands(REPOSITORY / "docs" / "how-to" / "delivery.md")
    assert {line for line in endless() if "serve " not in line} <= set(lines)
    codes = {}
    for line in lines:
        if line == "verdict deliver exam-service":
            with started(tmp_path, line) as process:
                assert "stage 1 of " in first_line(process)
                assert canary_share(workspace) == 5
                process.terminate()
                codes[line] = process.wait(PATIENCE_S)
        else:
            ended = run(tmp_path, line)
            codes[line] = ended.returncode
            assert ended.stdout, (line, ended.stderr)
    assert list(codes.values()) == [0, 3, 0, 0]
    # Nothing was running that could shift: who starts it again sees it aborted.
    assert run(tmp_path, "verdict deliver exam-service").returncode == 1
    assert canary_share(workspace) == 0


def test_documented_service_answers_the_documented_call(team: Path) -> None:
    token, serve, call = blocks(REPOSITORY / "docs" / "how-to" / "gate-service.md")[:3]
    assert {line for line in endless() if line.startswith("verdict serve")} == {serve}
    made = run(team, f"{token}; echo $VERDICT_TOKEN").stdout.strip()
    with started(team, serve.replace("8080", "0"), VERDICT_TOKEN=made) as process:
        port = first_line(process).strip().rpartition(":")[2]
        there = call.replace("verdict:8080", f"127.0.0.1:{port}")
        answered = run(team, there, VERDICT_TOKEN=made)
        assert json.loads(answered.stdout)["experiment"] == "exam-service-canary"
        process.terminate()
        assert process.wait(PATIENCE_S) == 0


def endless() -> set[str]:
    lines = {line for path in DOCUMENTS for line in commands(path)}
    return {line for line in lines if line.split()[1] in _ENDLESS}


def test_tutorial_works_from_an_empty_folder(tmp_path: Path) -> None:
    tutorial = REPOSITORY / "docs" / "tutorial.md"
    text = tutorial.read_text()
    (manifest,) = re.findall(r"```yaml\n# (\S+)\n(.*?)```", text, re.DOTALL)
    (tmp_path / manifest[0]).write_text(manifest[1])
    for line in blocks(tutorial):
        # test_wheel.py, test_notebook.py and test_prefect_worker.py run the others.
        if not line.startswith(
            ("python3 -m venv", "pip ", "marimo edit ", "prefect ", "export PREFECT_")
        ):
            ended = run(tmp_path, line)
            assert (ended.returncode, ended.stderr) == (0, ""), (line, ended.stdout)
    assert (tmp_path / "latest_verdict.csv").read_text().count("example") >= 1
    assert (tmp_path / "var" / "report" / "index.html").is_file()


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that has what the documents' commands name."""
    root = tmp_path_factory.mktemp("team")
    list(write_project(root))
    shutil.copytree(REPOSITORY / "demo", root / "demo")
    spec = (REPOSITORY / "experiments" / "exam-service-canary.yaml").read_text()
    for name in ("exam-service", "exam-service-canary"):
        text = spec.replace("experiment: exam-service-canary", f"experiment: {name}")
        (root / "experiments" / f"{name}.yaml").write_text(text)
    pl.read_csv(root / "experiments" / "sums.csv").write_parquet(root / "sums.parquet")
    config = {
        "name": "shop",
        "metrics": [{"name": "errors", "groups": ["all"], "analysisConfigurations": {}}],
        "classifier": {
            "groupWeights": {"all": 100},
            "scoreThresholds": {"pass": 95, "marginal": 75},
        },
    }
    (root / "canary.json").write_text(json.dumps(config))
    series = {"name": "errors", "control": [1.0, 2.0] * 30, "experiment": [1.0, 2.0] * 30}
    timed = {**series, "start": "2026-10-01T00:00:00Z", "step": 60}
    (root / "values.json").write_text(json.dumps({"metrics": [timed]}))
    route = {"destination": {"host": "exam", "subset": "v1"}, "weight": 90}
    other = {"destination": {"host": "exam", "subset": "v2"}, "weight": 10}
    service = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "exam", "namespace": "shop"},
        "spec": {"hosts": ["exam"], "http": [{"route": [route, other]}] * 4},
    }
    (root / "istio").mkdir()
    (root / "istio" / "exam.yaml").write_text(yaml.safe_dump(service))
    split = {
        "apiVersion": "split.smi-spec.io/v1alpha2",
        "kind": "TrafficSplit",
        "metadata": {"name": "pay", "namespace": "shop"},
        "spec": {
            "service": "pay",
            "backends": [{"service": "pay-v1", "weight": 90}, {"service": "pay-v2", "weight": 10}],
        },
    }
    (root / "trafficsplit.yaml").write_text(yaml.safe_dump(split))
    return root


def in_blocks() -> list[str]:
    tutorial = REPOSITORY / "docs" / "tutorial.md"
    lines = {line for path in DOCUMENTS if path != tutorial for line in commands(path)}
    return sorted(line for line in lines if line.split()[1] not in _ENDLESS)


@pytest.mark.parametrize("line", in_blocks())
def test_documented_commands_answer(team: Path, line: str) -> None:
    if line.startswith("verdict export"):
        run(team, "verdict run exam-service")  # writes what is exported
    if line.startswith("verdict run"):
        line += " exam-service"  # all of them are the main job's test
    if line.startswith(("verdict plan", "verdict calibrate")):
        line += " --help"  # minutes of simulations; tests of their own
    ended = run(team, line)
    assert ended.returncode in (0, 1, 3, 4), (ended.stdout, ended.stderr)
    assert "verdict failed" not in ended.stderr
    assert ended.stdout
