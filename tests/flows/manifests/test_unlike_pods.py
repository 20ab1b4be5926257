"""Deployments that differ by more than the version are named; those that don't are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.manifests.read import read_manifests
from flows.manifests.unlike_pods import unlike_pods
from flows.spec.experiment import Experiment

SPEC = Experiment.model_validate(
    {
        "experiment": "web",
        "service": "web",
        "mesh": "istio",
        "variants": {"stable": {"version": "v1"}, "canary": {"version": "v2"}},
        "sources": {"requests": {"prometheus": "http://localhost:9090"}},
    }
)


def _deployment(version: str, replicas: int | None, cpu: Any) -> dict[str, Any]:
    container = {"name": "web", "image": "web:1", "resources": {"requests": {"cpu": cpu}}}
    template = {
        "metadata": {"labels": {"app": "web", "version": version}},
        "spec": {"containers": [container]},
    }
    size = {} if replicas is None else {"replicas": replicas}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": f"web-{version}"},
        "spec": {**size, "template": template},
    }


@pytest.mark.parametrize(
    ("stable", "canary", "said"),
    [
        ((1, "500m"), (1, "500m"), []),
        ((1, "500m"), (None, 0.5), []),
        ((9, "500m"), (1, "500m"), ["replicas: stable has 9, canary has 1"]),
        (
            (2, "1"),
            (2, "250m"),
            ["requests of cpu of container web: stable has 1, canary has 0.25"],
        ),
    ],
)
def test_other_pods_are_named(stable: Any, canary: Any, said: list[str], tmp_path: Path) -> None:
    objects = [_deployment("v1", *stable), _deployment("v2", *canary)]
    (tmp_path / "web.yaml").write_text(yaml.safe_dump_all(objects))
    found = list(unlike_pods(SPEC, read_manifests([tmp_path / "web.yaml"])))
    assert [sentence.partition(";")[0] for sentence in found] == said


def test_without_a_deployment_of_both_nothing_is_known(tmp_path: Path) -> None:
    (tmp_path / "web.yaml").write_text(yaml.safe_dump(_deployment("v1", 9, "1")))
    assert not list(unlike_pods(SPEC, read_manifests([tmp_path / "web.yaml"])))
