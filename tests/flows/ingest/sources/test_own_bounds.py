"""Native histograms with bounds of their own (NHCB), as Prometheus 3 answers them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from flows.ingest.sources.native_samples import EDGES, native_samples

Bucket = tuple[float | str, float | str, int]


def _series(pod: str, *scrapes: Sequence[Bucket]) -> dict[str, Any]:
    return {
        "metric": {"__name__": "latency", "pod": pod},
        "histograms": [
            [
                1000.0 + 15 * i,
                {
                    "count": str(sum(count for _, _, count in buckets)),
                    "buckets": [
                        [3 if left == "-Inf" else 0, str(left), str(right), str(count)]
                        for left, right, count in buckets
                    ],
                },
            ]
            for i, buckets in enumerate(scrapes)
        ],
    }


def _last(result: Sequence[Mapping[str, Any]], pod: str) -> dict[float, float]:
    found = native_samples(result)
    assert found.warnings == ()
    return {
        float(labels["le"]): float(found.values[found.offsets[i + 1] - 1])
        for i, labels in enumerate(found.labels)
        if labels["pod"] == pod
    }


def test_counts_at_their_own_bounds_are_exact() -> None:
    one = _series("a", [("-Inf", 7, 4)], [("-Inf", 7, 5), (77, 777, 3), (7777, "+Inf", 2)])
    found = _last([one], "a")
    assert [found[edge] for edge in (7, 77, 777, 7777, float("inf"))] == [5, 5, 8, 8, 10]
    # Usual bounds that no bucket straddles are as exact; the others aren't there.
    assert (found[50], found[1000]) == (5, 8)
    assert not {100, 500, 10_000} & set(found)


def test_a_bound_that_another_pod_shows_is_known_of_all() -> None:
    """Empty buckets aren't listed: this pod has the bound 777 as well, between two empty ones."""
    fast = _series("a", [("-Inf", 7, 4)])
    slow = _series("b", [("-Inf", 7, 1), (77, 777, 2), (777, 7777, 1)])
    assert _last([fast, slow], "a")[777] == 4
    assert _last([fast, slow], "b")[777] == 3


@pytest.mark.parametrize("threshold", [2.0**-128, 0.001, 0.37])
def test_standard_schemas_are_read_at_the_edges_of_all(threshold: float) -> None:
    """Whatever the bound of their zero bucket is."""
    root = 2.0**0.25
    zero: Bucket = (-threshold, threshold, 1)
    one = _series("a", [zero, (512 / root, 512, 3), (1024, 1024 * root, 2)])
    found = _last([one], "a")
    assert set(found) <= set(EDGES.tolist())
    assert (found[512], found[1024], found[2048]) == (4, 4, 6)


def test_both_kinds_beside_each_other_keep_their_edges() -> None:
    own = _series("a", [("-Inf", 250, 4), (500, 1000, 3)])
    standard = _series("b", [(512, 1024, 3)])
    assert 1000 in _last([own, standard], "a")
    assert 1000 not in _last([own, standard], "b")
    assert _last([own, standard], "b")[1024] == 3
