"""Pods as clusters: a bad one is named, pods that differ are no evidence against a version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from analysis.evidence import Evidence, QualityLimits
from analysis.metric_result import Classification, MetricResult
from analysis.requests.bucket_counts import BucketCounts
from analysis.requests.paired_buckets import pair_buckets
from analysis.requests.pod_counts import PodCounts
from analysis.requests.pods import BadPod, bad_pods, between_pods, stack_between
from analysis.verdict import Decision, Verdict, reach_verdict
from tests.builders.streams import (
    BUCKET_MS,
    Traffic,
    evidence_until,
    may_decide,
    over_pods,
    plan_for,
    pod_counts,
    simulate_pods,
)

Arms = tuple[BucketCounts, BucketCounts]
LIMITS = QualityLimits(split_tolerance=20.0)


def _pods(prefix: str, total: list[float], bad: list[float]) -> PodCounts:
    names = tuple(f"{prefix}-{i}" for i in range(len(total)))
    return PodCounts(names, np.array(total, float), np.array(bad, float))


def _named(baseline: PodCounts, candidate: PodCounts, phi: float = 1.0) -> tuple[BadPod, ...]:
    return bad_pods(
        baseline,
        candidate,
        names=("stable", "exam"),
        margin=0.005,
        gross_gap=0.1,
        alpha=0.0125,
        overdispersion=phi,
    )


def _in_time(total: Sequence[Sequence[float]], share: Sequence[Sequence[float]]) -> PodCounts:
    """[pods, stretches] each."""
    n, p = np.array(total, np.float64), np.array(share, np.float64)
    names = tuple(f"exam-{i}" for i in range(len(n)))
    return PodCounts(names, n.sum(axis=1), (n * p).sum(axis=1), BucketCounts(n, n * p))


def test_pods_that_were_there_at_other_times_differ_by_time_alone() -> None:
    there = [[1000, 1000, 0, 0]] * 3 + [[0, 0, 1000, 1000]] * 3
    replaced = _in_time(there, [[0.003, 0.003, 0.3, 0.3]] * 6)
    assert between_pods(HEALTHY, replaced, (1.0, 1.0))[1].variance == 0.0
    unknown = replace(replaced, stretches=None)
    assert between_pods(HEALTHY, unknown, (1.0, 1.0))[1].variance > 0.0
    assert _named(HEALTHY, replaced) == ()
    assert [pod.pod for pod in _named(HEALTHY, unknown)] == ["exam-3", "exam-4"]


def test_pods_that_are_there_together_differ_and_are_named_beside_those() -> None:
    there = [[1000, 1000, 0, 0]] * 3 + [[0, 0, 1000, 1000]] * 3
    shares = [[0.003] * 4] * 3 + [[0.053] * 4] * 2 + [[0.4] * 4]
    replaced = _in_time(there, shares)
    assert between_pods(HEALTHY, replaced, (1.0, 1.0))[1].variance > 0.0
    (found,) = _named(HEALTHY, replaced)
    assert (found.pod, found.siblings) == ("exam-5", 2)
    assert found.siblings_share == pytest.approx(0.053)


def test_pods_that_follow_one_another_are_joined_by_those_that_saw_both() -> None:
    rolling = _in_time([[9, 9, 0, 0], [0, 9, 9, 0], [0, 0, 9, 9], [0, 0, 0, 0]], [[0.1] * 4] * 4)
    assert rolling.groups == 1
    assert _in_time([[9, 9, 0, 0], [0, 0, 9, 0], [0, 0, 9, 9]], [[0.1] * 4] * 3).groups == 2


def test_one_pod_at_a_time_is_compared_with_those_before_where_no_version_has_siblings() -> None:
    there, shares = [[9000, 9000, 0, 0], [0, 0, 9000, 9000]], [[0.003] * 4, [0.053] * 4]
    one = _in_time(there, shares)
    alone = _in_time([[9000] * 4], [[0.003] * 4])
    assert between_pods(alone, one, (1.0, 1.0))[1].variance > 0.0
    beside = _in_time([[9000] * 4] * 3, [[0.003] * 4] * 3)
    assert between_pods(beside, one, (1.0, 1.0))[1].variance == 0.0


HEALTHY = _pods("stable", [20000] * 5, [60] * 5)


def test_the_one_bad_pod_is_named_with_what_is_left_without_it() -> None:
    found = _named(HEALTHY, _pods("exam", [1000] * 5, [3, 4, 400, 2, 3]))
    assert [pod.pod for pod in found] == ["exam-2"]
    assert (found[0].variant, found[0].siblings, found[0].requests) == ("exam", 4, 1000)
    assert found[0].share == pytest.approx(0.4)
    assert found[0].siblings_share == pytest.approx(12 / 4000)
    assert found[0].difference_without == pytest.approx(0.0, abs=1e-12)
    assert found[0].gross


def test_two_bad_pods_of_five_are_named_and_three_are_the_version() -> None:
    two = _named(HEALTHY, _pods("exam", [1000] * 5, [300, 4, 400, 2, 3]))
    assert {pod.pod for pod in two} == {"exam-0", "exam-2"}
    three = _named(HEALTHY, _pods("exam", [1000] * 5, [300, 350, 400, 2, 3]))
    assert len(three) <= 2
    assert _named(HEALTHY, _pods("exam", [1000] * 5, [350] * 5)) == ()


def test_a_bad_pod_of_the_baseline_is_named_too() -> None:
    found = _named(_pods("stable", [9000] * 3, [20, 900, 25]), _pods("exam", [1000] * 3, [3] * 3))
    assert [(pod.variant, pod.pod) for pod in found] == [("stable", "stable-1")]
    assert found[0].difference_without > 0


def test_a_slightly_worse_pod_a_lone_pod_and_empty_pods_are_not_named() -> None:
    assert _named(HEALTHY, _pods("exam", [1000] * 5, [3, 4, 9, 2, 3])) == ()
    assert _named(_pods("stable", [9000], [20]), _pods("exam", [1000], [400])) == ()
    assert _named(HEALTHY, _pods("exam", [0, 1000], [0, 3])) == ()


def test_one_burst_names_no_pod() -> None:
    candidate = _pods("exam", [1000] * 5, [3, 4, 60, 2, 3])
    assert len(_named(HEALTHY, candidate)) == 1
    assert _named(HEALTHY, candidate, phi=10.0) == ()


def test_equal_pods_are_named_no_oftener_than_alpha_over_all_looks() -> None:
    """Each pod at its siblings' share plus the margin, looked at forty times."""
    rng, runs, wrong = np.random.default_rng(7), 150, 0
    for _ in range(runs):
        bad = np.cumsum(rng.binomial(50, [[0.02], [0.02], [0.025]], (3, 40)), axis=1)
        wrong += any(
            _named(
                _pods("stable", [1.0], [0.0]),
                _pods("exam", [50.0 * (k + 1)] * 3, bad[:, k].tolist()),
            )
            for k in range(0, 40, 2)
        )
    assert wrong / runs <= 0.0125 + 3 * np.sqrt(0.0125 / runs)


