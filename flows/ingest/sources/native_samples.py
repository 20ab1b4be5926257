"""Reads native histograms out of Prometheus' JSON answer, as the classic buckets they stand for.

A series with `histograms` (https://prometheus.io/docs/prometheus/latest/querying/api/#histograms)
becomes one counter series per edge, named as a classic histogram's, so that everything behind it
(differences with their reasons, resets, births, sums over pods) is the same for both kinds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from analysis.arrays import FloatArray, IntArray
from analysis.counting.native_histograms import NativeHistogram, cumulative, exponential_edges
from flows.ingest.sources.samples import LATEST_S, Samples, SourceRefused, kept_samples

# Bounds that the meshes' proxies have by default, in milliseconds: a histogram with bounds of its
# own (classic buckets that a server keeps as a native histogram) lists only buckets that hold
# something, and nothing tells a bound between two empty ones.
_USUAL_BOUNDS = (
    *(0.5, 1, 2, 3, 4, 5, 10, 20, 25, 30, 40, 50, 100, 200, 250, 300, 400, 500, 1000, 2000, 2500),
    *(3000, 4000, 5000, 10_000, 20_000, 30_000, 40_000, 50_000, 60_000, 300_000, 600_000),
    *(1_800_000, 3_600_000),
)
# Bounds of every standard schema are powers of 2 ** (1 / 256).
_FINEST_STEPS, _SAME_STEP = 256, 1e-6
# Edges of schema 2 (each 19 % above the one before), from a thousandth to 2 ** 17 of the unit:
# the same for every series and window, so that cumulative counts can be summed.
EDGES = exponential_edges(2, 2.0**-10, 2.0**17)


def native_samples(result: Sequence[Mapping[str, Any]], edges: FloatArray = EDGES) -> Samples:
    """The classic bucket series of every series in a matrix result that has `histograms`.

    Histograms with bounds of their own (NHCB) are read at these: at those that any of the result's
    series shows, and the usual ones. Others at `edges`, which are the same for all.
    An edge that any of a series' histograms straddles is left out for that series; its names are
    in the warnings if none but infinity is left. Raises SourceRefused if an entry is no histogram.
    """
    labels: list[Mapping[str, str]] = []
    columns: list[tuple[IntArray, FloatArray]] = []
    warnings = set[str]()
    scraped = [(item, list(_histograms(item))) for item in result if item.get("histograms")]
    custom = _custom_bounds(scraped)
    for item, rows in scraped:
        name = item["metric"].get("__name__", "?")
        own = custom.get(name) if _has_own_bounds([one for _, one in rows]) else None
        at = edges if own is None else own
        ts_ms, counts = _cumulative_rows(rows, at)
        known = np.isfinite(counts).all(axis=0)
        if known.sum() < 2:
            warnings.add(f"the native histograms of {name} are too coarse to be read")
        for edge, column in zip(at[known], counts[:, known].T, strict=True):
            labels.append(_bucket_labels(item["metric"], float(edge)))
            columns.append((ts_ms, column))
    empty = (np.empty(0, np.int64), np.empty(0, np.float64))
    times, values = zip(*columns, strict=True) if columns else ((empty[0],), (empty[1],))
    sizes = [column.size for _, column in columns]
    return Samples(
        labels=tuple(labels),
        offsets=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        ts_ms=np.concatenate(times),
        values=np.concatenate(values),
        warnings=tuple(sorted(warnings)),
    )


def without_twins(native: Samples, classic: Sequence[Samples]) -> Samples:
    """The buckets of series that have no classic buckets: a server may keep both of one."""
    if not native.labels:
        return native
    known = {_without_edge(labels) for piece in classic for labels in piece.labels}
    twin = np.array([_without_edge(labels) in known for labels in native.labels], dtype=np.bool_)
    return kept_samples(native, ~np.repeat(twin, np.diff(native.offsets)))


def _without_edge(labels: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    return frozenset((name, value) for name, value in labels.items() if name != "le")


def _bucket_labels(metric: Mapping[str, str], edge: float) -> dict[str, str]:
    le = "+Inf" if np.isinf(edge) else repr(edge)
    return {**metric, "__name__": f"{metric.get('__name__', '')}_bucket", "le": le}


def _custom_bounds(
    scraped: Sequence[tuple[Mapping[str, Any], Sequence[tuple[float, NativeHistogram]]]],
) -> dict[str, FloatArray]:
    """By metric name, all bounds that its histograms with bounds of their own show."""
    found: dict[str, set[float]] = {}
    for item, rows in scraped:
        histograms = [one for _, one in rows]
        if _has_own_bounds(histograms):
            bounds = found.setdefault(item["metric"].get("__name__", "?"), set(_USUAL_BOUNDS))
            for one in histograms:
                bounds.update(one.left.tolist(), one.right.tolist())
    return {
        name: np.array([*sorted(x for x in bounds if 0 < x < np.inf), np.inf])
        for name, bounds in found.items()
    }


def _has_own_bounds(histograms: Sequence[NativeHistogram]) -> bool:
    """Whether some bound is none of a standard schema; only custom buckets begin at -infinity."""
    if any(np.isneginf(one.left).any() for one in histograms):
        return True
    # Of the zero bucket, which begins below 0, the bounds are anything.
    positive = [(one.left[one.left > 0], one.right[one.left > 0]) for one in histograms]
    bounds = np.concatenate([np.zeros(0), *(x for pair in positive for x in pair)])
    steps = np.log2(bounds[np.isfinite(bounds)]) * _FINEST_STEPS
    return bool((np.abs(steps - np.round(steps)) > _SAME_STEP * _FINEST_STEPS).any())


def _cumulative_rows(
    rows: Sequence[tuple[float, NativeHistogram]], edges: FloatArray
) -> tuple[IntArray, FloatArray]:
    """Times in milliseconds, and float64[samples, edges] of observations at most each edge."""
    ts_ms = np.array([round(float(seconds) * 1000) for seconds, _ in rows], dtype=np.int64)
    return ts_ms, np.array([cumulative(histogram, edges) for _, histogram in rows])


def _histograms(item: Mapping[str, Any]) -> Iterator[tuple[float, NativeHistogram]]:
    for entry in item["histograms"]:
        try:
            seconds, fields = entry
            buckets = [[float(x) for x in bucket] for bucket in fields.get("buckets") or ()]
            # [boundary rule, left, right, count]; whether a bound itself belongs to a bucket
            # doesn't show in a latency.
            _, left, right, counts = np.array(buckets, dtype=np.float64).reshape(-1, 4).T
            if not abs(float(seconds)) < LATEST_S:
                raise ValueError(f"{seconds} is no time")
            yield float(seconds), NativeHistogram(left, right, counts)
        except (TypeError, ValueError, AttributeError) as error:
            name = item["metric"].get("__name__", "?")
            raise SourceRefused(f"{name}: the server's answer holds no native histogram") from error
