"""Harm of known size, added to a candidate that is otherwise like the baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from analysis.arrays import FloatArray, IntArray
from analysis.calibration.history import FAILED, GOOD, LATENCY, History
from analysis.requests.bucket_counts import BucketCounts

_FEW_POINTS = 0.05
_SLOWER = 1.5
_TAIL = 2.0
# So many margins the drift reaches at the plan's end; half of it on average.
_DRIFT_MARGINS = 4.0
_DRIFT_WITHOUT_MARGIN = 0.02


@dataclass(frozen=True, slots=True)
class Stretch:
    """Latencies above a pivot move away from it: x becomes pivot + factor (x - pivot)."""

    factor: float = 1.0
    pivot_ms: float = 0.0

    def origin(self, edge_ms: float) -> float:
        """Which latency became the edge."""
        if edge_ms <= self.pivot_ms:
            return edge_ms
        return self.pivot_ms + (edge_ms - self.pivot_ms) / self.factor


@dataclass(frozen=True, slots=True)
class Injection:
    """One kind of harm.

    label: a few words for a table; text: the end of "a canary that ...".
    share: by how much the share of failed requests rises on average over the plan, 0 to 1; where
        it can't rise so far, every request fails. grows: from 0 at the start to twice as much.
    stretch: what becomes of latencies.
    """

    name: str
    label: str
    text: str
    share: float = 0.0
    grows: bool = False
    stretch: Stretch = field(default_factory=Stretch)

    def failing(self, buckets: int, base: float) -> FloatArray:
        """Probability that a good request fails: float64[buckets], of the plan.

        base: the history's share of failures. A share of 1 - base good requests is left to fail.
        """
        shape = (2 * np.arange(buckets) + 1) / buckets if self.grows else np.ones(buckets)
        return np.minimum(self.share * shape / max(1 - base, 1e-12), 1.0)


NO_HARM = Injection("no-difference", "none (A/A)", "is like the baseline")


def error_injections(margin: float) -> tuple[Injection, ...]:
    """Failures around a margin, which is a share of requests; none of 0."""
    drift = _DRIFT_MARGINS * margin if margin > 0 else _DRIFT_WITHOUT_MARGIN
    sizes = {"one-margin": margin, "two-margins": 2 * margin, "five-points": _FEW_POINTS}
    if margin in (_FEW_POINTS, _FEW_POINTS / 2):
        del sizes["five-points"]
    return (
        *(
            Injection(name, f"+{points(share)}", f"fails {points(share)} more often", share=share)
            for name, share in sizes.items()
            if share > 0
        ),
        Injection(
            "slow-drift",
            f"drift to {points(drift)}",
            f"fails more and more (by {points(drift)} at the end)",
            share=drift / 2,
            grows=True,
        ),
        Injection("total-failure", "total failure", "fails every request", share=1.0),
    )


def latency_injections(history: History) -> tuple[Injection, ...]:
    """A shift of all latencies, and a longer tail over the same median."""
    return (
        Injection(
            "latency-shift",
            f"latency x {_SLOWER:g}",
            f"takes {_SLOWER:g} times as long",
            stretch=Stretch(_SLOWER),
        ),
        Injection(
            "latency-spread",
            f"tail x {_TAIL:g}",
            f"has the same median latency and a tail {_TAIL:g} times as long",
            stretch=Stretch(_TAIL, history.median_ms),
        ),
    )


def points(share: float) -> str:
    """A share as percentage points: 0.5 points, 1 point."""
    number = f"{100 * share:.3g}"
    return f"{number} point{'' if number == '1' else 's'}"


def slow_probability(edges_ms: FloatArray, edge_ms: float, stretch: Stretch) -> FloatArray:
    """By latency cell, probability that its requests end above the edge: float64[edges].

    Inside a cell requests are taken to be spread evenly. The edge is one of edges_ms.
    """
    origin, finite = stretch.origin(edge_ms), np.isfinite(edges_ms)
    width = np.diff(edges_ms[finite], prepend=0.0)
    slow = np.ones(edges_ms.size)
    slow[finite] = np.clip((edges_ms[finite] - origin) / np.maximum(width, 1e-12), 0, 1)
    return slow


def expected_harm(
    injection: Injection, history: History, slow_edges: Mapping[str, float | None], metric: str
) -> float:
    """By how much the metric's share rises, over the history as a whole and the whole plan."""
    if metric in history.signals:
        return 0.0
    if metric not in slow_edges:
        # Drift is linear up to where every request fails; the middle is enough otherwise.
        failing = injection.failing(1000, history.failed_share).mean()
        return float(failing * (1 - history.failed_share))
    edge, requests = slow_edges[metric], history.latency.sum(axis=0)
    if edge is None or not requests.sum():
        return 0.0
    after, before = (
        (slow_probability(history.edges_ms, edge, stretch) * requests).sum() / requests.sum()
        for stretch in (injection.stretch, Stretch())
    )
    return float(after - before)


def counts_of(
    rng: np.random.Generator,
    cells: IntArray,
    injection: Injection,
    history: History,
    metrics: tuple[str, ...],
    slow_edges: Mapping[str, float | None],
) -> BucketCounts:
    """What the metrics count of one version with this harm: [metrics, buckets].

    cells: int64[buckets, cells], as History.cells; metrics not in slow_edges, nor among its
    signals, count failures.
    """
    good, failed = cells[:, GOOD], cells[:, FAILED]
    latency = cells[:, LATENCY : LATENCY + history.edges_ms.size]
    requests, places = cells[:, :LATENCY].sum(axis=1), history.places
    more = rng.binomial(good, injection.failing(len(cells), history.failed_share))
    total, bad = np.zeros((2, len(metrics), len(cells)))
    for row, metric in enumerate(metrics):
        edge = slow_edges.get(metric)
        if metric in places:
            # They are divided between the versions apart from all requests.
            total[row], bad[row] = requests, np.minimum(cells[:, places[metric]], requests)
        elif metric not in slow_edges:
            total[row], bad[row] = good + failed, failed + more
        elif edge is not None:
            slow = slow_probability(history.edges_ms, edge, injection.stretch)
            total[row], bad[row] = latency.sum(axis=1), rng.binomial(latency, slow).sum(axis=1)
    return BucketCounts(total, bad)