def test_pods_add_to_the_variance_only_what_is_surely_theirs() -> None:
    same = between_pods(HEALTHY, _pods("exam", [1000] * 4, [4, 2, 5, 3]), (1.0, 1.0))
    assert same[0].variance == same[1].variance == 0
    # Shares 0.02 and 0.06 of equal pods: twice 0.02^2 / 4, times 2 / (2 - 1).
    differ = between_pods(HEALTHY, _pods("exam", [1000, 1000], [20, 60]), (1.0, 1.0))
    assert differ[1].variance == pytest.approx(0.0004)
    assert differ[1].degrees == 1
    bursts = between_pods(HEALTHY, _pods("exam", [1000, 1000], [20, 60]), (1.0, 20.0))
    assert bursts[1].variance == 0


def test_a_version_with_one_pod_is_judged_by_how_the_others_pods_differ() -> None:
    """Four pods of 1, four of 3 and one of 2 percent: 8 * 0.01^2 / 8 for a pod's share."""
    others = _pods("stable", [1000] * 9, [10.0, 30.0] * 4 + [20.0])
    found = between_pods(others, _pods("exam", [500], [10]), (1.0, 1.0))
    assert found[1].variance == pytest.approx(9 * found[0].variance)
    assert found[1].variance == pytest.approx(8 * 0.01**2 / 8)
    assert found[1].degrees == found[0].degrees == 8


