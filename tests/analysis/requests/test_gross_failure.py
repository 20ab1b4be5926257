"""The exact test: a total failure within two buckets, no alarm from bursts or shared outages."""

from typing import Any

import numpy as np
import pytest

from analysis.arrays import FloatArray
from analysis.requests.bucket_counts import BucketCounts
from analysis.requests.gross_failure import gross_failure_path, gross_share_log_e
from analysis.requests.paired_buckets import pair_buckets
from tests.builders.streams import Traffic, simulate, until

ALPHA, PLANNED = 0.008, 120


def gross_failure_log_e(*counts: BucketCounts, **asked: Any) -> FloatArray:
    """Largest log e-value so far."""
    return np.asarray(gross_failure_path(*counts, **asked).max(axis=-1, initial=0.0))


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
