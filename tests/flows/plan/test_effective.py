"""The plan that a look is judged by is the one that the controller really ran."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from flows.plan.effective import delivered_plan, staged_plan
from flows.spec.experiment import Experiment
from flows.warehouse.connection import open_writer
from flows.warehouse.delivery_log import DeliveryState, Shift
from tests.builders.empty_warehouse import lay_out

S = 1000
SPEC = Experiment.model_validate(
    {
        "experiment": "exam",
        "service": "exam",
        "mesh": "istio",
        "variants": {"stable": {"version": "v1"}, "canary": {"version": "v2"}},
        "plan": {
            "bucket": "10s",
            "stages": [
                {"duration": "60s", "weights": {"stable": 95, "canary": 5}},
                {"duration": "60s", "at_most": "90s", "weights": {"stable": 50, "canary": 50}},
            ],
        },
        "sources": {"requests": {"prometheus": "http://p", "scrape_interval": "5s"}},
        "delivery": {"target": {"envoy": "routes.json"}},
    }
)
BEGUN = DeliveryState(number=1, began_ms=0, stages=2, identity="")
FIRST = Shift(1, {"stable": 95, "canary": 5}, 1 * S, 4 * S, "")
SECOND = Shift(2, {"stable": 50, "canary": 50}, 103 * S, 107 * S, "")
SMALL, HALF = {"stable": 0.95, "canary": 0.05}, {"stable": 0.5, "canary": 0.5}


def spans(state: DeliveryState, at_s: int) -> list[tuple[int, int, dict[str, float]]]:
    plan = delivered_plan(SPEC, state, at_ms=at_s * S)
    return [(one.start_ms // S, one.end_ms // S, one.shares) for one in plan.stages]


def test_a_stage_begins_when_all_requests_are_of_its_split() -> None:
    state = replace(BEGUN, shifts=(FIRST,))
    # 4 s and a scrape of 5 s, up to a bucket; then the longest times of both stages.
    assert spans(state, 30) == [(10, 130, SMALL), (130, 220, HALF)]


def test_a_stage_that_is_waited_in_goes_on() -> None:
    state = replace(BEGUN, shifts=(FIRST,))
    assert spans(state, 500) == [(10, 510, SMALL), (510, 600, HALF)]


def test_around_a_shift_no_split_is_configured() -> None:
    state = replace(BEGUN, shifts=(FIRST, SECOND))
    assert spans(state, 150) == [(10, 100, SMALL), (100, 120, {}), (120, 210, HALF)]


def test_a_decided_shift_ends_the_stage_before_it_is_applied() -> None:
    state = replace(BEGUN, shifts=(FIRST, replace(SECOND, applied_ms=None)))
    assert spans(state, 104) == [(10, 100, SMALL), (100, 190, {})]


def test_the_end_of_a_delivery_is_the_end_of_the_plan() -> None:
    back = Shift(0, {"stable": 100, "canary": 0}, 155 * S, 156 * S, "")
    state = replace(BEGUN, shifts=(FIRST, SECOND, back))
    assert spans(state, 900) == [(10, 100, SMALL), (100, 120, {}), (120, 150, HALF)]


def test_a_stage_shorter_than_its_settling_is_empty() -> None:
    back = Shift(0, {"stable": 100, "canary": 0}, 6 * S, 7 * S, "")
    assert spans(replace(BEGUN, shifts=(FIRST, back)), 60) == [(10, 10, SMALL)]


def test_the_tests_are_tuned_to_the_longest_plan_whatever_happens() -> None:
    states = [BEGUN, replace(BEGUN, shifts=(FIRST,)), replace(BEGUN, shifts=(FIRST, SECOND))]
    tuned = {delivered_plan(SPEC, state, at_ms=at * S).planned_buckets
             for state in states for at in (20, 200, 2000)}  # fmt: skip
    assert tuned == {(120 + 90) // 10}


def test_a_start_that_nobody_said_is_marked_as_observed(tmp_path: Path) -> None:
    """With the first request of a candidate; of the baseline's nothing is known before."""
    at = datetime(2026, 1, 31, 12, tzinfo=UTC)
    unsaid = SPEC.model_copy(update={"delivery": None})
    plan = unsaid.plan.model_copy(update={"start": at - timedelta(hours=1)})
    lay_out(tmp_path / "w.duckdb")
    with open_writer(tmp_path / "w.duckdb") as con:
        assert not staged_plan(con, unsaid, at=at).is_start_observed
        for variant, begun in (("stable", False), ("canary", True)):
            con.execute(
                "insert into optional_counters by name select 'exam' as experiment, "
                "? as window_start, ? as bucket_start, ? as variant, 'upstream' as counter, "
                "1 as events",
                [at - timedelta(hours=1), at - timedelta(minutes=5), variant],
            )
            found = staged_plan(con, unsaid, at=at)
            assert found.is_start_observed is begun
        assert found.start_ms == (at - timedelta(minutes=5)).timestamp() * 1000
        said = unsaid.model_copy(update={"plan": plan})
        assert not staged_plan(con, said, at=at).is_start_observed