def test_pods_of_both_versions_are_pooled_unless_one_versions_differ_far_more() -> None:
    alike = between_pods(
        _pods("stable", [1000] * 3, [10, 30, 50]), _pods("exam", [1000] * 2, [20, 50]), (1.0, 1.0)
    )
    assert alike[0].degrees == alike[1].degrees == 3
    assert alike[1].variance / alike[0].variance == pytest.approx(3 / 2)
    unlike = between_pods(
        _pods("stable", [1000] * 3, [10, 11, 12]), _pods("exam", [1000] * 2, [20, 50]), (1.0, 1.0)
    )
    assert unlike[0].variance == 0
    assert unlike[1].variance == pytest.approx(0.015**2)
    assert unlike[1].degrees == 1


def test_harm_that_no_plausible_pods_explain_is_the_versions() -> None:
    """Two pods at 2 and 3 % beside two at 0.3 %: of their spread one degree of freedom is seen."""
    totals, bad = np.full((1, 60), 300.0), np.tile([0.0, 1.0, 2.0, 1.0], 15)[None, :]
    ill = np.tile([1.0, 2.0, 4.0, 3.0], 15)[None, :]
    pairs = pair_buckets(BucketCounts(totals, bad), BucketCounts(totals / 3, ill))

    def lower(shares: list[float]) -> float:
        candidate = _pods("exam", [3000, 3000], [3000 * share for share in shares])
        rows = between_pods(_pods("stable", [9000, 9000], [30, 30]), candidate, (1.0, 1.0))
        found = pairs.with_pods(stack_between([rows])).contrast()
        return float(found.lower(alpha=0.00625, n_opt=60)[0])

    assert lower([0.025, 0.025]) > lower([0.02, 0.03]) > 0.005
    # One of two is well: no prior says that such pods are of one kind.
    assert lower([0.003, 0.047]) < 0.0


def _look(traffic: Traffic, run_of: int = 1, seed: int = 20261123) -> list[Verdict]:
    """The last verdict of each run."""
    pods = simulate_pods(np.random.default_rng(seed), traffic, run_of)
    return [_verdict(traffic, pods, run, traffic.buckets) for run in range(run_of)]


def _evidence(pods: Arms, run: int, buckets: int, *, with_pods: bool = True) -> Evidence:
    baseline, candidate = (
        BucketCounts(c.total[run : run + 1], c.bad[run : run + 1]) for c in map(over_pods, pods)
    )
    names = ("stable", "canary")
    known = {
        name: pod_counts(counts, run, buckets, name)
        for name, counts in zip(names, pods, strict=True)
    }
    return evidence_until(baseline, candidate, buckets, known if with_pods else None)


def _verdict(traffic: Traffic, pods: Arms, run: int, buckets: int) -> Verdict:
    plan = plan_for(traffic.buckets, margin=0.005)
    evidence = _evidence(pods, run, buckets)
    return reach_verdict(plan, evidence, LIMITS, at_ms=buckets * BUCKET_MS)


def _with_bad_pod(share: float) -> Verdict:
    """Five pods of each version at 0.3 % failures, but one of the canary's at share."""
    traffic = Traffic(rate=200, split=0.2, base=0.003, pods=5)
    pods = simulate_pods(np.random.default_rng(8), traffic)
    ill = np.random.default_rng(9).binomial(pods[1].total[0, 3].astype(int), share)
    pods[1].bad[0, 3] = ill
    return _verdict(traffic, pods, 0, traffic.buckets)


def test_users_hurt_by_one_gross_pod_are_spared_and_the_reason_names_it() -> None:
    found = _with_bad_pod(0.4)
    assert found.decision is Decision.ROLLBACK
    assert len(found.reasons) == 1
    assert "one pod fails so often" in found.reasons[0]
    assert found.reasons[0].endswith(
        "Pod canary-3 of canary fails 39.93 % of its requests, its 4 siblings 0.29 %: "
        "without it the difference is -0.02 points"
    )


