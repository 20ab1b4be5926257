"""Harm since a start that is fixed beforehand: at one look, at its level."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.arrays import FloatArray
from analysis.requests.bucket_counts import BucketCounts
from analysis.requests.fixed_starts import SinceStarts, harm_since_starts
from tests.builders.changing_streams import A_MINUTE, Added, Stream, step

GAP, ALPHA = 0.005, 0.0169


def _since(arms: tuple[BucketCounts, BucketCounts], *minutes: int) -> SinceStarts:
    rows = np.ones(len(arms[0].total))
    return harm_since_starts(
        arms,
        A_MINUTE * np.array(minutes),
        factor=rows,
        gap=GAP * rows,
        alpha=np.full((len(minutes), len(rows)), ALPHA),
    )


def _found(stream: Stream, *minutes: int, runs: int = 200) -> FloatArray:
    """Share of runs in which harm is proven, by start."""
    return np.asarray(np.isfinite(_since(stream.counts(9, runs), *minutes).lower).mean(axis=1))


def test_two_points_since_then_are_found_from_a_request_a_second() -> None:
    """Were all known but the candidate's rate, a test of this level would find 97 %."""
    assert _found(Stream(rate=20, harm=step(40, 2)), 40)[0] >= 0.9
    assert _found(Stream(rate=20, harm=step(30, 2)), 30)[0] >= 0.98


@pytest.mark.parametrize("like", [Stream(rate=20), Stream(rate=1000), Stream(bursts=10)])
def test_the_level_holds_at_the_margin(like: Stream) -> None:
    wrong = _found(replace(like, harm=step(0, 0.5)), 30, 40, runs=1000)
    assert (wrong <= ALPHA + 3 * np.sqrt(ALPHA / 1000)).all()


def test_states_that_the_baseline_shows_are_allowed_for() -> None:
    assert _found(Stream(rate=20, state=1.0, state_s=300), 30, 40, runs=500).max() <= 0.02


def test_the_bound_lies_between_margin_and_what_was_seen() -> None:
    found = _since(Stream(harm=step(30, 2)).counts(2, 20), 30)
    proven = np.isfinite(found.lower)
    assert proven.mean() >= 0.9
    lower = found.lower[proven]
    assert (lower > GAP).all()
    assert (lower < (found.candidate - found.baseline)[proven]).all()
    assert lower.mean() == pytest.approx(0.015, abs=0.003)


def test_what_is_over_decides_nothing() -> None:
    """Nine points for ten minutes are three of half an hour."""
    assert _found(Stream(rate=1000, harm=Added(9.0, 30.0, 40.0)), 30, runs=20) == 0


def test_few_buckets_and_no_traffic_are_no_evidence() -> None:
    assert _found(Stream(harm=step(0, 50)), 53, runs=5) == 0
    silent = BucketCounts(np.zeros((1, 120)), np.zeros((1, 120)))
    assert _since((silent, silent), 15).lower == -np.inf


def test_a_start_before_the_first_bucket_is_the_first() -> None:
    arms = Stream(harm=step(0, 2)).counts(3, 4)
    assert (_since(arms, -5).lower == _since(arms, 0).lower).all()
