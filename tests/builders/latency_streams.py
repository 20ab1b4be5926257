"""Simulated latencies of two versions, counted at a histogram's edges, and a candidate slower."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from analysis.plan import Margin, MetricPlan, Plan, Role, Unit
from analysis.requests.bucket_counts import BucketCounts
from tests.builders.changing_streams import (
    A_MINUTE,
    BUCKET_MS,
    Stream,
    bursty,
    lasting_factor,
    plan_of,
)

FloatArray = NDArray[np.float64]
MEDIAN_MS, LOG_SD = 40.0, 0.8
# Istio's, next to the baseline's p50, p90 and p99 (40, 112 and 257 ms): 39, 12.6 and 1.1 % of its
# requests are slower.
EDGES_MS = np.array([50.0, 100.0, 250.0])
# A factor that slows all requests changes the share slower than p99 by so many powers of it.
_OF_TAIL = 0.3
# Where the tail begins, in standard deviations of the log: at p90.
_TAIL = 1.2816


@dataclass(frozen=True, slots=True)
class Slowed:
    """How a candidate is slower, from a minute until another: all requests take so many times as
    long, their log spreads so many times as far, those beyond p90 take so many times as long."""

    times: float = 1.0
    spread: float = 1.0
    tail: float = 1.0
    end: float = np.inf
    begin: float = 0.0


@dataclass(frozen=True, slots=True)
class LatencyStream:
    """Log-normal latencies: a median of 40 ms, a log-sd of 0.8.

    like: traffic, split, shocks, states, swings and bursts. Its factors are of the share slower
    than p99, as a slow node or a cold cache gives them: they slow all requests, by 0.3 of their
    log. Bursts are of requests slower than the last edge alone, as stalls give them.
    """

    like: Stream = field(default_factory=Stream)
    harm: Slowed = field(default_factory=Slowed)

    def counts(self, seed: int, runs: int) -> tuple[BucketCounts, BucketCounts]:
        """The baseline's and the candidate's slower than each edge: [runs, edges, buckets]."""
        rng, like = np.random.default_rng(seed), self.like
        shape = runs, like.buckets
        minutes = (np.arange(like.buckets) + 0.5) / A_MINUTE
        swing = 1 + like.diurnal * np.sin(2 * np.pi * (minutes / 240 + rng.random((runs, 1))))
        common = swing * lasting_factor(rng, shape, like.shock, like.shock_s)
        arms = []
        for share, harm in ((1 - like.shares(), Slowed()), (like.shares(), self.harm)):
            slower = common * lasting_factor(rng, shape, like.state, like.state_s)
            p = _slower_than(EDGES_MS, _OF_TAIL * np.log(slower), harm, minutes)
            total = rng.poisson(like.rate * BUCKET_MS / 1000 * share * swing, shape)
            bad = _counted(rng, total, p, like.bursts)
            arms.append(BucketCounts(np.repeat(total[:, None], len(p), 1).astype(float), bad))
        return arms[0], arms[1]


def _slower_than(
    edges_ms: FloatArray, log_factor: FloatArray, harm: Slowed, minutes: FloatArray
) -> FloatArray:
    """Shares: float64[edges, runs, buckets]."""
    healthy = (np.log(edges_ms / MEDIAN_MS)[:, None, None] - log_factor) / LOG_SD
    harmed = (healthy - np.log(harm.times) / LOG_SD) / harm.spread
    if harm.tail > 1:
        harmed = np.minimum(harmed, np.maximum(harmed - np.log(harm.tail) / LOG_SD, _TAIL))
    there = (minutes > harm.begin) & (minutes < harm.end)
    return np.asarray(ndtr(-np.where(there, harmed, healthy)))


def _counted(
    rng: np.random.Generator, total: NDArray[np.int64], p: FloatArray, bursts: float
) -> FloatArray:
    """Requests slower than each edge: float64[runs, edges, buckets]; p: [edges, runs, buckets]."""
    slowest = bursty(rng, total, p[-1], bursts)
    found = [slowest]
    for edge in range(len(p) - 2, -1, -1):
        between = (p[edge] - p[edge + 1]) / (1 - p[edge + 1])
        found.insert(0, found[0] + rng.binomial(total - found[0], between))
    return np.stack(found, axis=1).astype(np.float64)


def slow_plan(like: Stream, margins: tuple[float, ...]) -> Plan:
    """Guardrails of requests slower than the last edges, as many as there are margins."""
    metrics = tuple(
        MetricPlan(
            f"slower-{edge:g}",
            Unit.REQUEST,
            Role.GUARDRAIL,
            Margin(absolute=margin),
            above_ms=float(edge),
        )
        for edge, margin in zip(EDGES_MS[-len(margins) :], margins, strict=True)
    )
    return replace(plan_of(like), metrics=metrics)
