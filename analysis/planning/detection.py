"""How soon harm in requests is found, and a healthy canary promoted, at a share of the traffic.

By simulation of the product's own bounds (analysis/paired_buckets.py) on traffic like the given
one: the same function that judges, at the same looks, with the same alpha.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.paired_buckets import BucketCounts, pair_buckets

FloatArray = NDArray[np.float64]

_RUNS = 300
_MOST_LOOKS = 40


@dataclass(frozen=True, slots=True)
class Traffic:
    """What is known of one request metric's traffic.

    requests: of both versions in one bucket. bad: share of them that is bad. overdispersion:
    variance of the bad ones over the binomial one, about the size of a burst.
    """

    requests: float
    bad: float
    overdispersion: float = 1.0


@dataclass(frozen=True, slots=True)
class Rule:
    """How the plan decides on one metric.

    margin_absolute + margin_relative times the baseline's share is allowed. harm_alpha and
    promote_alpha: levels of the two bounds. buckets: of the whole plan. first_promote: buckets
    before which nothing is promoted. look_every: buckets between two looks.
    """

    margin_absolute: float
    margin_relative: float
    harm_alpha: float
    promote_alpha: float
    buckets: int
    first_promote: int
    look_every: int


@dataclass(frozen=True, slots=True)
class Detection:
    """What became of so many simulated canaries: shares of runs, and buckets until then.

    rolled_back, promoted: shares of runs by the plan's end. median, slow: buckets until half, and
    nine in ten, of all runs were decided rightly (rolled back if harmful, promoted if not);
    infinite where fewer were.
    """

    harm: float
    share: float
    rolled_back: float
    promoted: float
    median: float
    slow: float


def overdispersion_of(counts: BucketCounts) -> FloatArray:
    """Variance of the bad requests over the binomial one, by metric; at least 1."""
    total = np.maximum(counts.total.sum(axis=-1, keepdims=True), 1.0)
    p = (counts.bad.sum(axis=-1, keepdims=True) + 1) / (total + 2)
    expected, variance = counts.total * p, counts.total * p * (1 - p)
    buckets = np.maximum((counts.total > 0).sum(axis=-1) - 1, 1)
    chi = np.divide(
        (counts.bad - expected) ** 2, variance, out=np.zeros_like(expected), where=variance > 0
    )
    return np.asarray(np.maximum(chi.sum(axis=-1) / buckets, 1.0))


def simulate_detection(
    traffic: Traffic, rule: Rule, *, share: float, harm: float, seed: int
) -> Detection:
    """Canaries with so much harm (share of requests) at so much of the traffic."""
    rng = np.random.default_rng([seed, round(1e6 * share), round(1e9 * harm)])
    rates = (1 - share, traffic.bad), (share, min(traffic.bad + harm, 1.0))
    totals = [rng.poisson(traffic.requests * part, (_RUNS, rule.buckets)) for part, _ in rates]
    bads = [
        _bursts(rng, total, p, traffic.overdispersion)
        for total, (_, p) in zip(totals, rates, strict=True)
    ]
    rolled, promoted = np.full(_RUNS, np.inf), np.full(_RUNS, np.inf)
    for look in _looks(rule):
        lower, upper = _excess(totals, bads, look, rule)
        undecided = np.isinf(rolled) & np.isinf(promoted)
        rolled[undecided & (lower > 0)] = look
        if look >= rule.first_promote:
            promoted[undecided & (lower <= 0) & (upper <= 0)] = look
    right = rolled if harm > rule.margin_absolute + rule.margin_relative * traffic.bad else promoted
    median, slow = np.quantile(right, [0.5, 0.9], method="inverted_cdf")
    return Detection(
        harm,
        share,
        float(np.isfinite(rolled).mean()),
        float(np.isfinite(promoted).mean()),
        float(median),
        float(slow),
    )


def _looks(rule: Rule) -> Sequence[int]:
    """The buckets after which one looks; evenly thinned if there are very many."""
    every = max(1, rule.look_every)
    looks = list(range(every, rule.buckets + 1, every))
    step = -(-len(looks) // _MOST_LOOKS) if looks else 1
    return [*looks[step - 1 :: step]] or [rule.buckets]


def _bursts(
    rng: np.random.Generator, total: NDArray[np.int64], p: float, overdispersion: float
) -> FloatArray:
    """Bad requests whose variance is overdispersion times the binomial one (beta-binomial)."""
    if overdispersion <= 1 or not 0 < p < 1:
        return rng.binomial(total, p).astype(np.float64)
    mean = max(float(total.mean()), 2.0)
    correlation = min((overdispersion - 1) / (mean - 1), 0.99)
    size = (1 - correlation) / correlation
    rates = rng.beta(p * size, (1 - p) * size, total.shape)
    return rng.binomial(total, rates).astype(np.float64)


def _excess(
    totals: Sequence[NDArray[np.int64]], bads: Sequence[FloatArray], look: int, rule: Rule
) -> tuple[FloatArray, FloatArray]:
    """Both bounds of the harm beyond the margin at a look: float64[runs] each."""
    arms = [
        BucketCounts(total[:, :look].astype(np.float64), bad[:, :look])
        for total, bad in zip(totals, bads, strict=True)
    ]
    excess = pair_buckets(*arms).contrast(1 + rule.margin_relative)
    n_opt = float(rule.buckets)
    lower = excess.lower(alpha=rule.harm_alpha, n_opt=n_opt) - rule.margin_absolute
    upper = excess.upper(alpha=rule.promote_alpha, n_opt=n_opt) - rule.margin_absolute
    return np.nan_to_num(lower, nan=-np.inf), np.nan_to_num(upper, nan=np.inf)
