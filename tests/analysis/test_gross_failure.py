"""The exact test: a total failure within two buckets, no alarm from bursts or shared outages."""

import numpy as np
import pytest

from analysis.gross_failure import gross_failure_log_e
from analysis.paired_buckets import BucketCounts
from tests.analysis.streams import Traffic, simulate

ALPHA, PLANNED = 0.008, 120


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


@pytest.mark.parametrize("overdispersion", [1.0, 5.0])
def test_false_alarms_stay_below_alpha(overdispersion: float) -> None:
    rng = np.random.default_rng(11)
    traffic = Traffic(
        rate=100, base=0.02, harm=0.01, overdispersion=overdispersion, buckets=PLANNED
    )
    runs = [simulate(rng, traffic) for _ in range(500)]
    stacked = [
        BucketCounts(
            *(
                np.concatenate([getattr(run[arm], part) for run in runs])
                for part in ("total", "bad")
            )
        )
        for arm in (0, 1)
    ]
    log_e = gross_failure_log_e(
        *stacked, gap=np.full(500, 0.1), alpha=np.full(500, ALPHA), planned_buckets=PLANNED
    )
    alarms = (log_e >= -np.log(ALPHA)).mean()
    assert alarms <= ALPHA + 3 * np.sqrt(ALPHA * (1 - ALPHA) / 500)
