"""Native histograms: counts at exact edges, and changes of resolution."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from analysis.counting.native_histograms import (
    NativeHistogram,
    cumulative,
    exponential_edges,
)
from flows.ingest.sources.native_samples import EDGES, native_samples
from flows.ingest.sources.samples import SourceRefused

INF = float("inf")
Float = NDArray[np.float64]


def _histogram(*buckets: tuple[float, float, float]) -> NativeHistogram:
    left, right, counts = np.array(buckets, float).reshape(-1, 3).T
    return NativeHistogram(left, right, counts)


def _of(values: Float, schema: int) -> NativeHistogram:
    """As a server counts: only buckets that hold something, at the bounds of the schema."""
    index = np.ceil(np.log2(values) * 2.0**schema)
    used, counts = np.unique(index, return_counts=True)
    step = 2.0**-schema
    return NativeHistogram(2.0 ** ((used - 1) * step), 2.0 ** (used * step), counts.astype(float))


def test_counts_are_known_at_edges_that_no_bucket_straddles() -> None:
    histogram = _histogram((0, 1, 2), (1, 2, 3), (4, 8, 5))
    found = cumulative(histogram, np.array([0.5, 1, 1.5, 2, 3, 4, 5, 8, 100, INF]))
    np.testing.assert_array_equal(found, [np.nan, 2, np.nan, 5, 5, 5, np.nan, 10, 10, 10])


def test_edges_that_differ_by_rounding_are_one() -> None:
    edge = 2.0**0.25
    for written in (edge, np.nextafter(edge, 2), np.nextafter(edge, 1)):
        assert cumulative(_histogram((1, written, 8)), np.array([1, edge])).tolist() == [0, 8]


@given(
    values=st.lists(st.floats(0.001, 1000), min_size=1, max_size=60),
    schemas=st.tuples(st.integers(0, 5), st.integers(0, 5)),
)
@settings(max_examples=200)
def test_counts_at_the_edges_of_a_coarser_schema_are_what_was_observed(
    values: list[float], schemas: tuple[int, int]
) -> None:
    """So differences at such edges survive a change of resolution between two scrapes."""
    coarse, fine = sorted(schemas)
    edges = exponential_edges(coarse, 1 / 1024, 1024)
    places = np.arange(-10 * 2**coarse, 10 * 2**coarse + 1)
    at = np.ceil(np.log2(np.array(values)) * 2.0**coarse)
    expected = [*(at[:, None] <= places).sum(axis=0).tolist(), len(values)]
    assert cumulative(_of(np.array(values), fine), edges).tolist() == expected


def test_bounds_of_a_schema_are_among_those_of_every_finer_one() -> None:
    coarse, fine = (exponential_edges(schema, 0.25, 4) for schema in (0, 3))
    assert coarse.tolist() == [0.25, 0.5, 1, 2, 4, INF]
    assert np.isin(coarse, fine).all()
    assert len(fine) == 34


def _entry(seconds: float, *buckets: tuple[int, str, str, str]) -> list[object]:
    total = str(sum(float(bucket[3]) for bucket in buckets))
    return [seconds, {"count": total, "sum": "1", "buckets": [list(b) for b in buckets]}]


def test_answer_of_the_api_becomes_classic_buckets() -> None:
    """The fields of https://prometheus.io/docs/prometheus/latest/querying/api/#histograms."""
    result = [
        {"metric": {"__name__": "plain", "pod": "a"}, "values": [[1, "2"]]},
        {
            "metric": {"__name__": "latency_seconds", "pod": "a"},
            "histograms": [
                _entry(15.0, (0, "0.5", "1", "3")),
                _entry(30.001, (0, "0.5", "1", "4"), (0, "1", "2", "2")),
            ],
        },
    ]
    found = native_samples(result)
    assert found.warnings == ()
    rows = {
        labels["le"]: found.values[found.offsets[i] : found.offsets[i + 1]].tolist()
        for i, labels in enumerate(found.labels)
    }
    assert {labels["__name__"] for labels in found.labels} == {"latency_seconds_bucket"}
    assert {labels["pod"] for labels in found.labels} == {"a"}
    assert rows["0.5"] == [0, 0]
    assert rows["1.0"] == [3, 4]
    assert rows["2.0"] == [3, 6]
    assert rows["+Inf"] == [3, 6]
    assert repr(float(2**0.5)) not in rows
    assert found.ts_ms[:2].tolist() == [15_000, 30_001]
    assert len(found.offsets) == len(found.labels) + 1


def test_edges_are_the_same_for_every_series_but_those_it_straddles() -> None:
    fine = {"metric": {"__name__": "x"}, "histograms": [_entry(1, (0, "1.0", repr(2**0.125), "3"))]}
    labels = {sample["le"] for sample in native_samples([fine]).labels}
    assert len(labels) == len(EDGES)


def test_histogram_that_is_too_coarse_is_named() -> None:
    coarse = {"metric": {"__name__": "x"}, "histograms": [_entry(1, (3, "0", "1e9", "3"))]}
    assert "too coarse" in native_samples([coarse]).warnings[0]


def test_answer_that_holds_no_histogram_is_refused() -> None:
    for entry in ([1, "2"], [1, {"buckets": [[0, "1"]]}], [1]):
        with pytest.raises(SourceRefused, match="no native histogram"):
            native_samples([{"metric": {"__name__": "x"}, "histograms": [entry]}])
    assert native_samples([]).offsets.tolist() == [0]
