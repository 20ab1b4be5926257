"""What began and never ended: known from running sums, though requests are always in flight."""

from __future__ import annotations

import numpy as np

from analysis.requests.unanswered import surely_unended, unended

BUCKETS = 40


def test_what_never_ends_is_counted_when_it_began() -> None:
    begun = np.full(BUCKETS, 100.0)
    ended = np.full(BUCKETS, 70.0)
    assert unended(begun, ended).tolist() == [30.0] * BUCKETS


def test_what_is_in_flight_counts_once_and_not_in_every_bucket() -> None:
    rng = np.random.default_rng(1)
    begun = rng.poisson(100, BUCKETS).astype(float)
    # A tenth of each bucket's requests ends in the next one.
    late = np.round(begun / 10)
    ended = begun - late + np.concatenate([[0.0], late[:-1]])
    assert unended(begun, ended).sum() <= late.max()


def test_scrapes_that_are_not_atomic_leave_nothing() -> None:
    begun = np.full(BUCKETS, 100.0)
    skew = np.where(np.arange(BUCKETS) % 2 == 0, 3.0, -3.0)
    assert unended(begun, begun + skew).sum() == 0
    assert unended(begun, begun - skew).sum() <= 3


def test_more_ends_than_beginnings_are_no_debt() -> None:
    begun, ended = np.full(BUCKETS, 100.0), np.full(BUCKETS, 100.0)
    ended[0] += 500  # of requests that had begun before
    begun[20:], ended[20:] = 100.0, 0.0
    assert unended(begun, ended).sum() == 1500


def test_answers_that_take_long_are_not_surely_missing() -> None:
    begun, ended = np.full(BUCKETS, 100.0), np.full(BUCKETS, 100.0)
    ended[:2] = 0.0  # every answer takes two buckets, for ever
    assert surely_unended(begun, ended, buckets=2).sum() == 0
    assert unended(begun, ended).sum() == 200


def test_where_nothing_ends_it_is_sure_after_the_longest_flight() -> None:
    begun, ended = np.full(BUCKETS, 100.0), np.zeros(BUCKETS)
    sure = surely_unended(begun, ended, buckets=2)
    assert sure[:2].tolist() == [0.0, 0.0]
    assert sure[2:].tolist() == [100.0] * (BUCKETS - 2)
