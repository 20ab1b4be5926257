"""`verdict watch`: the numbers on the screen are those of the warehouse.

Covers flows.cli.watch_command.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import pytest

from flows.cli.watch_screen import watch
from flows.workspace.paths import Workspace
from tests.places import REPOSITORY

AT = datetime(2026, 11, 23, 17, 32, 28, tzinfo=UTC)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("watched")
    shutil.copytree(REPOSITORY / "demo", folder / "demo")
    shutil.copytree(REPOSITORY / "experiments", folder / "experiments")
    return folder


def test_a_screen_shows_split_success_and_latency_of_the_stage(root: Path) -> None:
    (watched,) = watch(Workspace(root), "exam-service-canary", at=AT)
    session = json.loads((root / "demo" / "session.json").read_text())["answered_by_pods"]
    assert {each.variant for each in watched.variants} == set(session["exam-service"])
    shares = [each.share or 0.0 for each in watched.variants]
    assert sum(shares) == pytest.approx(1.0)
    for each in watched.variants:
        assert each.share == pytest.approx(each.configured, abs=0.06)
        assert each.success is not None
        assert 0.99 < each.success < 1.0
        assert each.p50 is not None
        assert each.p99 is not None
        assert each.p50.upper_ms <= each.p99.upper_ms < 100


def test_looks_come_one_after_the_other_at_the_plans_pace(root: Path) -> None:
    pauses: list[float] = []
    looks = list(islice(watch(Workspace(root), "exam-service-canary", sleep=pauses.append), 3))
    assert len(looks) == 3
    assert len(pauses) == 2
    assert all(0 <= pause <= 20 for pause in pauses)
    assert looks[-1].looks[-1].score == looks[0].looks[-1].score  # the plan is over


def test_a_script_gets_one_screen_and_an_unknown_name_one_line(root: Path) -> None:
    command = [sys.executable, "-m", "flows.cli", "--root", str(root), "watch"]
    shown = subprocess.run(
        [*command, "exam-service-canary", "--once", "--at", AT.isoformat()],
        capture_output=True,
        text=True,
        check=True,
        env={"COLUMNS": "80", "PATH": "/usr/bin:/bin"},
    ).stdout
    assert "exam-service-canary  2026-11-23 17:32:28 UTC  promote" in shown
    assert "score over time" in shown
    assert all(len(line) <= 80 for line in shown.splitlines())
    wrong = subprocess.run(
        [*command, "none", "--once"], capture_output=True, text=True, check=False
    )
    assert wrong.returncode == 2
    assert "Traceback" not in wrong.stderr


def test_rates_are_over_the_time_that_is_covered_by_scrapes(root: Path) -> None:
    """Minutes without samples, at the end or in between, are not minutes without requests."""
    (then,) = watch(Workspace(root), "exam-service-canary", at=AT)
    (later,) = watch(Workspace(root), "exam-service-canary", at=AT + timedelta(minutes=2))
    assert later.over_s == pytest.approx(then.over_s, abs=8)
    for one, other in zip(then.variants, later.variants, strict=True):
        assert other.requests_per_second == pytest.approx(one.requests_per_second, rel=0.05)
