"""`verdict init`, and manifests beside a spec on every run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import chdir
from pathlib import Path
from unittest.mock import patch

import jsonschema
import pytest
import yaml

from flows.spec.schema import experiment_schema
from flows.workspace.experiments import load_spec
from tests.places import REPOSITORY
from tests.servers import own_process

SPLIT = """\
apiVersion: split.smi-spec.io/v1alpha2
kind: TrafficSplit
metadata: {{name: exam-service-canary, namespace: edtech-production}}
spec:
  service: exam-service
  backends:
  - {{service: exam-service-stable, weight: {stable}}}
  - {{service: exam-service-canary, weight: {canary}}}
"""
WITHOUT_SPLIT = """\
experiment: exam
service: exam-service
namespace: edtech-production
mesh: istio
variants:
  exam-service-stable: {version: v2.0.0}
  exam-service-canary: {version: v2.1.0}
manifests: [split.yaml]
sources:
  requests: {recording: ../demo/requests.parquet, scrape_interval: 2s}
"""


def verdict(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """In the folder, without any program to ask."""
    with chdir(root), patch.dict(os.environ, PATH=""):
        return own_process.verdict("--root", root, *arguments)


def process(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The same, as a process that knows nothing of the environment."""
    return subprocess.run(
        [sys.executable, "-m", "flows.cli", "--root", str(root), *arguments],
        cwd=root,
        env={"PATH": "", "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "split.yaml"
    path.write_text(SPLIT.format(stable=95, canary=5))
    return path


def test_a_manifest_becomes_a_spec_that_is_valid(tmp_path: Path, manifest: Path) -> None:
    done = process(tmp_path, "init", "--from", manifest.name, "--prometheus", "http://p:9090")
    assert (done.returncode, done.stderr) == (0, "")
    path = tmp_path / "experiments" / "exam-service-canary.yaml"
    spec = load_spec(path)
    assert spec.baseline == "exam-service-stable"
    assert spec.split == {"exam-service-stable": 95.0, "exam-service-canary": 5.0}
    assert "check the 1 line marked CHECK" in done.stdout
    assert verdict(tmp_path, "validate").stdout == f"{path}: ok\n"
    assert verdict(tmp_path, "validate", "exam-service-canary").stdout == f"{path}: ok\n"
    jsonschema.validate(yaml.safe_load(path.read_text()), json.loads(experiment_schema()))


def test_an_output_file_names_its_experiment(tmp_path: Path, manifest: Path) -> None:
    path = tmp_path / "experiments" / "other.yaml"
    done = verdict(tmp_path, "init", "--from", str(manifest), "--output", str(path))
    assert (done.returncode, load_spec(path).experiment) == (0, "other"), done


@pytest.mark.parametrize("field", ["service", "route", "strategy", "name", "prometheus", "output"])
def test_what_is_about_manifests_writes_no_example_without_them(tmp_path: Path, field: str) -> None:
    refused = verdict(tmp_path, "init", f"--{field}", "shop")
    said = f"--{field} is about manifests: name their files by --from\n"
    assert (refused.returncode, refused.stderr) == (2, said)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten_unless_told(tmp_path: Path, manifest: Path) -> None:
    path = tmp_path / "experiments" / "exam-service-canary.yaml"
    path.parent.mkdir()
    path.write_text("mine")
    refused = verdict(tmp_path, "init", "--from", manifest.name)
    assert (refused.returncode, path.read_text()) == (2, "mine")
    assert "is there already; --force overwrites it" in refused.stderr
    assert verdict(tmp_path, "init", "--from", manifest.name, "--force").returncode == 0
    assert path.read_text() != "mine"


def test_a_spec_that_is_not_right_is_not_written(tmp_path: Path, manifest: Path) -> None:
    path = tmp_path / "experiments" / "exam-service-canary.yaml"
    command = ("init", "--from", manifest.name, "--force", "--prometheus", "prometheus")
    refused = verdict(tmp_path, *command)
    assert refused.returncode == 2
    assert "sources.requests.prometheus" in refused.stderr
    assert not path.exists()
    path.write_text("mine")
    assert verdict(tmp_path, *command).returncode == 2
    assert path.read_text() == "mine"


def test_of_several_splits_one_must_be_named(tmp_path: Path, manifest: Path) -> None:
    text = manifest.read_text()
    manifest.write_text(f"{text}---\n{text.replace('exam-service', 'quiz-service')}")
    asked = verdict(tmp_path, "init", "--from", manifest.name)
    assert asked.returncode == 2
    assert "2 splits fit; say which with --service NAME or --route TEXT" in asked.stderr
    assert "service quiz-service, quiz-service-stable 95" in asked.stderr
    done = verdict(tmp_path, "init", "--from", manifest.name, "--service", "quiz-service")
    assert done.returncode == 0


def test_a_manifest_that_splits_nothing_is_explained(tmp_path: Path, manifest: Path) -> None:
    manifest.write_text("kind: ConfigMap\napiVersion: v1\nmetadata: {name: x}\n")
    done = verdict(tmp_path, "init", "--from", manifest.name)
    assert done.returncode == 2
    assert "nothing splits traffic between two versions" in done.stderr
    manifest.write_text("a: ]")
    broken = verdict(tmp_path, "init", "--from", manifest.name)
    assert (broken.returncode, "split.yaml:1: is not YAML" in broken.stderr) == (2, True)


def with_spec(root: Path, text: str) -> Path:
    (root / "experiments").mkdir()
    (root / "demo").symlink_to(REPOSITORY / "demo")
    (root / "split.yaml").rename(root / "experiments" / "split.yaml")
    path = root / "experiments" / "exam.yaml"
    path.write_text(text)
    return path


def test_a_spec_without_a_split_has_that_of_its_manifest(tmp_path: Path, manifest: Path) -> None:
    path = with_spec(tmp_path, WITHOUT_SPLIT)
    assert load_spec(path).split == {"exam-service-stable": 95.0, "exam-service-canary": 5.0}


def test_a_manifest_that_says_otherwise_is_told_on_every_run(
    tmp_path: Path, manifest: Path
) -> None:
    split = "split: {exam-service-stable: 75, exam-service-canary: 25}\n"
    path = with_spec(tmp_path, WITHOUT_SPLIT + split)
    told = "has exam-service-stable 95, exam-service-canary 5, the spec exam-service-stable 75"
    assert told in verdict(tmp_path, "validate", str(path)).stdout
    gate = verdict(tmp_path, "gate", "exam", "--json", "--at", "2026-11-23T17:32:28Z")
    assert any(told in note for note in json.loads(gate.stdout)["notes"])


def test_a_manifest_that_carries_any_of_the_stages_agrees(tmp_path: Path, manifest: Path) -> None:
    stages = """\
plan:
  stages:
    - {duration: 5m, weights: {exam-service-stable: 95, exam-service-canary: 5}}
    - {duration: 5m, weights: {exam-service-stable: 50, exam-service-canary: 50}}
"""
    path = with_spec(tmp_path, WITHOUT_SPLIT + stages)
    assert verdict(tmp_path, "validate", str(path)).stdout == f"{path}: ok\n"


def test_mistakes_in_a_manifest_are_listed_with_the_spec(tmp_path: Path, manifest: Path) -> None:
    manifest.write_text(manifest.read_text().replace("service: exam-service\n", "servise: exam\n"))
    path = with_spec(tmp_path, WITHOUT_SPLIT)
    shown = verdict(tmp_path, "validate", str(path)).stdout
    assert "spec.servise: unknown field 'servise' (did you mean 'service'?)" in shown


def test_a_missing_manifest_is_named(tmp_path: Path, manifest: Path) -> None:
    path = with_spec(tmp_path, WITHOUT_SPLIT.replace("split.yaml", "gone.yaml"))
    done = verdict(tmp_path, "validate", str(path))
    assert done.returncode == 2
    assert "gone.yaml:1: can't be read: No such file" in done.stdout


def test_example_rolls_back_a_treatment_with_more_refunds(tmp_path: Path) -> None:
    assert verdict(tmp_path, "init").returncode == 0
    sums = tmp_path / "experiments" / "sums.csv"
    sums.write_text(sums.read_text().replace("20000,408", "20000,1400"))
    judged = verdict(tmp_path, "gate", "example")
    assert (judged.returncode, "refunded: treatment has 7.00 %" in judged.stdout) == (1, True)
