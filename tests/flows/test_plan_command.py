"""`verdict plan`: figures from the history, or from what a person expects."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
AT = "2026-11-23T17:32:28Z"


def _verdict(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flows.cli", "--root", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def pulled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("planned")
    shutil.copytree(REPOSITORY / "demo", root / "demo")
    shutil.copytree(REPOSITORY / "experiments", root / "experiments")
    done = _verdict(root, "pull", "quiz-format", "exam-service-canary", "--until", AT)
    assert done.returncode == 0, done.stderr
    return root


def test_history_says_what_the_experiment_can_see(pulled: Path) -> None:
    done = _verdict(pulled, "plan", "quiz-format", "--at", AT, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    (errors,) = document["requests"]
    assert errors["requests_per_second"] == pytest.approx(29.5, abs=1.5)
    assert errors["bad"] == pytest.approx(0.0038, abs=0.0005)
    half = {row["harm"]: row for row in errors["rows"] if row["share"] == 0.5}
    assert half[0.0]["promoted"] > 0.9
    assert half[max(half)]["median_minutes"] < 3
    (completion,) = document["users"]
    assert completion["detectable_fixed"] < completion["detectable_anytime"] < 0.1
    assert completion["users_for_margin"] < completion["users_for_margin_anytime"]


def test_people_read_a_table_and_sentences(pulled: Path) -> None:
    shown = _verdict(pulled, "plan", "exam-service-canary", "--at", AT).stdout
    assert "exam-service-canary: what it can see (from the warehouse: 75 buckets" in shown
    assert "at 50% of the traffic, 5.5 points more are found within" in shown
    assert all(len(line) <= 80 for line in shown.splitlines() if "│" in line)


def test_a_new_experiment_is_planned_by_what_is_expected(pulled: Path) -> None:
    fresh = pulled.parent / "fresh"
    shutil.copytree(pulled / "experiments", fresh / "experiments", dirs_exist_ok=True)
    refused = _verdict(fresh, "plan", "exam-service-canary")
    assert refused.returncode == 2
    assert "no history to plan with; pull it first" in refused.stderr
    given = ("--requests-per-second", "100", "--bad-share", "0.003", "--json")
    document = json.loads(_verdict(fresh, "plan", "exam-service-canary", *given).stdout)
    assert document["history"] == "as expected on the command line"
    assert {plan["requests_per_second"] for plan in document["requests"]} == {100.0}
    wrong = _verdict(fresh, "plan", "exam-service-canary", "--bad-share", "3")
    assert wrong.returncode == 2
    assert "must lie between 0 and 1" in wrong.stderr


def test_the_stages_lie_between_the_shares_that_they_go_through(pulled: Path) -> None:
    done = _verdict(pulled, "plan", "exam-service-canary", "--at", AT, "--json")
    (errors, _) = json.loads(done.stdout)["requests"]
    found = {
        "stages" if one["as_planned"] else one["share"]: one["harm"] for one in errors["detectable"]
    }
    assert found[0.5] < found["stages"] < found[0.05]
    assert found[0.5] > errors["margin"]


def test_users_without_a_history_are_planned_by_what_is_expected(
    pulled: Path, tmp_path: Path
) -> None:
    expected = ("--users-per-day", "5000000", "--mean", "0.12", "--json")
    shutil.copytree(pulled / "experiments", tmp_path / "experiments")
    done = _verdict(tmp_path, "plan", "quiz-format", *expected)
    assert done.returncode == 0, done.stderr
    (completion,) = json.loads(done.stdout)["users"]
    assert completion["baseline"] == 0.12
    # Two arms of n/2 users, one-sided 2.5 %, power 80 %: 2.8 standard errors.
    n = completion["users_at_end"]
    assert completion["detectable_fixed"] == pytest.approx(
        2.8016 * (0.12 * 0.88 * 4 / n) ** 0.5, rel=1e-3
    )
