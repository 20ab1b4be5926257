"""The exact test: a total failure within two buckets, no alarm from bursts or shared outages."""

from typing import Any

import numpy as np
import pytest

from analysis.arrays import FloatArray
from analysis.requests.bucket_counts import BucketCounts
from analysis.requests.gross_failure import (
    GrossNull,
    ever_gross,
    gross_failure_path,
    gross_share_log_e,
)
from analysis.requests.paired_buckets import pair_buckets
from tests.builders.streams import Traffic, simulate, until

ALPHA, PLANNED = 0.008, 120


def gross_failure_log_e(
    baseline: BucketCounts, candidate: BucketCounts, **asked: Any
) -> FloatArray:
    """Largest log e-value so far."""
    path = gross_failure_path(baseline, candidate, GrossNull(**asked))
    return np.asarray(path.max(axis=-1, initial=0.0))


def _alarm_after(baseline: BucketCounts, candidate: BucketCounts) -> int | None:
    """The number of buckets at the first look that alarms."""
    for buckets in range(1, baseline.total.shape[1] + 1):
        log_e = gross_failure_log_e(
            *(
                BucketCounts(one.total[:, :buckets], one.bad[:, :buckets])
                for one in (baseline, candidate)
            ),
            gap=np.array([0.1]),
            alpha=np.array([ALPHA]),
            planned_buckets=PLANNED,
        )
        if log_e[0] >= -np.log(ALPHA):
            return buckets
    return None


def _counts(total: float, bad: list[float]) -> BucketCounts:
    return BucketCounts(np.full((1, len(bad)), total), np.array([bad]))


@pytest.mark.parametrize("healthy", [0, 30, 100])
def test_total_failure_is_found_in_its_second_bucket_whenever_it_starts(healthy: int) -> None:
    baseline = _counts(1400, [7.0] * (healthy + 4))
    candidate = _counts(75, [0.0] * healthy + [75.0] * 4)
    assert _alarm_after(baseline, candidate) == healthy + 2


def test_one_bad_bucket_alone_never_decides() -> None:
    candidate = _counts(75, [0.0, 0.0, 75.0] + [0.0] * 10)
    assert _alarm_after(_counts(1400, [7.0] * 13), candidate) is None


def test_an_outage_of_both_versions_is_no_failure_of_the_candidate() -> None:
    candidate = _counts(75, [0.0] * 5 + [75.0] * 10)
    assert _alarm_after(_counts(1400, [7.0] * 5 + [1400.0] * 10), candidate) is None


def test_one_bad_bucket_alone_never_decides_however_late_the_candidate_comes() -> None:
    absent, there = [0.0] * 100, [75.0] * 6
    candidate = BucketCounts(np.array([absent + there]), np.array([[*absent, 75.0, *[0.0] * 5]]))
    assert _alarm_after(_counts(1400, [7.0] * 106), candidate) is None


def test_share_within_factor_and_gap_is_never_gross() -> None:
    baseline, candidate = _counts(1400, [420.0] * 60), _counts(700, [470.0] * 60)
    log_e = [
        gross_failure_log_e(
            baseline,
            candidate,
            gap=np.array([0.1]),
            alpha=np.array([ALPHA]),
            planned_buckets=PLANNED,
            factor=factor,
        )[0]
        for factor in (1.0, 2.0)
    ]
    assert log_e[0] > -np.log(ALPHA)
    assert log_e[1] < 1


def test_buckets_past_the_plans_end_add_no_evidence() -> None:
    healthy = _counts(75, [0.0] * PLANNED + [75.0] * 10)
    assert _alarm_after(_counts(1400, [7.0] * (PLANNED + 10)), healthy) is None


