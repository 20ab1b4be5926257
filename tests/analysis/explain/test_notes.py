"""A verdict notes what its reader should doubt, and nothing about sound data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from analysis.evidence import Evidence, QualityLimits, RequestEvidence, UserEvidence
from analysis.explain.notes import notes_on_arrivals, notes_on_edges, notes_on_split
from analysis.fixed.comparison import Pair, mean_sample, proportion_sample
from analysis.plan import Margin, MetricPlan, Plan, Role, Stage, Unit
from analysis.requests.latency import LatencyCounts
from analysis.users.outcome_reach import OutcomeReach, VariantReach
from analysis.verdict import Decision, Verdict, reach_verdict

DAY = 86_400_000


def _plan() -> Plan:
    def metric(name: str) -> MetricPlan:
        return MetricPlan(name, Unit.USER, Role.GOAL, Margin(0, 0.02), higher_is_better=True)

    return Plan(
        experiment="quiz",
        baseline="a",
        candidates=("b",),
        metrics=(metric("bought"), metric("spend")),
        stages=(Stage(0, 14 * DAY, {"a": 0.5, "b": 0.5}),),
        bucket_ms=DAY,
        alpha=0.05,
        minimum_ms=DAY,
        minimum_exposure=100,
        look_every_ms=DAY,
    )


def _samples(bought: int = 2020, spend: float = 5.05) -> dict[str, dict[str, Pair]]:
    return {
        "bought": {"b": (proportion_sample(20_000, 2000), proportion_sample(20_000, bought))},
        "spend": {"b": (mean_sample(20_000, 5.0, 90.0), mean_sample(20_000, spend, 90.0))},
    }


def _verdict(samples: Mapping[str, Mapping[str, Pair]] | None = None, **more: object) -> Verdict:
    users = UserEvidence(
        samples=samples or _samples(),
        proportions=frozenset({"bought"}),
        exposed={"a": 20_000, "b": 20_000},
        **more,  # type: ignore[arg-type]
    )
    return reach_verdict(_plan(), Evidence(None, users), QualityLimits(), at_ms=7 * DAY)


def test_sound_data_needs_no_note() -> None:
    days = {f"2026-01-{i:02}": {"a": 1000 + i, "b": 1000 - i} for i in range(1, 21)}
    largest = {"spend": {"a": 120.0, "b": 130.0}}
    trends = {"spend": {"b": (mean_sample(20_000, 0.0, 9.0), mean_sample(20_000, 0.01, 9.0))}}
    found = _verdict(
        exposed_by_part={"day": {k: (v,) for k, v in days.items()}},
        largest=largest,
        trends=trends,
        trend_days={"spend": 7},
    )
    assert found.notes == ()


@pytest.mark.parametrize(
    ("last", "at", "said"),
    [
        (5, 7, True),
        (6, 7, False),
        (2, 3.5, False),
        (5, 15, True),
        (11, 14, True),
        (11, 20, True),
        (12, 20, False),
    ],
)
def test_users_who_stop_coming_are_noted(last: int, at: float, said: bool) -> None:
    """Days since 1970 by their number, of a plan of 14: at its end nothing later is missed."""
    days = {f"1970-01-{i:02}": ({"a": 1000, "b": 1000},) for i in range(1, last + 1)}
    days["1970-01-14"] = ({"a": 0, "b": 0},)
    users = UserEvidence(
        samples=_samples(),
        proportions=frozenset({"bought"}),
        exposed={"a": 20_000, "b": 20_000},
        exposed_by_part={"day": days},
    )
    found = list(notes_on_arrivals(_plan(), users, at_ms=round(at * DAY)))
    assert len(found) == said
    assert all(f"no user came after 1970-01-{last:02} up to" in note for note in found)


def test_the_day_that_broke_the_split_is_named() -> None:
    days = {f"2026-01-{i:02}": {"a": 1000, "b": 1000} for i in range(1, 21)}
    days["2026-01-07"] = {"a": 1300, "b": 700}
    found = _verdict(exposed_by_part={"day": {k: (v,) for k, v in days.items()}})
    assert found.decision is Decision.INVALID
    assert found.reasons[0].startswith(
        "split of users by day: off on 1 of 20 days (p = 6.6e-37); on 2026-01-07 b received 35.0 %"
    )


def test_the_segment_that_broke_the_split_is_named() -> None:
    parts = {"ke": {"a": 10_000, "b": 10_000}, "ph": {"a": 4000, "b": 3000}}
    found = _verdict(exposed_by_part={"country": {k: (v,) for k, v in parts.items()}})
    assert found.decision is Decision.INVALID
    assert "split of users by country: off in 1 of 2 segments" in found.reasons[0]
    assert "in ph b received 42.9 % of users; 50.0 % is configured" in found.reasons[0]


def test_segments_that_users_are_compared_within_may_have_splits_of_their_own() -> None:
    """A country with another split confounds what is pooled, and nothing that is stratified."""
    parts = {"ke": {"a": 10_000, "b": 10_000}, "ph": {"a": 4000, "b": 3000}}
    users = UserEvidence(
        samples=_samples(),
        proportions=frozenset({"bought"}),
        exposed={"a": 20_000, "b": 20_000},
        exposed_by_part={"country": {k: (v,) for k, v in parts.items()}},
    )
    for strata, is_checked in ((("country",), False), (("device",), True), ((), True)):
        first, *others = (replace(metric, strata=("country",)) for metric in _plan().metrics)
        plan = replace(_plan(), metrics=(replace(first, strata=strata), *others))
        found = reach_verdict(plan, Evidence(None, users), QualityLimits(), at_ms=7 * DAY)
        assert (found.decision is Decision.INVALID) is is_checked


def test_notes_of_several_candidates_name_theirs_and_come_once() -> None:
    first = mean_sample(20_000, 0.0, 9.0)
    fading = first, mean_sample(20_000, -0.5, 9.0)
    ahead = OutcomeReach("bought", 9, 0, {v: VariantReach(20_000, ahead=3) for v in "abc"})
    users = UserEvidence(
        samples={
            "bought": dict.fromkeys(
                "bc", (proportion_sample(20_000, 2000), proportion_sample(20_000, 6000))
            ),
            "spend": dict.fromkeys("bc", _samples()["spend"]["b"]),
        },
        proportions=frozenset({"bought"}),
        exposed=dict.fromkeys("abc", 20_000),
        trends={"bought": {"b": fading, "c": (first, first)}},
        trend_days={"bought": 7},
        reach={"bought": (ahead,)},
    )
    stage = replace(_plan().stages[0], shares=dict.fromkeys("abc", 1 / 3))
    plan = replace(_plan(), candidates=("b", "c"), stages=(stage,))
    found = reach_verdict(plan, Evidence(None, users), QualityLimits(), at_ms=7 * DAY).notes
    assert [note.split(":")[0] for note in found] == [
        "bought of b",
        "bought",
        "bought of b",
        "bought of c",
    ]
    assert "the effect is fading" in found[0]
    assert "later than the last pull" in found[1]
    assert "too large to be true" in found[3]


def test_covariates_one_user_trend_and_a_miracle_are_noted() -> None:
    samples = _samples(bought=6000)
    outlier = mean_sample(20_000, 6.0, 90.0 + 400_000.0**2 / 20_000**2)
    samples["spend"]["b"] = samples["spend"]["b"][0], outlier
    notes = _verdict(
        samples,
        largest={"spend": {"a": 120.0, "b": 20_000.0}},
        trends={"bought": {"b": (mean_sample(20_000, 0.0, 9.0), mean_sample(20_000, -0.5, 9.0))}},
        trend_days={"bought": 7},
    ).notes
    assert any("bought: the effect is fading with the days" in note for note in notes)
    assert any("bought: a change of +200% is too large to be true" in note for note in notes)
    assert any("without the one largest user of each variant" in note for note in notes)
    (adjusted,) = _verdict(variance_removed={"spend": 0.42}).notes
    assert adjusted == "spend: what users did before removes 42% of the variance"


def test_segments_are_in_the_verdict_and_their_paradox_in_its_notes() -> None:
    rng = np.random.default_rng(1)

    def part(n_a: int, n_b: int, rate: float, lift: float) -> dict[str, dict[str, Pair]]:
        bought = (
            proportion_sample(n_a, rng.binomial(n_a, rate)),
            proportion_sample(n_b, rng.binomial(n_b, rate * lift)),
        )
        return {"bought": {"b": bought}, "spend": _samples()["spend"]}

    found = _verdict(
        segments={
            "device": {"app": part(4000, 16_000, 0.3, 0.85), "web": part(16_000, 4000, 0.05, 0.8)}
        }
    )
    assert [(t.metric, len(t.effects)) for t in found.segments] == [("bought", 2), ("spend", 2)]
    (paradox,) = (note for note in found.notes if "Simpson's paradox" in note)
    assert re.search(
        r"difference is \+[0-9.]+ points, but within device it is -[0-9.]+ points", paradox
    )
    (stands_out,) = (note for note in found.notes if "stands out" in note)
    assert re.search(r"by device, an effect stands out in app -[0-9.]+ points", stands_out)


def _slow(edge_ms: float, above_ms: float) -> tuple[str, ...]:
    """The notes on a slow share that is counted at an edge."""
    slow = MetricPlan(
        "slow", Unit.REQUEST, Role.GUARDRAIL, Margin(0.01), quantile=0.99, above_ms=above_ms
    )
    edges = {"slow": edge_ms}
    requests = RequestEvidence(np.zeros(0, np.int64), {}, ("slow",), {}, edges_ms=edges)
    return tuple(notes_on_edges(replace(_plan(), metrics=(slow,)), requests))


def test_bound_between_two_bucket_edges_is_said_to_be_judged_at_the_next() -> None:
    assert _slow(1000, 1000) == ()
    (said,) = _slow(1000, 777)
    assert said.startswith("slow: slow is slower than 1000 ms, not 777 ms as asked for: the next")


@pytest.mark.parametrize(
    ("edges_ms", "requests", "said"),
    [
        (
            {"a": [5, 2.5, np.inf], "b": [5, np.inf]},
            {},
            "a end at 5 ms, so requests slower than 100",
        ),
        ({"a": [5, 200, np.inf], "b": [5, 200, np.inf]}, {}, ""),
        ({"a": [5, 200, np.inf]}, {}, "slow: b has no latencies"),
        ({"b": [5, 200, np.inf]}, {}, "slow: a has no latencies"),
        ({}, {}, "slow: a and b have no latencies"),
        # Without requests there is nothing to be slow.
        ({"a": [5, 200, np.inf]}, {"b": 0.0}, ""),
        ({"b": [5, 200, np.inf]}, {"a": 0.0}, ""),
    ],
)
def test_why_slow_requests_are_not_known_is_said(
    edges_ms: dict[str, list[float]], requests: dict[str, float], said: str
) -> None:
    slow = MetricPlan("slow", Unit.REQUEST, Role.GUARDRAIL, Margin(0.01), above_ms=100)
    seen = {name: np.array([requests.get(name, 9.0)]) for name in ("a", "b")}
    latency = {
        name: LatencyCounts(np.sort(edges), np.full((len(edges), 1), 9.0))
        for name, edges in edges_ms.items()
    }
    evidence = RequestEvidence(np.zeros(1, np.int64), seen, ("slow",), {}, latency=latency)
    notes = tuple(notes_on_edges(replace(_plan(), metrics=(slow,)), evidence))
    assert len(notes) == bool(said)
    assert said in " ".join(notes)


@pytest.mark.parametrize(
    ("observed", "first", "is_said"),
    [
        (True, {"a": 1.0, "b": 0.0}, True),
        (True, {"a": 1.0}, True),
        (True, {"a": 0.999, "b": 0.001}, False),
        (True, {}, False),
        (False, {"a": 1.0, "b": 0.0}, False),
    ],
)
def test_a_first_request_before_any_share_may_be_of_a_later_stage(
    *, observed: bool, first: dict[str, float], is_said: bool
) -> None:
    """Nobody said when the plan starts, and its first stage has none of the candidate's traffic."""
    stages = (Stage(0, DAY, first), Stage(DAY, 2 * DAY, {"a": 0.5, "b": 0.5}))
    plan = replace(_plan(), stages=stages, is_start_observed=observed)
    notes = list(notes_on_split(plan, None))
    assert any(note.endswith("set plan.start") for note in notes) is is_said
