"""`verdict plan`: figures from the history, or from what a person expects.

Covers flows.power.expected, flows.power.planning_document, flows.power.request_power,
flows.power.user_power.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest

from analysis.power import detection
from flows.cli.plan_command import _span, cannot_find
from flows.power import request_power
from flows.power.planning_document import (
    DetectableHarm,
    DetectionRow,
    LateDetection,
    PlanningDocument,
    RequestPlan,
)
from flows.workspace.paths import Workspace
from tests.places import REPOSITORY
from tests.servers.own_process import verdict

AT = "2026-11-23T17:32:28Z"


def _verdict(root: Path, *arguments: str) -> CompletedProcess[str]:
    return verdict("--root", root, *arguments)


def test_a_process_says_the_same(pulled: Path) -> None:
    arguments = ["--root", str(pulled), "plan", "tagalog-support", "--users-per-day", "x"]
    command = [sys.executable, "-m", "flows.cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == verdict(*arguments).stderr.splitlines()[-1]


@pytest.fixture(scope="module")
def pulled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("planned")
    shutil.copytree(REPOSITORY / "demo", root / "demo")
    shutil.copytree(REPOSITORY / "experiments", root / "experiments")
    done = _verdict(root, "pull", "quiz-format", "exam-service-canary", "--until", AT)
    assert done.returncode == 0, done.stderr
    return root


@pytest.fixture(autouse=True, scope="module")
def _simulated_once() -> Iterator[None]:
    """The same question of the same workspace is simulated once, in a quarter of the runs.

    Each takes seconds; what a simulation is worth is test_detection.py's.
    """
    known: dict[str, PlanningDocument] = {}
    plan = request_power.plan_experiment

    def once(workspace: Workspace, name: str, **asked: Any) -> PlanningDocument:
        key = repr((workspace, name, asked))
        if key not in known:
            known[key] = plan(workspace, name, **asked)
        return known[key]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(request_power, "plan_experiment", once)
        simulate = partial(detection.simulate_detection, runs=50)
        patched.setattr(request_power, "simulate_detection", simulate)
        patched.setattr(request_power, "_LATE_RUNS", 25)
        patched.setattr(detection, "_COARSE_RUNS", 25)
        yield


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


def test_users_after_the_time_asked_for_are_not_counted(pulled: Path, tmp_path: Path) -> None:
    """Users come for five minutes, fewer new ones with each; at the end's rate there'd be half."""
    shutil.copytree(pulled, tmp_path, dirs_exist_ok=True)
    spec = tmp_path / "experiments" / "quiz-format.yaml"
    errors = "  errors: {kind: error_share, margin: 0.01}\n"
    assert errors in spec.read_text()
    spec.write_text(spec.read_text().replace(errors, ""))  # whose plan takes seconds
    whole, half = (
        json.loads(_verdict(tmp_path, "plan", "quiz-format", "--at", at, "--json").stdout)
        for at in (AT, "2026-11-23T17:29:58Z")
    )
    rates = [document["users"][0]["users_per_day"] for document in (whole, half)]
    assert rates[1] == pytest.approx(rates[0], rel=0.4)
    users = [
        int(document["history"].partition(": ")[2].removesuffix(" users").replace(",", ""))
        for document in (whole, half)
    ]
    assert users[0] / 2 < users[1] < 0.8 * users[0]


def test_people_read_a_table_and_sentences(pulled: Path) -> None:
    shown = _verdict(pulled, "plan", "exam-service-canary", "--at", AT).stdout
    assert "exam-service-canary: detectable effects (from the warehouse: 75 buckets" in shown
    assert "at 50% of the traffic, 5.5 points more are found within" in shown
    late = [line for line in shown.splitlines() if "points more that begin after" in line]
    assert len(late) == 4, shown
    assert all("at the plan's stages" in line and "are found" in line for line in late), late
    assert all(len(line) <= 80 for line in shown.splitlines() if "│" in line)


def test_a_new_experiment_is_planned_by_what_is_expected(pulled: Path) -> None:
    fresh = pulled.parent / "fresh"
    shutil.copytree(pulled / "experiments", fresh / "experiments", dirs_exist_ok=True)
    spec = fresh / "experiments" / "exam-service-canary.yaml"
    text, stage = spec.read_text(), re.compile(r"duration: 100s")
    assert len(stage.findall(text)) == 3
    spec.write_text(stage.sub("duration: 40s", text))  # fewer buckets are simulated sooner
    refused = _verdict(fresh, "plan", "exam-service-canary")
    assert refused.returncode == 2
    assert "no history to plan with; pull it first" in refused.stderr
    given = ("--requests-per-second", "100", "--bad-share", "0.003", "--json")
    document = json.loads(_verdict(fresh, "plan", "exam-service-canary", *given).stdout)
    assert document["history"] == "the command line"
    assert {plan["requests_per_second"] for plan in document["requests"]} == {100.0}
    wrong = _verdict(fresh, "plan", "exam-service-canary", "--bad-share", "3")
    assert wrong.returncode == 2
    assert "must be above 0 and below 1" in wrong.stderr


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


def _planned(folder: Path, *options: str, spec: str | None = None) -> dict[str, Any]:
    """The figures of a spec without a history, or of quiz-format with its plan replaced."""
    (folder / "experiments").mkdir(parents=True, exist_ok=True)
    text = (REPOSITORY / "experiments" / "quiz-format.yaml").read_text()
    (folder / "experiments" / "quiz-format.yaml").write_text(text if spec is None else spec)
    done = _verdict(folder, "plan", "quiz-format", *options, "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    document: dict[str, Any] = json.loads(done.stdout)
    return document


SPEC = """
experiment: quiz-format
service: quiz
variants: {{a: {{}}, b: {{}}}}
{split}
metrics:
  bought: {{kind: proportion, outcome: buy, window: {window}}}
  spend: {{kind: mean, outcome: spend, margin: 5%, role: guardrail, window: 1h}}
