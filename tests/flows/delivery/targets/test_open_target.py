"""What a target calls the variants of a spec."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.delivery.targets.git_manifest import GitManifest
from flows.delivery.targets.open_target import open_target
from flows.workspace.experiments import load_spec
from tests.builders.delivery_workspace import SPEC


@pytest.mark.parametrize(
    ("variant", "names", "name"),
    [
        ("{version: v2.1.0}", "", "v2.1.0"),
        ("{service: exam-canary}", "", "exam-canary"),
        ("{labels: {destination_workload: exam}}", "", "canary"),
        ("{version: v2.1.0}", "names: {canary: new}, ", "new"),
    ],
)
def test_a_variant_goes_by_its_version_its_service_or_its_name(
    tmp_path: Path, variant: str, names: str, name: str
) -> None:
    text = SPEC.replace("canary: {version: v2.1.0}", f"canary: {variant}")
    git = f"{{{names}git: exam.yaml, object: VirtualService/exam}}"
    path = tmp_path / "exam.yaml"
    path.write_text(text.replace("{envoy: ../routes.json}", git))
    target = open_target(load_spec(path), spec_dir=tmp_path)
    assert isinstance(target, GitManifest)
    assert target.names["canary"] == name