@pytest.mark.parametrize(
    "traffic",
    [
        Traffic(base=0.02, harm=0.1),
        Traffic(base=0.02, harm=0.025, overdispersion=5),
        Traffic(base=0.02, harm=0.025, overdispersion=5, rate=20),
        Traffic(base=0.3, harm=0.025, overdispersion=5, rate=20),
    ],
    ids=["at the edge of the hypothesis", "bursts", "few requests", "slow requests"],
)
def test_false_alarms_over_all_looks_stay_below_alpha(traffic: Traffic) -> None:
    runs = 500
    baseline, candidate = simulate(np.random.default_rng(11), traffic, runs)
    alarmed = np.zeros(runs, bool)
    for buckets in range(2, traffic.buckets + 1, 4):
        seen = until(baseline, buckets), until(candidate, buckets)
        log_e = gross_failure_log_e(
            *seen,
            gap=np.full(runs, 0.1),
            alpha=np.full(runs, ALPHA),
            planned_buckets=PLANNED,
            overdispersion=pair_buckets(*seen).overdispersion_baseline,
        )
        alarmed |= log_e >= -np.log(ALPHA)
    assert alarmed.mean() <= ALPHA + 3 * np.sqrt(ALPHA * (1 - ALPHA) / runs)


@pytest.mark.parametrize(
    "traffic",
    [Traffic(overdispersion=5), Traffic(base=0.1, shock=1.0), Traffic(shock=1.0, rate=20)],
    ids=["bursts", "shocks", "shocks and few requests"],
)
def test_outage_is_found_within_a_minute(traffic: Traffic) -> None:
    baseline, candidate = simulate(np.random.default_rng(12), traffic, 200)
    candidate.bad[:, 8:] = candidate.total[:, 8:]
    seen = until(baseline, 12), until(candidate, 12)
    log_e = gross_failure_log_e(
        *seen,
        gap=np.full(200, 0.1),
        alpha=np.full(200, ALPHA),
        planned_buckets=PLANNED,
        overdispersion=pair_buckets(*seen).overdispersion_baseline,
    )
    assert (log_e >= -np.log(ALPHA)).mean() >= 0.95


def test_a_candidate_alone_at_the_limit_alarms_seldom_over_all_looks() -> None:
    """The limit itself is the worst of the null hypothesis; what is kept is the largest so far."""
    runs = 2000
    total = np.full((runs, PLANNED), 100.0)
    bad = np.random.default_rng(5).binomial(100, 0.15, total.shape).astype(float)
    log_e = gross_share_log_e(
        BucketCounts(total, bad),
        limit=np.full(runs, 0.15),
        alone=np.ones(PLANNED, bool),
        alpha=np.full(runs, ALPHA),
        planned_buckets=PLANNED,
    )
    alarmed = log_e >= -np.log(ALPHA)
    assert alarmed.mean() <= ALPHA + 3 * np.sqrt(ALPHA * (1 - ALPHA) / runs)


@pytest.mark.parametrize("rate", [50.0, 200.0, 2000.0])
def test_what_is_ever_gross_is_what_the_path_reaches(rate: float) -> None:
    # Harms from none to a total failure, which begin at any time, beside metrics without a request.
    rng, runs, buckets = np.random.default_rng(11), 600, 40
    total = [rng.poisson(rate * share, (runs, buckets)).astype(float) for share in (0.9, 0.1)]
    total[1][::50] = 0.0
    begun = np.arange(buckets) >= rng.integers(0, buckets, (runs, 1))
    harm = np.where(begun, rng.choice([0.0, 0.12, 0.25, 0.5, 0.98], (runs, 1)), 0.0)
    bad = [
        rng.binomial(n.astype(int), 0.02 + h)
        for n, h in zip(total, (np.zeros(1), harm), strict=True)
    ]
    baseline, candidate = (
        BucketCounts(n, x.astype(float)) for n, x in zip(total, bad, strict=True)
    )
    null = GrossNull(
        gap=np.full(runs, 0.1),
        alpha=rng.choice([0.001, 0.01, 0.4], runs),
        planned_buckets=PLANNED,
        factor=rng.choice([1.0, 2.0], runs),
        overdispersion=rng.choice([1.0, 3.0], runs),
    )
    reached = gross_failure_path(baseline, candidate, null).max(axis=-1) >= -np.log(null.alpha)
    assert (ever_gross(baseline, candidate, null) == reached).all()
    assert 0.1 < reached.mean() < 0.9
