"""The test at the planned end: what bursts hide from every look, and its level."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.evidence import Coverage, Evidence, QualityLimits, RequestEvidence
from analysis.judge.planned_end import (
    final_alpha,
    final_lower,
    find_final_harm,
    late_starts,
    proven_at_end,
    still_beyond,
)
from analysis.plan import Plan, Stage
from analysis.requests.bucket_counts import BucketCounts
from analysis.requests.paired_buckets import pair_buckets
from analysis.requests.recent import since_bucket
from analysis.verdict import Decision, Verdict, reach_verdict
from tests.builders.changing_streams import BUCKET_MS, Added, Stream, plan_of, step

ALPHA = 0.0375
BURSTS = Stream(bursts=10, harm=step(0, 1))


def _lower(arms: tuple[BucketCounts, BucketCounts], alpha: float = ALPHA) -> np.ndarray:
    return final_lower(arms, np.ones(len(arms[0].total)), alpha)


def _clumps(
    sizes: tuple[int, ...], points: float, runs: int, seed: int
) -> tuple[BucketCounts, BucketCounts]:
    """Failures in clumps of these sizes, each as likely; the candidate has 5 % of the traffic."""
    rng = np.random.default_rng(seed)
    arms = []
    for requests, share in ((1425, 0.005), (75, 0.005 + points / 100)):
        bad = np.zeros((runs, 240))
        for size in sizes:
            rate = requests * share / sum(sizes)
            bad += size * rng.poisson(rate, bad.shape)
        arms.append(BucketCounts(np.full(bad.shape, float(requests)), np.minimum(bad, requests)))
    return arms[0], arms[1]


def test_what_final_alpha_leaves() -> None:
    """All tests that can fail by a difference within the margin have alpha together."""
    plain = plan_of(Stream())
    (metric,) = plain.metrics
    assert final_alpha(plain, metric) == pytest.approx(0.05 - 0.0125)
    assert final_alpha(plain, metric, pods=True) == pytest.approx(0.05 - 0.0125 - 0.005)
    limited = replace(metric, objective=0.05)
    with_objective = replace(plain, metrics=(limited,))
    taken = 2 * with_objective.request_alpha(limited)
    assert final_alpha(with_objective, limited) == pytest.approx(0.05 - taken)
    two = replace(plain, metrics=(metric, replace(metric, name="slow", weight=3.0)))
    assert sum(final_alpha(two, one) for one in two.metrics) == pytest.approx(0.0375 - 0.0025)


@pytest.mark.parametrize(("ramp", "least"), [(False, 0.45), (True, 0.9)], ids=["95/5", "ramp"])
def test_a_point_in_bursts_is_found_within_the_hour(ramp: bool, least: float) -> None:
    """300 runs: 56 and 96 %; before the end next to none, and half."""
    arms = replace(BURSTS, ramp=ramp).counts(5, 200)
    assert (_lower(arms) > 0.005).mean() >= least


@pytest.mark.parametrize("sizes", [(10,), (1, 19), (1, 1, 1, 40)], ids=["tens", "mixed", "rare"])
def test_the_level_holds_at_the_margin_however_failures_clump(sizes: tuple[int, ...]) -> None:
    wrong = (_lower(_clumps(sizes, 0.5, 1000, 3)) > 0.005).mean()
    assert wrong <= ALPHA + 3 * np.sqrt(ALPHA / 1000)


def test_independent_failures_need_no_transformation() -> None:
    arms = Stream(rate=1000, harm=step(0, 0.5)).counts(2, 1000)
    wrong = (_lower(arms) > 0.005).mean()
    assert 0.01 <= wrong <= ALPHA + 3 * np.sqrt(ALPHA / 1000)


def test_the_judge_asks_at_the_end_only() -> None:
    """A verdict with its reason: the whole time's shares, and the bound of this test."""
    arms, plan = replace(BURSTS, ramp=True).counts(8, 1), plan_of(BURSTS)
    found = [_verdict(plan, arms, end) for end in (236, 240)]
    assert [one.decision for one in found] == [Decision.HOLD, Decision.ROLLBACK]
    (metric,) = found[1].metrics
    assert metric.since is not None
    assert metric.since.from_start
    assert metric.since.lower > metric.margin
    assert "harm at least" in found[1].reasons[0]


