"""Simulated requests by pod: pods that differ for good, and one of the candidate's that is bad."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.requests.bucket_counts import BucketCounts
from analysis.requests.pod_counts import PodCounts
from analysis.requests.pod_harm import harmful_pods
from tests.builders.changing_streams import A_MINUTE, NOTHING, Added, bursty, lasting_factor

_MARGIN, _ALPHA = 0.005, 0.05 * 0.1
_FIRST_LOOK = 3
_STRETCH = 5 * A_MINUTE


@dataclass(frozen=True, slots=True)
class PodStream:
    """A canary of an hour, as changing_streams.Stream has it, by pod; harm: of its first pod.

    state: sd of the log of a factor that each pod has for five minutes.
    """

    rate: float = 100.0
    share: float = 0.05
    base: float = 0.005
    pods: int = 5
    spread: float = 0.0
    shock: float = 0.0
    state: float = 0.0
    bursts: float = 1.0
    harm: Added = NOTHING
    buckets: int = 60 * A_MINUTE

    def counts(self, seed: int, runs: int) -> tuple[BucketCounts, BucketCounts]:
        """The baseline's and the candidate's: [runs, pods, buckets]."""
        rng = np.random.default_rng(seed)
        minutes = (np.arange(self.buckets) + 0.5) / A_MINUTE
        common = lasting_factor(rng, (runs, self.buckets), self.shock, 300.0)[:, None]
        arms = []
        for share, harm in ((1 - self.share, NOTHING), (self.share, self.harm)):
            own = lasting_factor(rng, (runs, self.pods), self.spread, 0.0)[..., None]
            states = lasting_factor(rng, (runs * self.pods, self.buckets), self.state, 300.0)
            p = self.base * common * own * states.reshape(runs, self.pods, self.buckets)
            p[:, 0] += harm.at(minutes)
            total = rng.poisson(self.rate * 60 / A_MINUTE * share / self.pods, p.shape)
            bad = bursty(rng, total, np.clip(p, 0, 0.999), self.bursts)
            arms.append(BucketCounts(total.astype(np.float64), bad.astype(np.float64)))
        return arms[0], arms[1]


def pods_until(counts: BucketCounts, run: int, end: int, version: str = "pod") -> PodCounts:
    """What a look after so many buckets knows of one run's pods."""
    edges = np.arange(0, end, _STRETCH)
    total, bad = (_summed(x[run, :, :end], edges) for x in (counts.total, counts.bad))
    names = tuple(f"{version}-{i}" for i in range(len(total)))
    return PodCounts(names, total.sum(axis=1), bad.sum(axis=1), BucketCounts(total, bad))


def watch_pods(stream: PodStream, seed: int, runs: int) -> tuple[float, float]:
    """Percent of runs in which a pod is found, at a look a minute, and the median minute of all."""
    baseline, candidate = stream.counts(seed, runs)
    found = np.full(runs, np.inf)
    for run in range(runs):
        for minute in range(_FIRST_LOOK, stream.buckets // A_MINUTE + 1):
            arms = (pods_until(arm, run, minute * A_MINUTE) for arm in (baseline, candidate))
            harmful = harmful_pods(
                *arms, margin=_MARGIN, approved={}, alpha=_ALPHA, overdispersion=stream.bursts
            )
            if harmful.any():
                found[run] = minute
                break
    share = 100 * float(np.isfinite(found).mean())
    return share, float(np.quantile(found, 0.5, method="higher"))


def _summed(counts: NDArray[np.float64], edges: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.asarray(np.add.reduceat(counts, edges, axis=1))
