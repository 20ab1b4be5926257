"""How large the bursts are in which one version's requests fail or are slow."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from analysis.arrays import BoolArray, FloatArray, IntArray
from analysis.calibration.history import FAILED, LATENCY, History

# Buckets are joined up to so many bad requests (a single one can't tell a burst's size), but so
# many groups are left: with few, the size in a short history would be off by half.
_BAD_TO_A_GROUP = 10.0
_LEAST_GROUPS = 20
# Five standard errors: an outage's first and last bucket are no burst.
_LARGEST_RATIO = 25.0


def burst_size(bad: IntArray, total: IntArray) -> float:
    """Variance of bad requests over the binomial one, at least 1: about the size of a burst.

    bad, total: int64[buckets] of one version, in order of time.
    By neighbours: half the squared difference of two shares over its expectation without bursts
    (von Neumann 1941), so slow shocks, which versions share, cancel. One version can't tell a
    shock of a single bucket from its own bursts: that counts as bursts, which is the cautious way.
    As the largest ratios are cut, bursts of 4 come out a tenth too small, of 8 a quarter; of
    fewer than a hundred bad requests in all, bursts of 4 come out a third too small.
    """
    joined = max(1, int(np.ceil(_BAD_TO_A_GROUP / max(float(bad.mean()), 1e-9))))
    joined = max(1, min(joined, len(bad) // _LEAST_GROUPS))
    groups = len(bad) // joined
    x, n = (c[: groups * joined].reshape(groups, joined).sum(axis=1) for c in (bad, total))
    kept = n > 0
    x, n = x[kept].astype(np.float64), n[kept].astype(np.float64)
    p = (x[1:] + x[:-1]) / (n[1:] + n[:-1])
    known = (p > 0) & (p < 1)
    if not known.any():
        return 1.0
    difference, sampling = np.diff(x / n), p * (1 - p) * (1 / n[1:] + 1 / n[:-1])
    ratios = difference[known] ** 2 / sampling[known]
    return max(1.0, float(np.minimum(ratios, _LARGEST_RATIO).mean()))


def bursts_of_metrics(
    history: History, metrics: tuple[str, ...], slow_edges: Mapping[str, float | None]
) -> dict[str, float]:
    """By metric, the size of a burst of its bad requests; 1 where nothing is known of it."""
    return {name: burst_size(*_counted(history, name, slow_edges)) for name in metrics}


def bursts_of_cells(
    history: History, metrics: tuple[str, ...], slow_edges: Mapping[str, float | None]
) -> FloatArray:
    """In which bursts History.cells are to be divided: float64[cells], at least 1.

    Only bad requests come in bursts. So that shares vary as much as burst_size says, these are a
    bit larger where many requests are bad.
    """
    bursts = np.ones(LATENCY + history.edges_ms.size + len(history.signals))
    for name in metrics:
        bad, total = _counted(history, name, slow_edges)
        share = min(float(bad.sum()) / max(float(total.sum()), 1.0), 0.5)
        size = 1 + (burst_size(bad, total) - 1) / (1 - share)
        cells = _bad_cells(history, name, slow_edges)
        bursts[cells] = np.maximum(bursts[cells], size)
    return bursts


def _counted(
    history: History, metric: str, slow_edges: Mapping[str, float | None]
) -> tuple[IntArray, IntArray]:
    """The metric's bad requests and all that it looks at: int64[buckets] each."""
    bad = history.cells[:, _bad_cells(history, metric, slow_edges)].sum(axis=1)
    if metric in slow_edges:
        return bad, history.latency.sum(axis=1)
    if metric in history.signals:
        return bad, history.other + history.good + history.failed
    return bad, history.good + history.failed


def _bad_cells(history: History, metric: str, slow_edges: Mapping[str, float | None]) -> BoolArray:
    """Which of History.cells the metric counts as bad: bool[cells]."""
    bad = np.zeros(LATENCY + history.edges_ms.size + len(history.signals), dtype=bool)
    edge = slow_edges.get(metric)
    if metric in history.signals:
        bad[history.places[metric]] = True
    elif metric not in slow_edges:
        bad[FAILED] = True
    elif edge is not None:
        bad[LATENCY : LATENCY + history.edges_ms.size] = history.edges_ms > edge
    return bad
