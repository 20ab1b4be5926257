"""The planned time to detect is that of the judge itself.

Covers analysis.power.time_cells.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.evidence import Evidence, QualityLimits, RequestEvidence
from analysis.plan import Margin, MetricPlan, Plan, Role, Stage, Unit
from analysis.power.detection import (
    Rule,
    Traffic,
    detectable_harm,
    overdispersion_of,
    simulate_detection,
)
from analysis.requests.bucket_counts import BucketCounts
from analysis.verdict import Decision, reach_verdict
from tests.builders.streams import may_decide

Counts = dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]

TRAFFIC = Traffic(requests=600.0, bad=0.01, overdispersion=2.0)
RULE = Rule(
    0.005,
    0.0,
    0.0125,
    0.0375,
    0.025,
    buckets=60,
    harm_buckets=30,
    promote_buckets=60,
    first_promote=20,
    look_every=4,
)


def _plan() -> Plan:
    return Plan(
        experiment="planned",
        baseline="stable",
        candidates=("canary",),
        metrics=(MetricPlan("errors", Unit.REQUEST, Role.GUARDRAIL, Margin(0.005)),),
        stages=(Stage(0, 60 * 15_000, {"stable": 0.8, "canary": 0.2}),),
        bucket_ms=15_000,
        alpha=0.05,
        minimum_ms=20 * 15_000,
        minimum_exposure=1,
        look_every_ms=60_000,
    )


def _verdicts(harm: float, runs: int) -> tuple[float, float]:
    """Shares of runs that the product rolls back and promotes, looking every fourth bucket."""
    rng = np.random.default_rng(9)
    plan, ended = _plan(), {Decision.ROLLBACK: 0, Decision.PROMOTE: 0}
    drawn = [_drawn(rng, harm) for _ in range(runs)]
    stable, canary = (
        BucketCounts(
            np.stack([run[name][0] for run in drawn]), np.stack([r[name][1] for r in drawn])
        )
        for name in ("stable", "canary")
    )
    undecided = np.ones(runs, dtype=np.bool_)
    for look in range(4, 61, 4):
        for run in np.flatnonzero(undecided & may_decide(plan, stable, canary, look)).tolist():
            decision = _decision(plan, drawn[run], look)
            if decision in ended:
                ended[decision] += 1
                undecided[run] = False
    return ended[Decision.ROLLBACK] / runs, ended[Decision.PROMOTE] / runs


def _drawn(rng: np.random.Generator, harm: float) -> Counts:
    counts = {}
    for name, part, p in (("stable", 0.8, 0.01), ("canary", 0.2, 0.01 + harm)):
        total = rng.poisson(600 * part, 60)
        size = (total.mean() - 1) / (2.0 - 1) - 1
        rates = rng.beta(p * size, (1 - p) * size, 60)
        counts[name] = total.astype(float), rng.binomial(total, rates).astype(float)
    return counts


def _decision(plan: Plan, counts: Counts, look: int) -> Decision:
    evidence = RequestEvidence(
        np.zeros(look, dtype=np.int64),
        {name: total[:look] for name, (total, _) in counts.items()},
        ("errors",),
        {n: BucketCounts(t[None, :look], b[None, :look]) for n, (t, b) in counts.items()},
    )
    whole = Evidence(evidence, None)
    coverage = replace(whole.coverage, watermark_ms=look * 15_000)
    at = replace(whole, coverage=coverage)
    return reach_verdict(plan, at, QualityLimits(), at_ms=look * 15_000).decision


@pytest.mark.parametrize("harm", [0.0, 0.015, 0.03])
def test_simulated_shares_are_those_of_the_judge(harm: float) -> None:
    planned = simulate_detection(TRAFFIC, RULE, share=0.2, harm=harm, seed=1)
    rolled, promoted = _verdicts(harm, 80)
    assert planned.rolled_back == pytest.approx(rolled, abs=0.17)
    assert planned.promoted == pytest.approx(promoted, abs=0.17)


def test_more_traffic_and_more_harm_are_found_sooner() -> None:
    medians = [
        simulate_detection(TRAFFIC, RULE, share=share, harm=0.05, seed=1).median
        for share in (0.05, 0.2, 0.5)
    ]
    assert medians == sorted(medians, reverse=True)
    assert np.isfinite(medians[-1])
    small, large = (
        simulate_detection(TRAFFIC, RULE, share=0.5, harm=h, seed=1) for h in (0.01, 0.05)
    )
    assert large.median < small.median


def test_harm_that_begins_late_is_found_after_it_began_though_health_was_promoted() -> None:
    late, large = (
        simulate_detection(TRAFFIC, RULE, share=0.5, harm=harm, seed=1, runs=40, begin=30)
        for harm in (0.03, 0.3)
    )
    assert late.rolled_back >= 0.95
    assert large.rolled_back == 1.0
    assert 30 < large.median <= large.latest < late.median <= late.latest <= 60
    none = simulate_detection(TRAFFIC, RULE, share=0.5, harm=0.006, seed=1, runs=40, begin=40)
    assert none.rolled_back < 0.2
    assert np.isinf(none.latest)


@pytest.mark.parametrize("buckets", [1920, 80640])
def test_harm_that_begins_late_in_a_long_plan_is_found_as_soon_as_the_judge_finds_it(
    buckets: int,
) -> None:
    """Every bucket by itself says 8 to 10 minutes of 8 h and 24 h in half of the runs, 12 to 15 in
    95 %; 2 and 3 to 4 of 9 points."""
    begin = buckets // 2
    for harm, half, most in ((0.02, 12 * 4, 20 * 4), (0.09, 3 * 4, 5 * 4)):
        found = simulate_detection(
            Traffic(1500, 0.005),
            _long(buckets),
            share=0.05,
            harm=harm,
            seed=1,
            runs=60,
            begin=begin,
        )
        assert found.median - begin <= half
        assert found.latest - begin <= most


def test_a_healthy_canary_is_promoted_and_not_rolled_back() -> None:
    found = simulate_detection(TRAFFIC, RULE, share=0.5, harm=0.0, seed=1)
    assert found.rolled_back <= 0.025
    assert found.promoted > 0.45  # at most 0.525 where no trend is asked
    assert found.median >= RULE.first_promote


def test_the_same_seed_gives_the_same_figures() -> None:
    first, again = (
        simulate_detection(TRAFFIC, RULE, share=0.1, harm=0.02, seed=4) for _ in range(2)
    )
    assert first == again


def test_overdispersion_is_found_again() -> None:
    rng = np.random.default_rng(5)
    total = rng.poisson(500, (1, 4000)).astype(float)
    size = (500 - 1) / (3.0 - 1) - 1
    bad = rng.binomial(total.astype(int), rng.beta(0.02 * size, 0.98 * size, total.shape))
    found = overdispersion_of(BucketCounts(total, bad.astype(float)))
    assert found[0] == pytest.approx(3.0, rel=0.15)
    assert overdispersion_of(BucketCounts(total, np.zeros_like(total)))[0] == 1.0


def test_a_total_failure_is_found_by_the_exact_test_before_the_sequence_may_speak() -> None:
    outage = simulate_detection(TRAFFIC, RULE, share=0.1, harm=0.9, seed=1)
    assert outage.slow <= RULE.look_every  # the first look, of four buckets


def test_a_violated_objective_is_found_and_a_missed_one_is_not_promoted() -> None:
    traffic = Traffic(requests=400, bad=0.04)
    strict = replace(RULE, margin_absolute=0.5, objective=0.05)
    bad = simulate_detection(traffic, strict, share=0.5, harm=0.05, seed=1)
    near = simulate_detection(traffic, strict, share=0.5, harm=0.01, seed=1)
    assert bad.rolled_back > 0.95
    assert near.promoted < 0.1


def test_too_few_requests_are_not_promoted() -> None:
    strict = replace(RULE, minimum_exposure=1e9)
    assert simulate_detection(TRAFFIC, strict, share=0.5, harm=0.0, seed=1).promoted == 0


def test_the_detectable_harm_is_found_in_four_of_five_runs() -> None:
    harm = detectable_harm(TRAFFIC, RULE, share=0.5, seed=1)
    found = simulate_detection(TRAFFIC, RULE, share=0.5, harm=harm, seed=2)
    assert 0.7 < found.rolled_back < 0.97
    assert np.isnan(detectable_harm(TRAFFIC, RULE, share=1e-6, seed=1))


def _long(buckets: int) -> Rule:
    return replace(RULE, buckets=buckets, harm_buckets=120, promote_buckets=480)


def test_a_week_is_planned_with_the_minutes_in_which_harm_is_found() -> None:
    hour, week = (
        simulate_detection(TRAFFIC, _long(buckets), share=0.5, harm=0.02, seed=1)
        for buckets in (240, 40_320)
    )
    assert week.rolled_back > 0.99
    assert week.median == pytest.approx(hour.median, rel=0.3)


def test_buckets_that_are_simulated_together_say_what_each_would(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def found() -> tuple[float, float]:
        harmful, healthy = (
            [
                simulate_detection(Traffic(20, 0.01, 2.0), _long(960), share=0.5, harm=h, seed=seed)
                for seed in (1, 2)
            ]
            for h in (0.012, 0.0)
        )
        return (
            sum(found.rolled_back for found in harmful) / 2,
            sum(found.promoted for found in healthy) / 2,
        )

    together = found()
    monkeypatch.setattr("analysis.power.time_cells._ALONE", 960)
    assert together == pytest.approx(found(), abs=0.12)
    assert 0.15 < together[0] < 0.9
