"""Noise around a level that changed once."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.requests.level_noise import LevelNoise, noise_around
from analysis.requests.long_run_variance import LaggedProducts, variance_inflation
from tests.builders.changing_streams import Stream, step

RUNS = 40


def _noise(stream: Stream, start: int, gap: float = 0.005) -> LevelNoise:
    return noise_around(
        *stream.counts(5, RUNS),
        factor=np.ones(RUNS),
        gap=np.full(RUNS, gap),
        row=np.arange(RUNS),
        start=np.full(RUNS, start, dtype=np.int64),
    )


def test_a_step_at_the_start_is_no_persistence() -> None:
    stream = Stream(rate=1000, harm=step(30, 5), buckets=160)
    around = _noise(stream, 120)
    assert np.median(around.persistent) < 1.6
    assert np.median(around.degrees) > 40


def test_without_the_start_the_same_step_is_taken_for_persistence() -> None:
    assert np.median(_noise(Stream(rate=1000, harm=step(30, 5), buckets=160), 0).persistent) > 50


def test_bursts_are_seen_on_either_side() -> None:
    assert np.median(_noise(Stream(bursts=10), 120).bursts) == pytest.approx(10, rel=0.25)


def test_states_of_minutes_add_noise_that_a_window_bounds() -> None:
    """A window can hold no more of a state than all of it."""
    stream = Stream(rate=1000, state=0.5, state_s=300)
    short, long = _noise(stream, 232), _noise(stream, 120)
    assert np.median(long.states) > 2 * np.median(short.states) > 0
    calm = _noise(Stream(rate=1000), 120)
    assert np.median(calm.states) < 0.1 * np.median(long.states)


def test_states_are_as_large_for_a_higher_level_as_the_baselines_are_for_its_own() -> None:
    stream = Stream(rate=1000, state=0.2, state_s=60)
    plain, higher = (_noise(stream, 120, gap).states for gap in (0.0, 0.005))
    # Of 0.5 % and of 1 %: (1 + 4) / (1 + 1), where the difference varies by as much.
    assert np.median(higher / plain) > 1.2
    assert (higher >= plain).all()


def test_what_both_versions_share_is_no_state_of_one() -> None:
    own, shared = Stream(rate=1000, state=0.5, state_s=60), Stream(rate=1000, shock=0.5, shock_s=60)
    assert np.median(_noise(shared, 120).states) < 0.5 * np.median(_noise(own, 120).states)


def test_few_buckets_have_no_degrees_of_freedom_to_speak_of() -> None:
    noise = _noise(Stream(buckets=4), 0)
    assert (noise.degrees < 3).all()
    assert np.isfinite(noise.persistent).all()


def test_a_constant_series_inflates_nothing() -> None:
    nothing = np.zeros((3, 1))
    products = LaggedProducts(nothing, nothing, nothing, np.array([40.0]))
    assert products.inflation() == 1
    assert variance_inflation(nothing, np.array([40.0])) == 1


def test_the_first_buckets_of_a_plan_are_believed_to_vary_as_sampling_has_it() -> None:
    """By more than as many later ones, unless the baseline is seen to have states of its own."""
    calm = _noise(Stream(buckets=14), 0)
    assert np.median(calm.degrees) > 35
    assert np.median(calm.persistent) < 1.2
    assert np.median(_noise(Stream(buckets=134), 120).degrees) > 100  # by what was before
    assert np.median(_noise(Stream(buckets=40), 0).degrees) < 45
    own = _noise(Stream(rate=1000, state=1.0, state_s=60, buckets=14), 0)
    assert np.median(own.degrees) < 10
    assert np.median(own.persistent) > 5
