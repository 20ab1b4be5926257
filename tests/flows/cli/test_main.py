"""What ends with which exit code: no trouble and no mistake of ours looks like a decision.

Covers flows.cli.__main__, flows.cli.arguments, flows.cli.forget_command, flows.cli.gate_command,
flows.cli.run_command, flows.cli.spec_command, flows.cli.stdout.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flows.cli import main as cli
from flows.cli import main_job
from flows.formats.exit_codes import ExitCode
from flows.look.look_time import TimeInFuture, look_time
from flows.prefect_flows import pull_one, score_one
from flows.spec.experiment import Experiment
from flows.warehouse.connection import open_writer
from tests.places import PATIENCE_S, REPOSITORY
from tests.servers import own_process
from tests.servers.small_disk import small_disk

REQUESTS, USERS = "exam-service-canary", "quiz-format"


def verdict(root: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flows.cli", "--root", str(root), *arguments]
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


def workspace(root: Path, *names: str) -> Path:
    shutil.copytree(REPOSITORY / "demo", root / "demo")
    (root / "experiments").mkdir()
    for name in names:
        shutil.copy(REPOSITORY / "experiments" / f"{name}.yaml", root / "experiments")
    return root


def warn_of_a_file(root: Path) -> None:
    """Each pull says that one of the files has no rows."""
    (root / "demo" / "outcomes-none.csv").touch()
    spec = root / "experiments" / f"{USERS}.yaml"
    text = spec.read_text(encoding="utf-8")
    spec.write_text(text.replace("outcomes.parquet", "outcomes*"), encoding="utf-8")


def fill(disk: Path) -> None:
    """Leaves no room at all."""
    with (disk / "ballast").open("wb", buffering=0) as file:
        while True:
            try:
                file.write(b"x" * 4096)
            except OSError:
                return


CRASHES = (ZeroDivisionError("a mistake"), SystemExit(1), BaseException("a panic in Rust"))


@pytest.fixture(params=CRASHES, ids=lambda error: type(error).__name__)
def crash(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    def broken(*_: object, **__: object) -> None:
        raise request.param

    monkeypatch.setattr("flows.look.look.look_anew", broken)
    monkeypatch.setattr("flows.cli.main_job.pull_experiment", broken)
    return type(request.param).__name__


def test_crash_is_no_rollback(
    crash: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = workspace(tmp_path, REQUESTS)
    assert cli.main(["--root", str(root), "gate", REQUESTS]) == 2
    told = f"verdict failed, nothing was decided: {crash}"
    said = capsys.readouterr().err
    assert said.startswith(told)
    assert said.endswith("(--debug shows the traceback)\n")
    assert len(said.splitlines()) == 1
    for debugged in (["--debug", "gate"], ["gate", "--debug"]):
        assert cli.main(["--root", str(root), *debugged, REQUESTS]) == 2
        said = capsys.readouterr().err
        assert "Traceback" in said
        assert said.splitlines()[-1].startswith(told)


@pytest.mark.parametrize("arguments", [("gate", REQUESTS), ("run",), ("watch", REQUESTS, "--once")])
@pytest.mark.parametrize("output", ["/dev/full", "a reader that is gone"])
def test_verdict_that_can_not_be_printed_is_no_decision(
    tmp_path: Path, output: str, arguments: tuple[str, ...]
) -> None:
    root = workspace(tmp_path, REQUESTS)
    if output == "/dev/full":
        out = os.open(output, os.O_WRONLY)
    else:
        reader, out = os.pipe()
        os.close(reader)
    command = [sys.executable, "-m", "flows.cli", "--root", str(root), *arguments]
    ended = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, text=True, check=False)
    os.close(out)
    assert ended.returncode == 2
    (said,) = ended.stderr.splitlines()
    why = "No space left on device" if output == "/dev/full" else "Broken pipe"
    assert said == f"the output can't be printed: {why}; a verdict that was reached is recorded"
    # A run ends at its first line; the others print when all is done.
    assert list((root / "verdicts").glob("*/*.json")) or "run" in arguments


@pytest.mark.parametrize(
    ("experiment", "code", "shared"), [(USERS, 0, False), (USERS, 2, True), ("nosuch", 2, False)]
)
def test_standard_error_that_takes_no_more_is_no_rollback(
    tmp_path: Path, experiment: str, code: int, *, shared: bool
) -> None:
    """A log on a full disk, or `gate 2>&1 | head`: shared, the answer is lost as well."""
    root = workspace(tmp_path, USERS)
    warn_of_a_file(root)
    command = [sys.executable, "-m", "flows.cli", "--root", str(root), "gate", experiment]
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        out = full if shared else subprocess.PIPE
        ended = subprocess.run(command, stdout=out, stderr=full, text=True, check=False)
    assert ended.returncode == code
    assert shared or ended.stdout.startswith(f"{USERS}: promote") is (code == 0)


def test_closed_standard_error_leaves_the_answer_alone(tmp_path: Path) -> None:
    root = workspace(tmp_path, USERS)
    warn_of_a_file(root)
    command = f"exec {sys.executable} -m flows.cli --root {root} gate {USERS} --json 2>&-"
    ended = subprocess.run(command, shell=True, stdout=subprocess.PIPE, check=False)
    assert ended.returncode == 0
    assert json.loads(ended.stdout)["decision"] == "promote"


def test_crash_whose_traceback_can_not_be_printed_is_no_rollback(
    crash: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = workspace(tmp_path, REQUESTS)
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stderr", full)
        assert cli.main(["--root", str(root), "--debug", "gate", REQUESTS]) == 2, crash


@pytest.mark.parametrize(
    "command",
    [
        ("completion", "bash"),
        ("schema",),
        ("export", "--dictionary"),
        ("analyze", str(REPOSITORY / "flows" / "project" / "template" / "sums.csv"), "--json"),
    ],
)
def test_text_whose_reader_has_seen_enough_is_no_trouble(command: tuple[str, ...]) -> None:
    """`| head`; a full disk is."""
    reader, out = os.pipe()
    os.close(reader)
    for stdout, code in ((out, 0), (os.open("/dev/full", os.O_WRONLY), 2)):
        ended = subprocess.run(
            [sys.executable, "-m", "flows.cli", *command],
            stdout=stdout, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
        os.close(stdout)
        assert ended.returncode == code
        assert bool(ended.stderr) is bool(code)


def test_crash_in_one_experiment_does_not_stop_the_others(
    crash: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = workspace(tmp_path, REQUESTS, USERS)
    assert cli.main(["--root", str(root), "run"]) == 2
    said = capsys.readouterr().err
    for name in (REQUESTS, USERS):
        assert f"{name}: failed, nothing was decided: {crash}" in said
    assert "Traceback" not in said
    cli.main(["--root", str(root), "run", "--debug"])
    assert capsys.readouterr().err.count("Traceback") >= 2


def test_list_of_users_that_can_not_be_read_is_told_without_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    latin = tmp_path / "latin"
    latin.write_bytes(b"caf\xe9\n")
    for file, told in (
        (tmp_path / "none", "can't be read: No such file or directory"),
        (tmp_path, "can't be read: Is a directory"),
        (latin, "byte 3 is not UTF-8; save it as UTF-8"),
    ):
        assert cli.main(["--root", str(tmp_path), "forget", "--from", str(file)]) == 2
        assert capsys.readouterr().err == f"{file}:1: {told}\n"


def test_installation_that_is_not_whole_is_no_rollback(tmp_path: Path) -> None:
    (tmp_path / "duckdb.py").write_text("raise ImportError('not for this machine')\n")
    path = os.pathsep.join([str(tmp_path), str(REPOSITORY)])
    done = verdict(tmp_path, "gate", REQUESTS, PYTHONPATH=path)
    assert done.returncode == 2
    assert "not for this machine" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("verdict failed, nothing was decided: Import")


@pytest.mark.parametrize(
    "at", ["0001-01-01T00:00:00+14:00", "0001-01-01", "1969-12-31", "9999-12-31"]
)
def test_time_before_all_times_is_wrong_usage(tmp_path: Path, at: str) -> None:
    done = own_process.verdict("--root", tmp_path, "gate", REQUESTS, "--at", at)
    assert done.returncode == 2
    assert "is not a time" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [("gate", REQUESTS), ("run",)])
def test_verdicts_that_is_a_file_is_one_line(tmp_path: Path, command: tuple[str, ...]) -> None:
    root = workspace(tmp_path, REQUESTS)
    (root / "verdicts").touch()
    done = own_process.verdict("--root", root, *command)
    assert done.returncode == 2
    assert f"{root}/verdicts/{REQUESTS}/" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_full_disk_under_the_verdicts_is_one_line(tmp_path: Path) -> None:
    root = workspace(tmp_path, REQUESTS)
    with small_disk(root / "verdicts", megabytes=0.25) as disk:
        (disk / REQUESTS).mkdir()
        fill(disk)
        done = own_process.verdict("--root", root, "gate", REQUESTS)
        assert done.returncode == 2
        assert "can't be written: No space left on device" in done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert list((disk / REQUESTS).iterdir()) == []
        (disk / "ballast").unlink()
        assert own_process.verdict("--root", root, "gate", REQUESTS).returncode == 0


def test_full_disk_for_temporary_files_stops_only_who_needs_it(tmp_path: Path) -> None:
    root = workspace(tmp_path / "root", REQUESTS, USERS)
    with small_disk(tmp_path / "tmp", megabytes=0.25) as disk:
        (disk / "ballast").write_bytes(b"x" * 200 * 1024)
        done = verdict(root, "run", TMPDIR=str(disk))
        assert done.returncode == 2
        assert f"{USERS}: users' rows can't be kept aside in {disk}: " in done.stderr
        assert "No space left on device" in done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert (root / "verdicts" / REQUESTS).is_dir()
        assert [path.name for path in disk.iterdir()] == ["ballast"]
    assert own_process.verdict("--root", root, "gate", USERS).returncode == 0


@pytest.mark.parametrize(
    "command",
    [
        ("gate", REQUESTS, "--at", "2099-01-01"),
        ("run", "--at", "2099-01-01"),
        ("pull", "--until", "2099-01-01"),
        ("watch", REQUESTS, "--at", "2099-01-01"),
    ],
    ids=lambda command: command[0],
)
def test_time_to_come_is_refused_before_anything_is_recorded(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    root = workspace(tmp_path, REQUESTS)
    done = own_process.verdict("--root", root, *command)
    assert done.returncode == 2
    assert done.stderr.startswith("2099-01-01 00:00:00 UTC is in the future")
    assert len(done.stderr.splitlines()) == 1
    assert not (root / "verdicts").exists()
    assert not (root / "var").exists()


def test_prefect_refuses_a_time_to_come_too(tmp_path: Path) -> None:
    to_come = datetime(2099, 1, 1)  # noqa: DTZ001  # as a person may write it in Prefect's form
    for task in (pull_one, score_one):
        with pytest.raises(TimeInFuture):
            task.fn(REQUESTS, str(tmp_path), to_come)


def test_clock_that_is_a_little_ahead_is_borne() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    ahead = now + timedelta(seconds=59)
    assert look_time(ahead, now=now) == ahead
    assert look_time(None, now=now) == now


def test_numpys_warnings_are_no_words_for_people() -> None:
    """Whatever a computation warns of: an unknown number is said in the verdict."""
    code = (
        "import numpy, flows.cli.main as main\n"
        "main._run = lambda arguments: int(numpy.isnan(numpy.log(numpy.array([-1.0]))).sum())\n"
        "raise SystemExit(main.main())\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (1, "")


@pytest.mark.parametrize(
    ("fields", "is_remarked"),
    [
        ("role: guardrail", True),
        ("role: guardrail, better: higher", False),
        ("role: guardrail, better: lower", False),
        ("role: goal", False),
    ],
)
def test_metric_without_a_direction_is_remarked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], fields: str, is_remarked: bool
) -> None:
    """A guardrail on refunds would roll back when there are fewer."""
    spec = tmp_path / "shop.yaml"
    spec.write_text(
        "experiment: shop\nservice: shop\nvariants: {a: {}, b: {}}\nsplit: {a: 50, b: 50}\n"
        f"metrics:\n  refunded: {{kind: count, outcome: refunded, margin: 2%, {fields}}}\n"
        "plan: {start: 2026-10-01T00:00:00Z, duration: 14d}\n"
        "sources: {users: {aggregates: sums.csv}}\n"
    )
    assert cli.main(["--root", str(tmp_path), "validate", str(spec)]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{spec}: ok\n")
    assert ("metrics.refunded: no `better`, so lower values are harm" in said) == is_remarked


def test_interrupted_run_judges_nothing_more_and_says_so_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C during a query: DuckDB makes a failure of it, after which others would go on."""
    root = workspace(tmp_path, REQUESTS, USERS)
    pulled: list[str] = []

    def pull(spec: Experiment, warehouse: Path, **_: object) -> None:
        pulled.append(spec.experiment)
        with open_writer(warehouse):
            raise RuntimeError("Query interrupted")

    monkeypatch.setattr(main_job, "pull_experiment", pull)
    assert cli.main(["--root", str(root), "run"]) == ExitCode.INTERRUPTED
    assert pulled == [REQUESTS]
    said = capsys.readouterr().err
    assert said == "interrupted; verdicts that were reached are recorded\n"


def test_nobody_is_forgotten_in_a_folder_that_is_no_project(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the wrong one it would say that users are excluded, and their project would keep them."""
    assert cli.main(["--root", str(tmp_path), "forget", "1234"]) == 2
    assert "name the project's folder by --root" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
