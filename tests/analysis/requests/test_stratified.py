"""Strata as one pair of versions: their information, and no share by who has more of one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.requests.bucket_counts import BucketCounts, information
from analysis.requests.stratified import stratified_counts

COUNTS = st.tuples(st.integers(0, 10_000), st.floats(0, 1))


def _pair(
    baseline: tuple[int, float], candidate: tuple[int, float]
) -> tuple[BucketCounts, BucketCounts]:
    one, other = (
        BucketCounts(np.array([[float(n)]]), np.array([[n * share]]))
        for n, share in (baseline, candidate)
    )
    return one, other


@given(st.lists(st.tuples(COUNTS, COUNTS), min_size=1, max_size=5))
def test_information_and_shares_are_those_of_the_strata(
    strata: list[tuple[tuple[int, float], tuple[int, float]]],
) -> None:
    pairs = [_pair(*each) for each in strata]
    together = stratified_counts(pairs)
    weights = np.array([information(*pair).item() for pair in pairs])
    # Two versions below one request each weigh less in `information`; none is made up.
    assert information(*together).item() == pytest.approx(weights.sum(), rel=1e-9, abs=1)
    for side, found in enumerate(together):
        shares = np.array([pair[side].share.item() for pair in pairs])
        if weights.sum() > 0:
            assert found.share.item() == pytest.approx(np.average(shares, weights=weights))
        assert found.total.item() <= sum(pair[side].total.item() for pair in pairs) + 1e-6


def test_more_requests_of_a_worse_stratum_are_no_harm() -> None:
    """Pooled, the candidate would have 8.2 % and the baseline 1.8 %."""
    strata = [_pair((900, 0.01), (100, 0.01)), _pair((100, 0.09), (900, 0.09))]
    baseline, candidate = stratified_counts(strata)
    assert candidate.share.item() == pytest.approx(baseline.share.item())


def test_one_stratum_is_itself() -> None:
    pair = _pair((900, 0.01), (100, 0.04))
    for found, given_ in zip(stratified_counts([pair]), pair, strict=True):
        assert found.total.item() == pytest.approx(given_.total.item())
        assert found.bad.item() == pytest.approx(given_.bad.item())