plan: {{{plan}, look_every: 1d, bucket: 1h}}
sources:
  exposures: {{files: "exposures-*.parquet"}}
  outcomes: {{files: "outcomes-*.parquet"}}
"""
EVEN = "split: {a: 50, b: 50}"
GIVEN = ("--users-per-day", "1000", "--mean", "bought=0.2", "--mean", "spend=-3", "--sd", "spend=9")


def test_users_have_a_table_of_shares_against_time(tmp_path: Path) -> None:
    spec = SPEC.format(split=EVEN, window="1d", plan="duration: 20d")
    bought, spend = _planned(tmp_path, *GIVEN, spec=spec)["users"]
    assert bought["users_at_end"] == 19_000
    assert spend["baseline"] == -3
    assert spend["margin"] == pytest.approx(0.15)
    rows = bought["rows"]
    assert [row["share"] for row in rows] == [0.01, 0.05, 0.10, 0.25, 0.50, 0.50]
    assert rows[-1] | {"as_planned": False} == rows[-2]
    for row in rows:
        assert row["smallest_fixed"] < row["smallest_anytime"]
    # The judge rolls a guardrail back beyond its margin only, and never by one look at the end.
    for row in spend["rows"]:
        assert row["smallest_fixed"] is None
        assert row["smallest_anytime"] > spend["margin"]
        assert min(row["effects"]) > spend["margin"]
    assert spend["power_for_margin"] is None
    assert spend["users_for_margin_anytime"] > 0
    for row in rows:
        known = [day for day in row["days"] if day is not None]
        assert known == sorted(known, reverse=True)
    smallest = [row["smallest_anytime"] for row in rows[:5]]
    assert smallest == sorted(smallest, reverse=True)


def test_a_longer_window_leaves_fewer_users_with_a_final_value(tmp_path: Path) -> None:
    spec = SPEC.format(split=EVEN, window="7d", plan="duration: 14d")
    bought, _ = _planned(tmp_path, *GIVEN, spec=spec)["users"]
    assert bought["users_at_end"] == 7_000


def test_a_ramp_sees_less_than_an_even_split_and_more_than_its_first_stage(tmp_path: Path) -> None:
    stages = ", ".join(f"{{duration: 7d, weights: {{a: {100 - b}, b: {b}}}}}" for b in (5, 50))
    spec = SPEC.format(split="", window="1h", plan=f"stages: [{stages}]")
    bought, _ = _planned(tmp_path, *GIVEN, spec=spec)["users"]
    rows = {row["share"]: row for row in bought["rows"] if not row["as_planned"]}
    planned = bought["rows"][-1]
    assert planned["as_planned"]
    assert rows[0.5]["smallest_fixed"] < planned["smallest_fixed"] < rows[0.05]["smallest_fixed"]
    # n_b n_c / (n_b + n_c), summed over the stages; the last hour has no final values.
    users = np.array([7_000.0, 7_000.0 * (1 - 1 / 168)])
    information = (users * np.array([0.95 * 0.05, 0.25])).sum()
    assert planned["smallest_fixed"] == pytest.approx(
        (1.959964 + 0.841621) * np.sqrt(0.16 / information), rel=2e-3
    )


def test_what_a_share_can_not_do_is_no_effect(tmp_path: Path) -> None:
    spec = SPEC.format(split=EVEN, window="1h", plan="duration: 2d")
    few = ("--users-per-day", "3", "--mean", "bought=0.2", "--mean", "spend=1", "--sd", "spend=1")
    bought, spend = _planned(tmp_path, *few, spec=spec)["users"]
    assert bought["detectable_fixed"] is None
    assert bought["detectable_anytime"] is None
    assert spend["detectable_fixed"] is None
    assert spend["detectable_anytime"] > 1


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--mean", "0.5"), "bought: how many users come isn't known; give --users-per-day"),
        (("--mean", "bought=3", *GIVEN[:2]), "bought: --mean is 3, a share's must be above 0"),
        (("--mean", "spend=3", *GIVEN[:2]), "spend: --mean of a value needs its --sd, too"),
        (("--mean", "sold=3"), "--mean sold=...: no such metric; there are bought, spend"),
        (("--sd", "1e200"), "'1e200' must be a number from 1e-60 to 1e+60"),
        (("--users-per-day", "1e-300"), "'1e-300' must be a number from 0.001 to 1e+12"),
        (("--requests-per-second", "1e300"), "'1e300' must be a number from 1e-06 to 1e+09"),
    ],
)
def test_what_is_missing_to_plan_is_said(
    tmp_path: Path, options: tuple[str, ...], problem: str
) -> None:
    (tmp_path / "experiments").mkdir()
    spec = SPEC.format(split=EVEN, window="1h", plan="duration: 2d")
    (tmp_path / "experiments" / "quiz-format.yaml").write_text(spec)
    done = _verdict(tmp_path, "plan", "quiz-format", *options)
    assert done.returncode == 2
    assert problem in done.stderr
    assert "Warning" not in done.stderr
    assert "Traceback" not in done.stderr


def _request_plan(detectable: tuple[DetectableHarm, ...], overdispersion: float) -> RequestPlan:
    return RequestPlan(
        metric="errors",
        requests_per_second=100,
        bad=0.005,
        overdispersion=overdispersion,
        margin=0.005,
        plan_minutes=60,
        rows=(),
        detectable=detectable,
    )


def test_what_cannot_be_found_is_said_beforehand() -> None:
    """Of the plan's own stages or its split; where it has neither, of the smallest share."""
    shares = tuple(
        DetectableHarm(share=share, as_planned=False, harm=harm)
        for share, harm in ((0.5, 0.012), (0.05, 0.03))
    )
    (at_share,) = cannot_find(_request_plan(shares, 10.0))
    assert at_share.startswith("at 5% of the traffic less than 3 points more can't be detected")
    assert "bursts of 10 take as many times the requests" in at_share
    at: dict[str, Any] = {"share": 0.5, "as_planned": False, "harm": 0.02, "found": 1.0}
    late = LateDetection(**at, begin_minutes=30, median_minutes=33, by_minutes=35)
    of_split = _request_plan(shares, 1.0).model_copy(update={"late": (late,)})
    (at_split,) = cannot_find(of_split)
    assert at_split.startswith("at 50% of the traffic less than 1.2 points")
    stages = DetectableHarm(share=0.2, as_planned=True, harm=0.009)
    (planned,) = cannot_find(_request_plan((*shares, stages), 1.0))
    assert planned.startswith("at the plan's stages less than 0.9 points")
    assert "bursts" not in planned
    nothing = DetectableHarm(share=0.05, as_planned=False, harm=float("nan"))
    assert cannot_find(_request_plan((nothing,), 1.0)) == (
        "at 5% of the traffic no harm is found in four of five cases by the plan's end",
    )


