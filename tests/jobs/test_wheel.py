"""Installed from a wheel, outside of the repository: everything that the product needs is in it.

Covers flows.project.new_project.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client

from flows.cli.main import command_parser
from flows.workspace.experiments import load_spec
from tests.places import PATIENCE_S, REPOSITORY

MANIFESTS = sorted((REPOSITORY / "deploy" / "kubernetes").glob("*.yaml"))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the installed packages; what they need is shared with the tests."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=REPOSITORY, check=True, capture_output=True, timeout=PATIENCE_S)
    (wheel,) = folder.glob("*.whl")
    target = folder / "site"
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index"]
    subprocess.run([*install, "--target", str(target), str(wheel)], check=True, timeout=PATIENCE_S)
    return target


def verdict(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The installed command, run in a folder, knowing nothing of the repository."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(installed), "HOME": str(folder)}
    command = [sys.executable, str(installed / "bin" / "verdict"), *arguments]
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def test_an_empty_folder_becomes_a_project_with_a_verdict(installed: Path, tmp_path: Path) -> None:
    for arguments, told in (
        (("init",), "wrote experiments/example.yaml"),
        (("init", "--project"), "kept  experiments/example.yaml"),
        (("validate",), "example.yaml: ok"),
        (("gate", "example"), "example: promote"),
        (("run", "example"), "var/report/index.html"),
        (("doctor",), "ok      specs: 1 spec"),
    ):
        ended = verdict(installed, tmp_path, *arguments)
        assert (ended.returncode, ended.stderr) == (0, ""), arguments
        assert told in ended.stdout, arguments
    assert (tmp_path / "var" / "report" / "index.html").stat().st_size > 1000
    assert json.loads((tmp_path / "var/dashboards/split-verdict-fleet.json").read_text())
    where = "import flows, sql, dashboards; print(flows.__file__, *sql.__path__)"
    found = subprocess.run(
        [sys.executable, "-c", where],
        cwd=tmp_path,
        env={"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(REPOSITORY / "flows") not in found.stdout


def test_template_is_right() -> None:
    template = REPOSITORY / "flows" / "project" / "template"
    load_spec(template / "example.yaml")
    schedule = yaml.safe_load((template / "prefect.yaml").read_text())
    module, _, flow = schedule["deployments"][0]["entrypoint"].rpartition(".")
    source = REPOSITORY / (module.replace(".", "/") + ".py")
    assert f"def {flow}(root: str" in source.read_text()
    runs = [
        step["run"].replace('"$EXPERIMENT"', "example").split()
        for job in yaml.safe_load((template / "ci.yaml").read_text())["jobs"].values()
        for step in job["steps"]
        if step.get("run", "").startswith("verdict ")
    ]
    for run in runs:
        command_parser().parse_args(run[1:])
    assert ["verdict", "gate", "example"] in runs


def objects() -> list[dict[str, Any]]:
    return [one for path in MANIFESTS for one in yaml.safe_load_all(path.read_text())]


def pods() -> list[dict[str, Any]]:
    """The pod templates of all workloads."""
    specs = [one["spec"] for one in objects() if one["kind"] in {"Deployment", "CronJob"}]
    return [spec.get("jobTemplate", {"spec": spec})["spec"]["template"] for spec in specs]


_INNER = re.compile(r"(list|dict)[[(](?:str, )?(\w+)", re.IGNORECASE)


def mistakes(node: Any, kind: str, path: str) -> Iterator[str]:
    """Fields that Kubernetes' own models don't have, or that have another type there."""
    inner = _INNER.match(kind)
    if inner:
        wanted = list if inner[1].lower() == "list" else dict
        if not isinstance(node, wanted):
            yield f"{path}: must be a {wanted.__name__}"
            return
        for item in node.values() if isinstance(node, dict) else node:
            yield from mistakes(item, inner[2], f"{path}[]")
    elif hasattr(client, kind):
        model = getattr(client, kind)
        names = {written: name for name, written in model.attribute_map.items()}
        for key, value in node.items():
            if key not in names:
                yield f"{path}.{key}: {kind} has no such field"
            else:
                yield from mistakes(value, model.openapi_types[names[key]], f"{path}.{key}")
    elif kind in ("str", "int", "bool", "float") and type(node).__name__ != kind:
        yield f"{path}: is {node!r}, must be {kind}"


def test_kubernetes_accepts_the_objects() -> None:
    for one in objects():
        kind = f"V1{one['kind']}"
        assert list(mistakes(one, kind, one["kind"])) == []
        # Required fields: the client refuses an object without them.
        text = json.dumps(one)
        assert client.ApiClient().deserialize(text, kind, "application/json").metadata.name
    wrong = {"spec": {"replica": 1, "template": {"spec": {"containers": [{"args": "run"}]}}}}
    assert list(mistakes(wrong, "V1Deployment", "")) == [
        ".spec.replica: V1DeploymentSpec has no such field",
        ".spec.template.spec.containers[].args: must be a list",
    ]


def test_kubernetes_objects_fit_together() -> None:
    claims = {
        one["metadata"]["name"] for one in objects() if one["kind"] == "PersistentVolumeClaim"
    }
    (service,) = (one["spec"] for one in objects() if one["kind"] == "Service")
    (serving,) = (
        pod for pod in pods() if service["selector"].items() <= pod["metadata"]["labels"].items()
    )
    (port,) = serving["spec"]["containers"][0]["ports"]
    assert service["ports"][0]["targetPort"] == port["name"]
    assert str(port["containerPort"]) in serving["spec"]["containers"][0]["args"]
    assert len(pods()) == 2
    for pod in pods():
        volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
        assert volumes["work"]["persistentVolumeClaim"]["claimName"] in claims
        for container in pod["spec"]["containers"]:
            command_parser().parse_args(container["args"])
            assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes)
            probes = [container[name] for name in container if name.endswith("Probe")]
            assert {probe["httpGet"]["path"] for probe in probes} <= {"/healthz", "/readyz"}
            assert container["securityContext"]["readOnlyRootFilesystem"]
        security = pod["spec"]["securityContext"]
        assert security["runAsNonRoot"]
        user = f"USER {security['runAsUser']}"
        assert user in (REPOSITORY / "deploy" / "Containerfile").read_text().splitlines()
