"""Specs that ask for what isn't there: `verdict gate` says what there is instead."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.builders.planted_series import Planted
from tests.places import REPOSITORY
from tests.servers.own_process import verdict
from tests.servers.real_servers import prometheus_with

NAME = "exam-service-canary"
LABELS = "destination_version or destination_canonical_revision"


def gate(root: Path, name: str = NAME, *more: str) -> CompletedProcess[str]:
    return verdict("--root", root, "gate", name, *more)


def reasons(done: CompletedProcess[str]) -> list[str]:
    """What the gate gave as reasons of an invalid verdict."""
    assert done.returncode == 4, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    # Recorded traffic is of long ago, which a note says after them.
    lines = [line for line in done.stdout.splitlines()[1:] if "note: judged as of" not in line]
    return [line.removeprefix("  - ") for line in lines]


def recorded(root: Path, name: str, *changes: tuple[str, str]) -> Path:
    """A workspace with one of the repository's experiments, changed, on recorded traffic."""
    shutil.copytree(REPOSITORY / "demo", root / "demo")
    (root / "experiments").mkdir()
    text = (REPOSITORY / "experiments" / f"{name}.yaml").read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (root / "experiments" / f"{name}.yaml").write_text(text)
    return root


def test_version_that_no_series_has_is_named_with_those_that_exist(tmp_path: Path) -> None:
    root = recorded(tmp_path, NAME, ("v2.1.0}", "v2.1.9}"))
    said = reasons(gate(root))
    assert said[0] == (
        f'variant canary: no series of exam-service has {LABELS} "v2.1.9"; '
        "the values that exist are v2.0.0, v2.1.0"
    )
    assert "no requests of canary up to the look" in said
    # Also when nothing is left to pull, and in the verdict file.
    assert reasons(gate(root)) == said
    (path,) = (root / "verdicts" / NAME).glob("*.json")
    assert json.loads(path.read_text())["reasons"] == said


def test_scheduled_run_says_it_too(tmp_path: Path) -> None:
    root = recorded(tmp_path, NAME, ("v2.1.0}", "v2.1.9}"))
    assert verdict("--root", root, "run").returncode == 0
    (path,) = (root / "verdicts" / NAME).glob("*.json")
    assert '"v2.1.9"; the values that exist are' in json.loads(path.read_text())["reasons"][0]


def test_other_meshes_and_labels_are_named_as_the_spec_has_them(tmp_path: Path) -> None:
    root = recorded(
        tmp_path / "linkerd",
        "progress-service-canary",
        ("{version: progress-service-canary}", "{version: progress-service-canari}"),
    )
    said = reasons(gate(root, "progress-service-canary"))
    # Inbound, Linkerd names no service. Of many names the closest are said.
    assert said[0].startswith("variant canary: no series in edtech-production has deployment or ")
    assert '"progress-service-canari"; the values that exist are ' in said[0]
    assert "progress-service-canary, progress-service-stable" in said[0]
    tier = "canary: {version: v2.1.0, labels: {destination_app: premium}}"
    root = recorded(tmp_path / "istio", NAME, ("canary: {version: v2.1.0}", tier))
    said = reasons(gate(root))
    assert 'has destination_app "premium"; the values that exist are exam-service' in said[0]


def test_no_version_of_the_spec_at_all_is_an_error_that_names_them(tmp_path: Path) -> None:
    root = recorded(tmp_path, NAME, ("v2.0.0", "v3"), ("v2.1.0", "v4"))
    done = gate(root)
    assert done.returncode == 2
    assert f'{LABELS} = "v3"; {LABELS} = "v4"' in done.stderr
    assert "versions that do exist: v2.0.0, v2.1.0" in done.stderr
    assert len(done.stderr.splitlines()) == 1


FUTURE = ("start: 2026-11-23T17:27:28Z", "start: 2099-03-01T08:00:00Z")


def test_plan_that_has_not_begun_says_when_it_does(tmp_path: Path) -> None:
    root = recorded(tmp_path, NAME, FUTURE)
    assert reasons(gate(root, NAME, "--at", "2026-11-23T17:32:28Z"))[0] == (
        "the plan starts at 2099-03-01 08:00:00 UTC, after this look (2026-11-23 17:32:28 UTC)"
    )
    assert "the plan starts at 2099-03-01 08:00:00 UTC" in reasons(gate(root))[0]
    # The looks are recorded when they were: else the one of 2099 would stay the latest.
    found = {path.name[:4] for path in (root / "verdicts" / NAME).glob("*.json")}
    assert "2099" not in found


def test_plan_of_users_that_has_not_begun_holds_and_says_when_it_does(tmp_path: Path) -> None:
    root = recorded(tmp_path, "adaptive-algorithm", FUTURE)
    done = gate(root, "adaptive-algorithm")
    assert done.returncode in (3, 4)
    assert "the plan starts at 2099-03-01 08:00:00 UTC, after this look" in done.stdout
    assert not list((root / "verdicts" / "adaptive-algorithm").glob("2099*"))


def test_latency_bound_without_a_bucket_edge_is_noted_with_the_edge_that_is_judged(
    tmp_path: Path,
) -> None:
    slow = "metrics: {slow: {kind: slow_share, above: 777ms}}\nplan:"
    root = recorded(tmp_path, NAME, ("plan:", slow))
    gate(root)
    (path,) = (root / "verdicts" / NAME).glob("*.json")
    (note,) = json.loads(path.read_text())["notes"]
    assert note.startswith("slow: slow is slower than 1000 ms, not 777 ms as asked for")


def test_good_data_has_no_such_reason(tmp_path: Path) -> None:
    done = gate(recorded(tmp_path, NAME))
    assert done.returncode == 0
    assert "values that exist" not in done.stdout
    assert "the plan starts" not in done.stdout


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus that knows thirteen versions of a service, and one of another."""
    versions = [f"v1.{number:02}" for number in range(13)]
    common = {
        "reporter": "destination",
        "destination_service_namespace": "edtech-production",
        "destination_workload": "exams",
        "response_code": "200",
    }
    series = [
        Planted(
            "istio_requests_total",
            {**common, "destination_service_name": service, "destination_version": version},
            10.0,
        )
        for service, some in (("exam-service", versions), ("other", ["v9"]))
        for version in some
    ]
    with prometheus_with(series, tmp_path_factory.mktemp("prometheus")) as url:
        yield url


def live(root: Path, url: str, canary: str) -> Path:
    (root / "experiments").mkdir(parents=True)
    (root / "experiments" / "exams.yaml").write_text(
        "experiment: exams\nservice: exam-service\nnamespace: edtech-production\nmesh: istio\n"
        f"variants: {{stable: {{version: v1.00}}, canary: {{version: {canary}}}}}\n"
        "plan: {duration: 10m}\n"
        f'sources:\n  requests: {{prometheus: "{url}"}}\n'
    )
    return root


def test_live_server_is_asked_which_versions_there_are(prometheus: str, tmp_path: Path) -> None:
    """The first ten; another service's are none of them."""
    said = reasons(gate(live(tmp_path, prometheus, "v9"), "exams"))
    first = ", ".join(f"v1.{number:02}" for number in range(10))
    assert said[0] == (
        f'variant canary: no series of exam-service has {LABELS} "v9"; '
        f"the values that exist are {first} and 3 more"
    )


def test_live_server_that_has_the_version_is_not_blamed(prometheus: str, tmp_path: Path) -> None:
    done = gate(live(tmp_path, prometheus, "v1.07"), "exams")
    assert "values that exist" not in done.stdout + done.stderr