def test_harm_by_one_pod_that_is_not_gross_is_no_proof_against_the_version() -> None:
    found = _with_bad_pod(0.06)
    assert found.decision is Decision.HOLD
    assert "Pod canary-3 of canary fails" in found.reasons[0]
    alone = _without_pods(0.06)
    assert alone.classification is Classification.FAIL
    assert alone.bad_pods == ()


def _without_pods(share: float) -> MetricResult:
    traffic = Traffic(rate=200, split=0.2, base=0.003, pods=5)
    pods = simulate_pods(np.random.default_rng(8), traffic)
    pods[1].bad[0, 3] = np.random.default_rng(9).binomial(pods[1].total[0, 3].astype(int), share)
    evidence = _evidence(pods, 0, traffic.buckets, with_pods=False)
    plan = plan_for(traffic.buckets, margin=0.005)
    at_ms = traffic.buckets * BUCKET_MS
    return reach_verdict(plan, evidence, LIMITS, at_ms=at_ms).metrics[0]


def test_harm_by_every_pod_is_the_versions() -> None:
    (found,) = _look(Traffic(rate=200, split=0.2, harm=0.03, pods=5))
    assert found.decision is Decision.ROLLBACK
    assert "Pod " not in found.reasons[0]


@pytest.mark.parametrize(
    "traffic",
    [
        Traffic(rate=1000, split=0.2, harm=0.005, pods=2, pod_spread=0.6),
        Traffic(rate=1000, split=0.2, harm=0.005, pods=5, pod_spread=0.3),
        Traffic(rate=1000, split=0.2, harm=0.005, pods=5, pod_spread=0.6),
    ],
    ids=lambda t: f"{t.pods} pods, spread {t.pod_spread:g}",
)
def test_pods_that_differ_for_good_are_no_evidence(traffic: Traffic) -> None:
    """Versions of the same kind of pods, at the margin: without clusters a third goes wrong."""
    runs = 60
    pods = simulate_pods(np.random.default_rng(10), traffic, runs)
    wrong = {Decision.PROMOTE: 0, Decision.ROLLBACK: 0}
    undecided, plan = np.ones(runs, dtype=np.bool_), plan_for(traffic.buckets, margin=0.005)
    whole = over_pods(pods[0]), over_pods(pods[1])
    for buckets in range(20, traffic.buckets + 1, 20):
        # What is known of pods only takes decisions away.
        asked = undecided & may_decide(plan, *whole, buckets)
        for run in np.flatnonzero(asked).tolist():
            found = _verdict(traffic, pods, run, buckets).decision
            if found in wrong:
                wrong[found] += 1
                undecided[run] = False
    limit = 0.025 + 3 * np.sqrt(0.025 * 0.975 / runs)
    assert max(wrong.values()) / runs <= limit


def test_the_difference_between_pods_slows_a_promote() -> None:
    same, differing = (
        _look(Traffic(rate=1000, split=0.2, pods=3, pod_spread=spread), 20) for spread in (0, 0.6)
    )
    assert sum(v.decision is Decision.PROMOTE for v in same) >= 18
    assert sum(v.decision is Decision.PROMOTE for v in differing) < 10
    held = [v.reasons[0] for v in differing if v.decision is Decision.HOLD]
    assert sum("more pods would help more than more time" in reason for reason in held) > 5
    assert not any(v.metrics[0].pods_differ for v in same if v.decision is Decision.PROMOTE)


def test_a_metric_without_pods_is_judged_by_its_buckets() -> None:
    traffic = Traffic(pods=3)
    pods = simulate_pods(np.random.default_rng(11), traffic)
    evidence = _evidence(pods, 0, traffic.buckets, with_pods=False)
    assert evidence.requests is not None
    other = replace(evidence, requests=replace(evidence.requests, pods={"slow": {}}))
    plan, at_ms = plan_for(), traffic.buckets * BUCKET_MS
    ours, theirs = (
        reach_verdict(plan, e, LIMITS, at_ms=at_ms).metrics[0] for e in (evidence, other)
    )
    assert ours.excess.lower == pytest.approx(theirs.excess.lower, rel=1e-9)