def test_a_late_step_of_few_requests_is_found_at_the_end() -> None:
    """Two points from minute 40 on, of a request a second: since then, and the reason says so."""
    stream = Stream(rate=20, harm=step(40, 2))
    arms, plan = stream.counts(1, 1), plan_of(stream)
    found = [_verdict(plan, arms, end) for end in (236, 240)]
    assert [one.decision for one in found] == [Decision.HOLD, Decision.ROLLBACK]
    (metric,) = found[1].metrics
    assert metric.since is not None
    assert (metric.since.from_start, metric.since.start_ms) == (False, 160 * BUCKET_MS)
    assert metric.since.lower > metric.margin
    assert "since 00:40 UTC canary has" in found[1].reasons[0]


def _proven(arms: tuple[BucketCounts, BucketCounts], alpha: float = ALPHA) -> np.ndarray:
    """By start, the plan's and the late ones, and run."""
    one = np.ones(len(arms[0].total))
    found = proven_at_end(arms, late_starts(240), one, 0.005 * one, alpha)
    return np.asarray(np.isfinite(found.lower))


@pytest.mark.parametrize("rate", [20.0, 1000.0])
def test_all_starts_together_hold_what_alpha_is_left(rate: float) -> None:
    """At the margin from the start, where each is wrong at its level: windows are nested.

    Of 2000 runs 3.6 % at 1000 a second, and the looks before add 0.05 %.
    """
    wrong = _proven(Stream(rate=rate, harm=step(0, 0.5)).counts(4, 1000)).any(axis=0).mean()
    assert wrong <= 0.05


def test_what_is_over_after_the_planned_end_is_not_held_against_it() -> None:
    stream = Stream(rate=1000, harm=Added(2.0, 30.0, 60.0), buckets=600)
    arms = stream.counts(1, 1)
    plan = replace(plan_of(stream), stages=(Stage(0, 240 * BUCKET_MS, {}),))
    (metric,) = plan.metrics
    zero = np.zeros(1)
    found = [
        find_final_harm(
            plan,
            (since_bucket(arms[0], 0, end), since_bucket(arms[1], 0, end)),
            [metric],
            (zero + 0.005, zero),
            pair_buckets(*arms),
            0,
        )[0]
        for end in (240, 600)
    ]
    assert [one is not None for one in found] == [True, False]


def _verdict(plan: Plan, arms: tuple[BucketCounts, BucketCounts], end: int) -> Verdict:
    counts = {
        name: BucketCounts(arm.total[:, :end], arm.bad[:, :end])
        for name, arm in zip(("stable", "canary"), arms, strict=True)
    }
    seen = RequestEvidence(
        stage=np.zeros(end, dtype=np.int64),
        requests={name: arm.total[0] for name, arm in counts.items()},
        metrics=("errors",),
        counts=counts,
    )
    at_ms = end * BUCKET_MS
    evidence = Evidence(seen, None, Coverage(at_ms))
    return reach_verdict(plan, evidence, QualityLimits(split_tolerance=20.0), at_ms=at_ms)


def test_one_bucket_and_what_is_over_decide_nothing() -> None:
    arms = Stream(rate=1000).counts(3, 1)
    arms[1].bad[0, 200] = arms[1].total[0, 200]
    assert _lower(arms, alpha=0.05)[0] <= 0
    over = Stream(rate=1000, harm=Added(9.0, end=20.0)).counts(3, 4)
    assert (over[1].bad.mean(1) > over[1].total.mean(1) * 0.03).all()
    assert not still_beyond(over, np.ones(4), 0.005).any()


def test_too_few_buckets_and_no_traffic_are_no_evidence() -> None:
    few = Stream(buckets=20, harm=step(0, 50)).counts(1, 2)
    assert (_lower(few) == -np.inf).all()
    silent = BucketCounts(np.zeros((1, 60)), np.zeros((1, 60)))
    assert _lower((silent, silent))[0] == -np.inf
