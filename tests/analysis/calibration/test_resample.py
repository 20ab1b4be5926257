"""Timelines: like the history, and divided so that versions do not differ."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.calibration.history import FAILED, GOOD
from analysis.calibration.resample import LONGEST_BLOCK, SHORTEST_BLOCK, draw_timeline, thin
from tests.builders.replays import bursty_history


def test_every_bucket_of_the_history_is_drawn_equally_often() -> None:
    rng = np.random.default_rng(1)
    drawn = np.concatenate([draw_timeline(rng, 25, 100) for _ in range(2000)])
    counts = np.bincount(drawn, minlength=25)
    # Blocks of about 7 make counts vary about 7 times as much as independent draws.
    assert np.abs(counts / counts.mean() - 1).max() < 4 * np.sqrt(7 / counts.mean())


def test_buckets_follow_each_other_in_blocks_of_4_to_10() -> None:
    rng = np.random.default_rng(2)
    timeline = draw_timeline(rng, 1000, 20_000)
    breaks = np.flatnonzero(np.diff(timeline) % 1000 != 1) + 1
    lengths = np.diff(breaks)
    assert lengths.min() == SHORTEST_BLOCK
    # Now and then a block happens to go on where the one before it ended.
    assert (lengths > LONGEST_BLOCK).mean() < 0.01
    assert abs(lengths.mean() - 7) < 0.15


def test_autocorrelation_of_the_history_stays() -> None:
    history = bursty_history(2000)
    share = history.failed / (history.failed + history.good)
    drawn = share[draw_timeline(np.random.default_rng(3), 2000, 20_000)]
    # One step in seven leads into another block, where the next bucket is unrelated.
    before, after = (np.corrcoef(x[1:], x[:-1])[0, 1] for x in (share, drawn))
    assert abs(after - before * 6 / 7) < 0.05


def test_a_plan_longer_than_the_history_is_filled() -> None:
    assert len(draw_timeline(np.random.default_rng(4), 20, 777)) == 777


def test_thinning_conserves_every_count() -> None:
    cells = bursty_history().cells
    shares = np.tile([0.7, 0.2, 0.1], (len(cells), 1))
    for bursts in (np.ones(cells.shape[1]), np.linspace(1, 40, cells.shape[1])):
        divided = thin(np.random.default_rng(5), cells, shares, bursts)
        assert divided.shape == (3, *cells.shape)
        assert np.array_equal(divided.sum(axis=0), cells)
        assert divided.min() >= 0


def test_thinning_gives_each_version_its_share_of_everything() -> None:
    cells = bursty_history().cells
    shares = np.tile([0.9, 0.1], (len(cells), 1))
    rng = np.random.default_rng(6)
    bursts = np.linspace(1, 7.5, cells.shape[1])
    found = np.mean([thin(rng, cells, shares, bursts)[1].sum(axis=0) for _ in range(400)], axis=0)
    expected = 0.1 * cells.sum(axis=0)
    error = np.sqrt(0.9 * bursts * expected / 400)
    assert (np.abs(found - expected) < 4.5 * error).all()


def test_versions_share_the_shocks_of_a_bucket() -> None:
    cells = bursty_history(per_bucket=20_000).cells
    bursts = np.ones(cells.shape[1])
    divided = thin(np.random.default_rng(8), cells, np.full((len(cells), 2), 0.5), bursts)
    first, second = (arm[:, FAILED] / (arm[:, FAILED] + arm[:, GOOD]) for arm in divided)
    assert np.corrcoef(first, second)[0, 1] > 0.9


@pytest.mark.parametrize("burst", [1.0, 2.0, 3.5, 6.25])
def test_thinning_in_bursts_varies_as_much_as_the_bursts_say(burst: float) -> None:
    cells = np.full((4000, 1), 500)
    shares = np.tile([0.8, 0.2], (len(cells), 1))
    candidate = thin(np.random.default_rng(9), cells, shares, np.array([burst]))[1, :, 0]
    found = candidate.var(ddof=1) / (500 * 0.2 * 0.8)
    assert abs(found / burst - 1) < 4 * np.sqrt(2 / 4000) + 0.01


def test_versions_of_a_bursty_history_are_as_bursty_as_it_is() -> None:
    rng = np.random.default_rng(10)
    answered = np.full(20_000, 1500)
    burst = 4.0
    share = beta_shares(rng, 0.01, (burst - 1) / 1499, answered.size)
    cells = np.asarray(rng.binomial(answered, share)).reshape(-1, 1)
    found = thin(rng, cells, np.full((len(cells), 2), 0.5), np.array([burst]))[:, :, 0]
    assert found.var(axis=1) / found.mean(axis=1) == pytest.approx([burst, burst], rel=0.08)
    # All of it is their own: one version's burst says nothing about the other.
    assert abs(np.corrcoef(found[0], found[1])[0, 1]) < 0.04


def beta_shares(
    rng: np.random.Generator, mean: float, correlation: float, size: int
) -> NDArray[np.float64]:
    """Shares that make binomial counts beta-binomial."""
    concentration = 1 / correlation - 1
    return np.asarray(rng.beta(mean * concentration, (1 - mean) * concentration, size))
