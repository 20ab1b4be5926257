"""Storms are told by the baseline alone."""

from __future__ import annotations

import numpy as np

from analysis.requests.storms import stormy_buckets, without_buckets
from tests.builders.changing_streams import A_MINUTE, STORM, Stream, leak


def test_a_storm_is_found_with_its_ends() -> None:
    baseline, _ = Stream(both=STORM).counts(1, 20)
    storm = stormy_buckets(baseline)
    assert storm[:, 20 * A_MINUTE : 25 * A_MINUTE].all()
    assert storm.sum(axis=1).max() <= 5 * A_MINUTE + 4


def test_ordinary_traffic_has_next_to_none() -> None:
    """Bursts of ten failures look like one now and then."""
    for stream in (Stream(), Stream(bursts=10), Stream(rate=20), Stream(diurnal=0.6)):
        baseline, _ = stream.counts(2, 50)
        assert stormy_buckets(baseline).mean() < 0.005


def test_what_lasts_is_no_storm() -> None:
    baseline, _ = Stream(both=leak(20)).counts(3, 10)
    assert not stormy_buckets(baseline).any()


def test_no_requests_are_no_storm_and_left_out_ones_count_nothing() -> None:
    baseline, _ = Stream(rate=0.0, buckets=8).counts(4, 2)
    assert not stormy_buckets(baseline).any()
    baseline, _ = Stream(buckets=8).counts(4, 2)
    left_out = np.zeros((2, 8), dtype=np.bool_)
    left_out[:, 3:] = True
    kept = without_buckets(baseline, left_out)
    assert kept.total[:, 3:].sum() == 0
    assert (kept.total[:, :3] == baseline.total[:, :3]).all()
