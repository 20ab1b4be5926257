"""Windows, counters and stages of metrics per user."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from flows.workspace.experiments import load_spec
from tests.builders.spec_texts import COUNTERS, STAGES, USERS, problems_of


def test_experiment_of_users_alone_is_one_stage_that_is_longer_than_its_window(
    tmp_path: Path,
) -> None:
    (tmp_path / "exam.yaml").write_text(USERS)
    (stage,) = load_spec(tmp_path / "exam.yaml").stages
    assert (stage.weights, stage.duration) == ({}, timedelta(days=14))


def test_counters_are_refused_where_the_split_changes(tmp_path: Path) -> None:
    spec = USERS.replace("{exposures: {files: e.csv}, outcomes: {files: o.csv}}", COUNTERS)
    same = STAGES.replace("a: 90, b: 10", "a: 50, b: 50")
    for allowed in (USERS + STAGES, spec + same, spec + "split: {a: 70, b: 30}\n"):
        (tmp_path / "exam.yaml").write_text(allowed)
        assert load_spec(tmp_path / "exam.yaml").user_metrics
    (found,) = problems_of(tmp_path, spec + STAGES)
    assert found == (
        "5: sources.conversions: can't tell done in stages of different splits: counters don't say "
        "when a user was exposed; use exposures and outcomes, or one split"
    )


@pytest.mark.parametrize(
    ("spec", "found", "longer"),
    [
        (
            USERS + "plan: {duration: 7d}\n",
            "4: metrics.done.window: is 7d, must be shorter than the whole plan, 7d",
            "plan.duration",
        ),
        (
            USERS.replace("proportion,", "retention, day: 15,") + STAGES,
            "4: metrics.done.day: is 16d, must be shorter than the whole plan, 16d",
            "plan.stages",
        ),
    ],
)
def test_window_that_no_user_completes_is_refused(
    tmp_path: Path, spec: str, found: str, longer: str
) -> None:
    (said,) = problems_of(tmp_path, spec)
    assert said == f"{found}: else no user ever has a final value; say a longer {longer}"


def test_a_delivery_may_be_as_long_as_its_longest_stages(tmp_path: Path) -> None:
    spec = USERS.replace("done}", "done, window: 31d, role: guardrail}") + STAGES
    delivery = "delivery: {target: {envoy: routes.json}}\n"
    (tmp_path / "exam.yaml").write_text(spec + delivery)
    assert load_spec(tmp_path / "exam.yaml").delivery
    (found,) = problems_of(tmp_path, spec.replace("31d", "32d") + delivery)
    assert "metrics.done.window: is 32d, must be shorter than the whole plan, 32d" in found
    (found,) = problems_of(tmp_path, spec)
    assert "metrics.done.window: is 31d, must be shorter than the whole plan, 16d" in found


@pytest.mark.parametrize("files", ["e.csv", "e.jsonl", "s3://bucket/e.csv"])
def test_an_engine_reads_parquet_only(files: str, tmp_path: Path) -> None:
    engine = 'engine: {spark: "sc://spark"}\n'
    found = problems_of(tmp_path, USERS.replace("e.csv", files) + engine)
    told = "must be Parquet files: an engine (`engine`) reads no others"
    assert [each.partition(": ")[2] for each in found] == [
        f"sources.exposures: {told}",
        f"sources.outcomes: {told}",
    ]
    good = tmp_path / "exam.yaml"
    good.write_text(USERS.replace("e.csv", "s3://b/e/").replace("o.csv", "o.parquet") + engine)
    assert load_spec(good).engine is not None
