"""A pod that harms its users is found in minutes; pods that differ, or met a storm, are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.requests.bucket_counts import BucketCounts
from analysis.requests.pod_counts import PodCounts, stretch_ms
from analysis.requests.pod_harm import harmful_pods
from analysis.requests.pods import bad_pods
from tests.builders.changing_streams import A_MINUTE, Added, step
from tests.builders.pod_streams import PodStream, pods_until, watch_pods

RUNS = 20


@pytest.mark.parametrize(
    ("stream", "latest"),
    [
        (PodStream(harm=step(0, 5)), 10),
        (PodStream(harm=step(0, 5), rate=1000), 4),
        (PodStream(harm=step(30, 5), rate=1000), 33),
        (PodStream(harm=step(0, 5), rate=1000, base=0.05), 8),
    ],
)
def test_one_bad_pod_of_five_is_found(stream: PodStream, latest: float) -> None:
    found, median = watch_pods(stream, 1, RUNS)
    assert found == 100
    assert median <= latest


@pytest.mark.parametrize(
    "stream",
    [
        PodStream(spread=0.3, rate=1000),
        PodStream(spread=0.6, rate=1000),
        PodStream(spread=0.6, pods=2, rate=1000),
        PodStream(spread=0.3, shock=1.0),
        PodStream(bursts=3.0),
    ],
)
def test_pods_that_differ_as_pods_do_harm_nobody(stream: PodStream) -> None:
    assert watch_pods(stream, 2, RUNS)[0] == 0


def _harmful(
    baseline: PodCounts, candidate: PodCounts, approved: dict[str, float] | None = None
) -> list[str]:
    found = harmful_pods(
        baseline,
        candidate,
        margin=0.005,
        approved=approved or {},
        alpha=0.005,
        overdispersion=1.0,
    )
    return [name for name, harms in zip(candidate.names, found, strict=True) if harms]


@pytest.mark.parametrize("shares", [(0.003, 0.003), (0.001, 0.4)])
def test_two_pods_at_a_small_level_say_nothing(shares: tuple[float, float]) -> None:
    """Of four candidates with many metrics: a warning of an overflow was printed at each look."""
    total = np.full(2, 10_000.0)
    pods = PodCounts(("one", "two"), total, total * shares)
    for alpha in (1e-3, 1e-5, 1e-7, 1e-9):
        harms = harmful_pods(pods, pods, margin=0.005, approved={}, alpha=alpha, overdispersion=1.0)
        assert not harms.any()


def _looks(stream: PodStream, minute: int) -> tuple[PodCounts, PodCounts]:
    stable, canary = (pods_until(arm, 0, minute * A_MINUTE) for arm in stream.counts(3, 1))
    return stable, canary


def test_what_is_over_harms_nobody_any_more() -> None:
    broken = PodStream(rate=1000, harm=Added(9.0, 5.0, 15.0))
    assert _harmful(*_looks(broken, 15)) == ["pod-0"]
    assert _harmful(*_looks(broken, 30)) == []


def test_pods_that_were_there_at_other_times_are_not_compared() -> None:
    """Two pods live through a storm on both versions, then three others take over."""
    stable, canary = _looks(PodStream(rate=1000), 30)
    assert canary.stretches is not None
    early = np.array([[1.0] * 3 + [0.0] * 3] * 2 + [[0.0] * 3 + [1.0] * 3] * 3)
    total = np.full((5, 6), 3000.0) * early
    bad = total * np.where(early[:, :1] > 0, 0.2, 0.005)
    bad[:2] *= np.array([[1.0], [1.02]])
    moved = PodCounts(canary.names, total.sum(axis=1), bad.sum(axis=1), BucketCounts(total, bad))
    assert _harmful(stable, moved) == []


def test_an_approved_pod_may_do_as_much_harm_as_it_did() -> None:
    stable, canary = _looks(PodStream(rate=1000, harm=step(0, 5)), 20)
    (named,) = bad_pods(
        stable,
        canary,
        names=("stable", "canary"),
        margin=0.005,
        gross_gap=0.1,
        alpha=0.0125,
        overdispersion=1.0,
        harmful=np.array([True] + [False] * 4),
    )
    assert named.harms
    assert named.share - named.siblings_share < named.harm_up_to < 0.08
    assert _harmful(stable, canary, {"pod-0": named.harm_up_to}) == []
    assert _harmful(stable, canary, {"pod-1": named.harm_up_to}) == ["pod-0"]


def test_more_than_half_of_the_pods_are_the_version() -> None:
    stable, canary = _looks(PodStream(rate=1000), 20)
    worse = replace(
        canary,
        bad=canary.total * np.array([0.06, 0.06, 0.06, 0.005, 0.005]),
        stretches=None,
    )
    assert len(_harmful(stable, worse)) <= 2


def test_stretches_are_few_however_long_the_plan() -> None:
    assert stretch_ms(3_600_000) == 300_000
    assert stretch_ms(7 * 86_400_000) == 7 * 86_400_000 // 96