@pytest.mark.parametrize(("promoted", "said"), [(0.79, 1), (0.8, 0), (1.0, 0)])
def test_a_plan_that_hardly_ever_promotes_is_said_beforehand(promoted: float, said: int) -> None:
    found = DetectableHarm(share=0.2, as_planned=True, harm=0.009)
    healthy = DetectionRow(
        share=0.2, as_planned=True, harm=0.0, rolled_back=0.0, promoted=promoted,
        median_minutes=30, slow_minutes=float("inf"),
    )  # fmt: skip
    told = cannot_find(_request_plan((found,), 1.0).model_copy(update={"rows": (healthy,)}))
    assert sum("a healthy candidate is promoted in 79% of cases" in line for line in told) == said


@pytest.mark.parametrize(
    ("minutes", "shown"),
    [(2 / 3, "40 s"), (4.667, "4.7 min"), (9.99, "10 min"), (5, "5 min"), (15.01, "16 min"),
     (2080, "34.7 h"), (20160, "14.0 days"), (float("inf"), "-")],
)  # fmt: skip
def test_a_span_is_said_in_its_own_unit(minutes: float, shown: str) -> None:
    """Two weeks were 2.02e+04 minutes."""
    assert _span(minutes) == shown


@pytest.mark.parametrize(
    ("split", "metric", "expected", "said", "unsaid"),
    [
        ("50, b: 50", "kind: mean", ["rev=10"], "to exclude harm of 0.2", "nan%"),
        ("50, b: 50", "kind: mean", ["rev=0"], "the margin is 0 here: only a candidate", "nan%"),
        ("100, b: 0", "kind: mean", ["rev=10"], "one of the variants gets no users", "nan"),
        ("50, b: 50", "kind: mean", ["rev=10"], "q: its users are unknown; pull its", "q: b"),
        ("50, b: 50", "kind: proportion", ["rev=0.0001"], "(40,000%)", "e+0"),
    ],
)  # fmt: skip
def test_what_a_plan_of_users_cannot_show_is_said(
    split: str, metric: str, expected: list[str], said: str, unsaid: str, tmp_path: Path
) -> None:
    """A quantile's error was taken for a mean's; shares of nan % were detected."""
    folder = tmp_path / "experiments"
    folder.mkdir()
    margin = "2%" if "mean" in metric else "0.02"
    (folder / "shop.yaml").write_text(
        f"""experiment: shop
service: shop
variants: {{a: {{}}, b: {{}}}}
split: {{a: {split}}}
plan: {{duration: 14d}}
metrics:
  rev: {{{metric}, outcome: buy, window: 3d, role: guardrail, margin: {margin}, better: lower}}
  q: {{kind: quantile, outcome: buy, quantile: 0.9, window: 3d}}
sources: {{exposures: {{files: e.csv}}, outcomes: {{files: o.csv}}}}
"""
    )
    given = ["--users-per-day", "1000", "--mean", *expected, "--mean", "q=3", "--sd", "3"]
    shown = _verdict(tmp_path, "plan", "shop", *given).stdout
    assert said in shown
    assert unsaid not in shown
