"""Timelines: like the history, and divided so that versions do not differ."""

from __future__ import annotations

import numpy as np

from analysis.calibration.history import FAILED, GOOD
from analysis.calibration.resample import LONGEST_BLOCK, SHORTEST_BLOCK, draw_timeline, thin
from tests.analysis.calibration.replays import bursty_history


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
    divided = thin(np.random.default_rng(5), cells, shares)
    assert divided.shape == (3, *cells.shape)
    assert np.array_equal(divided.sum(axis=0), cells)
    assert divided.min() >= 0


def test_thinning_gives_each_version_its_share_of_everything() -> None:
    cells = bursty_history().cells
    shares = np.tile([0.9, 0.1], (len(cells), 1))
    rng = np.random.default_rng(6)
    found = np.mean([thin(rng, cells, shares)[1].sum(axis=0) for _ in range(400)], axis=0)
    expected = 0.1 * cells.sum(axis=0)
    error = np.sqrt(0.9 * expected / 400)
    assert (np.abs(found - expected) < 4.5 * error).all()


def test_versions_share_the_shocks_of_a_bucket() -> None:
    cells = bursty_history(per_bucket=20_000).cells
    divided = thin(np.random.default_rng(8), cells, np.full((len(cells), 2), 0.5))
    first, second = (arm[:, FAILED] / (arm[:, FAILED] + arm[:, GOOD]) for arm in divided)
    assert np.corrcoef(first, second)[0, 1] > 0.9
