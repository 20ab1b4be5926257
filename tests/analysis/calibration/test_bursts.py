"""Bursts are found in one version's buckets, and replays have them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.arrays import IntArray
from analysis.calibration.bursts import burst_size, bursts_of_cells, bursts_of_metrics
from analysis.calibration.history import FAILED, GOOD, LATENCY, OTHER, History
from analysis.calibration.injections import NO_HARM
from analysis.calibration.judges import Judge, Runs, decide
from analysis.calibration.outcome import ROLLBACK
from analysis.calibration.replay import Replay, groups_of, simulate
from analysis.requests.bucket_counts import BucketCounts
from tests.builders.replays import BUCKET_MS, bursty_history, plan_of, replay_of

TOTAL = 1500


def bad_requests(
    burst: float, buckets: int, *, mean: float = 15.0, total: int = TOTAL, seed: int = 1
) -> IntArray:
    """Beta-binomial failures of one version with this variance over the binomial one."""
    rng = np.random.default_rng(seed)
    share = mean / total
    if burst == 1:
        return rng.binomial(total, share, buckets)
    concentration = (total - 1) / (burst - 1) - 1
    return rng.binomial(
        total, rng.beta(share * concentration, (1 - share) * concentration, buckets)
    )


@pytest.mark.parametrize("burst", [1.0, 2.0, 4.0])
@pytest.mark.parametrize("mean", [1.0, 15.0, 150.0])
def test_the_size_of_bursts_is_found(burst: float, mean: float) -> None:
    total = np.full(4000, TOTAL)
    found = np.mean(
        [burst_size(bad_requests(burst, 4000, mean=mean, seed=s), total) for s in range(8)]
    )
    # Extreme buckets are cut, so large bursts come out a tenth too small.
    assert 0.8 * burst < found < 1.1 * burst


def test_a_short_history_with_few_failures_is_not_taken_to_be_bursty() -> None:
    total = np.full(76, TOTAL)
    found = [burst_size(bad_requests(1.0, 76, mean=0.8, seed=s), total) for s in range(200)]
    assert np.mean(found) < 1.25
    assert np.quantile(found, 0.9) < 1.6


def test_a_slow_shock_is_no_burst() -> None:
    day = 0.01 * (1 + 0.8 * np.sin(np.linspace(0, 12, 1000)))
    bad = np.random.default_rng(2).binomial(TOTAL, day)
    assert bad.var() / bad.mean() > 4
    assert burst_size(bad, np.full(1000, TOTAL)) < 1.2


def test_an_outage_is_no_burst() -> None:
    bad = bad_requests(1.0, 400)
    bad[200:220] = TOTAL // 2
    assert burst_size(bad, np.full(400, TOTAL)) < 1.5


@pytest.mark.parametrize("bad", [0, TOTAL])
def test_equal_buckets_have_no_bursts(bad: int) -> None:
    assert burst_size(np.full(50, bad), np.full(50, TOTAL)) == 1


def test_buckets_without_requests_say_nothing() -> None:
    bad, total = bad_requests(3.0, 400), np.full(400, TOTAL)
    gaps_bad, gaps_total = (np.insert(c, [100, 100, 300], 0) for c in (bad, total))
    assert burst_size(gaps_bad, gaps_total) == burst_size(bad, total)
    assert burst_size(np.zeros(30, dtype=np.int64), np.zeros(30, dtype=np.int64)) == 1


def test_only_bad_cells_come_in_bursts() -> None:
    history = replace(bursty_history(), failed=bad_requests(4.0, 200))
    cells = bursts_of_cells(history, ("errors", "slow"), {"slow": 250.0})
    sizes = bursts_of_metrics(history, ("errors", "slow"), {"slow": 250.0})
    assert cells[[OTHER, GOOD]].tolist() == [1, 1]
    assert cells[FAILED] == pytest.approx(sizes["errors"], rel=0.05)
    assert cells[FAILED] > 2.5
    # Up to 250 ms is not slow.
    assert (cells[LATENCY : LATENCY + 4] == 1).all()
    assert len(set(cells[LATENCY + 4 :].tolist())) == 1


def test_a_metric_without_a_known_edge_has_no_bursts() -> None:
    assert bursts_of_metrics(bursty_history(), ("slow",), {"slow": None}) == {"slow": 1}


@pytest.mark.parametrize("burst", [1.0, 4.0])
def test_false_alarms_are_said_as_often_as_bursty_versions_raise_them(burst: float) -> None:
    """What a replay of the whole service says, beside fresh runs of two versions of their own."""
    plan = plan_of(10)
    plan = replace(plan, metrics=plan.metrics[:1])
    seeds = ((1200, 12.0, 3), (300, 3.0, 4))
    failed = sum(bad_requests(burst, 400, mean=m, total=n, seed=s) for n, m, s in seeds)
    replay = service(replay_of(plan), np.asarray(failed))
    said = [
        decide(Judge.Z_TEST, replay.setting, simulate(replay, NO_HARM, group)).decision == ROLLBACK
        for group in groups_of(replay, 300)
    ]
    truth = decide(Judge.Z_TEST, replay.setting, two_versions(burst, 300)).decision == ROLLBACK
    # Three standard errors of the difference of two shares of 300 runs.
    assert abs(np.concatenate(said).mean() - truth.mean()) < 0.12
    assert (truth.mean() > 0.4) == (burst > 1)


def service(replay: Replay, failed: IntArray) -> Replay:
    """The replay with a history of errors alone."""
    buckets = len(failed)
    history = History(
        starts_ms=np.arange(buckets) * BUCKET_MS,
        other=np.zeros(buckets, dtype=np.int64),
        good=TOTAL - failed,
        failed=failed,
        edges_ms=np.array([]),
        latency=np.zeros((buckets, 0), dtype=np.int64),
    )
    setting = replace(replay.setting, thresholds=replay.setting.thresholds[:1])
    return Replay(history, setting, {}, 1)


def two_versions(burst: float, runs: int) -> Runs:
    """20 %, then 40 % of the requests to the canary; each version fails in bursts of its own."""
    counts, split = {}, (0.2, 0.4)
    for number, name in enumerate(("stable", "canary")):
        halves = []
        for half, share in enumerate(split):
            total = round(TOTAL * (share if name == "canary" else 1 - share))
            bad = bad_requests(
                burst, runs * 20, mean=0.01 * total, total=total, seed=20 + 2 * number + half
            )
            halves.append((np.full((runs, 20), total), bad.reshape(runs, 20)))
        counts[name] = BucketCounts(
            *(
                np.concatenate(part, axis=1)[:, None].astype(float)
                for part in zip(*halves, strict=True)
            )
        )
    return Runs({name: c.total[:, 0] for name, c in counts.items()}, counts)
