"""The main job on the recorded traffic, as `make demo` and a gate run it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import jsonschema
import pytest

from flows.look.verdict_document import verdict_schema
from flows.publish.marts import latest_marts
from tests.places import REPOSITORY
from tests.servers import own_process

EXPECTED = {
    "adaptive-algorithm": ("hold", 3),
    "exam-service-canary": ("promote", 0),
    "payment-service-blue-green": ("promote", 0),
    "progress-service-canary": ("rollback", 1),
    "quiz-format": ("promote", 0),
    "tagalog-support": ("invalid", 4),
}


def _verdict(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return own_process.verdict("--root", root, *arguments)


def _process(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flows.cli", "--root", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _copy(root: Path) -> Path:
    for folder in ("experiments", "demo"):
        shutil.copytree(REPOSITORY / folder, root / folder)
    return root


def _marts(root: Path) -> Path:
    marts = latest_marts(root / "var" / "marts")
    assert marts is not None
    return marts


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A finished main job: its workspace and what it printed."""
    root = _copy(tmp_path_factory.mktemp("job"))
    done = _process(root, "run")
    assert done.returncode == 0, done.stderr
    return root, done.stdout


def test_every_experiment_gets_the_verdict_it_deserves(job: tuple[Path, str]) -> None:
    root, printed = job
    for name, (decision, _) in EXPECTED.items():
        (path,) = (root / "verdicts" / name).glob("*.json")
        assert json.loads(path.read_text())["decision"] == decision
    assert "3 promote, 1 hold, 1 rollback, 1 invalid" in printed


def test_pulled_counts_equal_what_the_pods_answered(job: tuple[Path, str]) -> None:
    root, _ = job
    session = json.loads((root / "demo" / "session.json").read_text())["answered_by_pods"]
    with duckdb.connect(_marts(root), read_only=True) as con:
        rows = con.execute(
            "select experiment, variant, response_code, sum(requests) "
            "from request_counts group by all"
        ).fetchall()
    counted = {(e, v, code): int(n) for e, v, code, n in rows}
    for name in ("exam-service", "progress-service"):
        truth = session[name]
        pulled = {
            variant: {code: counted[f"{name}-canary", variant, code] for code in codes}
            for variant, codes in truth.items()
        }
        assert pulled == truth


@pytest.mark.parametrize("name", EXPECTED)
def test_gate_exits_by_the_decision_and_prints_why(job: tuple[Path, str], name: str) -> None:
    decision, code = EXPECTED[name]
    gate = _process if decision == "rollback" else _verdict
    done = gate(job[0], "gate", name)
    assert done.returncode == code
    first, *reasons = done.stdout.splitlines()
    assert first.startswith(f"{name}: {decision}")
    assert reasons
    assert not done.stderr


def test_gate_json_follows_the_published_schema(job: tuple[Path, str]) -> None:
    document: dict[str, Any] = json.loads(_verdict(job[0], "gate", "quiz-format", "--json").stdout)
    jsonschema.validate(document, json.loads(verdict_schema()))
    assert document["exit_code"] == 0


def test_same_look_gives_the_same_verdict_byte_for_byte(job: tuple[Path, str]) -> None:
    look = ("gate", "exam-service-canary", "--json", "--at", "2026-11-23T17:31:00Z")
    assert _process(job[0], *look).stdout == _process(job[0], *look).stdout != ""


def test_early_look_knows_nothing_of_what_came_later(job: tuple[Path, str], tmp_path: Path) -> None:
    look = ("gate", "progress-service-canary", "--json", "--at", "2026-11-23T17:28:48Z")
    late = json.loads(_verdict(job[0], *look).stdout)
    early = json.loads(_verdict(_copy(tmp_path / "early"), *look).stdout)
    assert late["decision"] == early["decision"] == "hold"
    assert late["metrics"] == early["metrics"]


def test_second_run_changes_no_count(job: tuple[Path, str]) -> None:
    root, _ = job
    query = (
        "select experiment, variant, sum(requests) from request_counts group by all order by all"
    )

    def counts() -> list[Any]:
        with duckdb.connect(_marts(root), read_only=True) as con:
            return con.execute(query).fetchall()

    before = counts()
    assert _verdict(root, "run").returncode == 0
    assert counts() == before


def test_one_failing_experiment_does_not_stop_the_others(tmp_path: Path) -> None:
    root = _copy(tmp_path)
    spec = root / "experiments" / "exam-service-canary.yaml"
    spec.write_text(spec.read_text().replace("requests.parquet", "nowhere.parquet"))
    done = _verdict(root, "run")
    assert done.returncode == 2
    assert "exam-service-canary: " in done.stderr
    assert "nowhere.parquet: no such recording" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(list((root / "verdicts").iterdir())) == len(EXPECTED) - 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("gate", "exam-servise-canary"), "did you mean 'exam-service-canary'?"),
        (("gate", "quiz-format", "--at", "yesterday"), "'yesterday' is not a time"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    job: tuple[Path, str], arguments: tuple[str, ...], said: str
) -> None:
    done = _verdict(job[0], *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_truncated_recording_is_one_error_and_writes_nothing(tmp_path: Path) -> None:
    root = _copy(tmp_path)
    recording = root / "demo" / "requests.parquet"
    recording.write_bytes(recording.read_bytes()[:50_000])
    done = _verdict(root, "gate", "exam-service-canary")
    assert done.returncode == 2, done.stdout
    assert "requests.parquet is not a whole Parquet file" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (root / "var" / "warehouse.duckdb").exists()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("v2.1.0}", "v2.1.9}", "no requests of canary up to the look"),
        ("2026-11-23T17", "2099-11-23T17", "no window has been pulled yet"),
        ("2026-11-23T17", "2026-11-24T17", "but the plan starts at 2026-11-24 17:27:28 UTC"),
    ],
    ids=["version that no series has", "start in the future", "recording of another day"],
)
def test_experiment_without_data_is_invalid_and_says_why(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    root = _copy(tmp_path)
    spec = root / "experiments" / "exam-service-canary.yaml"
    spec.write_text(spec.read_text().replace(old, new))
    done = _verdict(root, "gate", "exam-service-canary")
    assert done.returncode == 4, done.stderr
    assert said in done.stdout
