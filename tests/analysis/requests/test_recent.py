"""The last part of the plan, and where the trend leads.

Covers analysis.judge.recent_health.
"""

from __future__ import annotations

import numpy as np
import pytest

from analysis.requests.recent import last_part, recent_excess
from tests.builders.changing_streams import Added, Stream, leak, step

RUNS = 60


def test_the_last_part_is_half_of_the_time_or_the_least() -> None:
    assert last_part(240, 40) == 120
    assert last_part(60, 40) == 20
    assert last_part(30, 40) == 0


def test_the_last_part_shows_harm_that_the_whole_hides() -> None:
    arms = Stream(rate=1000, harm=step(45, 1), buckets=240).counts(1, RUNS)
    found = recent_excess(*arms, np.ones(RUNS), least=40, left=0)
    assert found.begin == 120
    assert found.ahead is None
    assert found.last.estimate.mean() == pytest.approx(0.005, abs=0.0005)


def test_the_trend_is_followed_for_as_long_as_was_seen() -> None:
    """A leak to 4 points in an hour, after 20 minutes: 2 points in the middle of what comes."""
    arms = Stream(rate=1000, harm=leak(4), buckets=80).counts(2, RUNS)
    found = recent_excess(*arms, np.ones(RUNS), least=40, left=160)
    assert found.coming == 80
    assert found.ahead is not None
    for trend in (found.ahead.line, found.ahead.from_none):
        assert trend.estimate.mean() == pytest.approx(0.02, abs=0.002)
    assert found.ahead.from_none.upper_error.mean() < 0.7 * found.ahead.line.upper_error.mean()


def test_who_was_better_at_the_start_and_grows_worse_stays_not_within_the_margin() -> None:
    """From half a point better to one and a half worse in an hour: the line from no harm is low."""
    better = Stream(rate=5000, base=0.01, buckets=100, both=Added(0.5, 0.0))
    stable = better.counts(5, RUNS)[0]
    canary = Stream(rate=5000, base=0.01, buckets=100, harm=leak(2)).counts(6, RUNS)[1]
    found = recent_excess(stable, canary, np.ones(RUNS), least=40, left=140)
    assert found.ahead is not None
    assert found.ahead.from_none.estimate.mean() < found.ahead.line.estimate.mean()
    assert found.stays_below(0.005, alpha=0.025, n_opt=240.0).mean() == 0.0


def test_health_stays_within_the_margin_and_a_leak_does_not() -> None:
    for harm, expected in ((leak(0), 1.0), (leak(2), 0.0)):
        arms = Stream(rate=1000, harm=harm, buckets=120).counts(3, RUNS)
        found = recent_excess(*arms, np.ones(RUNS), least=40, left=120)
        assert found.stays_below(0.005, alpha=0.025, n_opt=240.0).mean() == pytest.approx(
            expected, abs=0.1
        )
