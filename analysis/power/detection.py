"""How soon harm in requests is found, and a healthy canary promoted, at a share of the traffic.

By simulation of the product's own tests (difference, gross failure, objective) on traffic like the
given one: the same functions that judge, at the same looks, with the same alpha. Each metric by
itself: others can only roll back sooner, or promote later. The later buckets of a long plan are
simulated together, ever more of them: it is early that a minute matters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.judge.gross_failures import gross_gap
from analysis.requests.gross_failure import gross_failure_path
from analysis.requests.paired_buckets import BucketCounts, estimate_share, pair_buckets

FloatArray = NDArray[np.float64]

_RUNS = 200
_MOST_LOOKS = 40
# A detectable harm is searched for by many coarse simulations, to within a twelfth.
_COARSE_RUNS, _COARSE_LOOKS, _HALVINGS = 100, 10, 6
_LARGEST_HARM = 0.6
# So many buckets are simulated one by one; after them so many cells each of 2, 4, 8 ... buckets.
_ALONE, _CELLS_OF_A_WIDTH = 240, 60


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
    promote_alpha: levels of the two bounds, tightest after harm_buckets and promote_buckets.
    buckets: all that the plan has. first_promote: buckets before which nothing is promoted.
    look_every: buckets between two looks. objective: a share that must not be exceeded.
    minimum_exposure: requests of each version, before which nothing is promoted.
    """

    margin_absolute: float
    margin_relative: float
    harm_alpha: float
    promote_alpha: float
    buckets: int
    harm_buckets: float
    promote_buckets: float
    first_promote: int
    look_every: int
    objective: float | None = None
    minimum_exposure: float = 0.0


@dataclass(frozen=True, slots=True)
class Detection:
    """What became of so many simulated canaries: shares of runs, and buckets until then.

    share: mean share of the traffic. rolled_back, promoted: shares of runs by the plan's end.
    median, slow: buckets until half, and nine in ten, of all runs were decided rightly (rolled
    back if harmful, promoted if not); infinite where fewer were.
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
    traffic: Traffic,
    rule: Rule,
    *,
    share: float | FloatArray,
    harm: float,
    seed: int,
    runs: int = _RUNS,
    most_looks: int = _MOST_LOOKS,
) -> Detection:
    """Canaries with so much harm (share of requests) at so much of the traffic.

    share: one for all buckets, or float64[buckets], as a ramp has it.
    """
    parts = np.broadcast_to(share, rule.buckets)
    mean = float(parts.mean())
    rng = np.random.default_rng([seed, round(1e6 * mean), round(1e9 * harm)])
    cells = _Cells.of(rule.buckets)
    requests, parts = traffic.requests * cells.widths, cells.mean(parts)
    rates = (1 - parts, traffic.bad), (parts, min(traffic.bad + harm, 1.0))
    arms = [
        _counts(rng, rng.poisson(requests * part, (runs, len(parts))), p, traffic, cells)
        for part, p in rates
    ]
    gross = _gross(arms, rule, traffic)
    rolled, promoted = np.full(runs, np.inf), np.full(runs, np.inf)
    for cell in _looks(rule, cells, most_looks):
        look = cells.ends[cell]
        left = np.flatnonzero(np.isinf(rolled) & np.isinf(promoted))
        fails, passes = _classify([_until(arm, left, cell) for arm in arms], cells, rule)
        fails |= gross[left, cell]
        rolled[left[fails]] = look
        if look >= rule.first_promote:
            promoted[left[~fails & passes]] = look
    right = rolled if harm > rule.margin_absolute + rule.margin_relative * traffic.bad else promoted
    median, slow = np.quantile(right, [0.5, 0.9], method="inverted_cdf")
    return Detection(
        harm,
        mean,
        float(np.isfinite(rolled).mean()),
        float(np.isfinite(promoted).mean()),
        float(median),
        float(slow),
    )


def detectable_harm(
    traffic: Traffic, rule: Rule, *, share: float | FloatArray, seed: int, power: float = 0.8
) -> float:
    """The harm that is rolled back by the plan's end with this probability; nan if none is.

    To within a twelfth of itself; beyond the margin, since less is not to be found.
    """
    low = max(rule.margin_absolute + rule.margin_relative * traffic.bad, 1e-6)
    high = _LARGEST_HARM

    def found(harm: float) -> bool:
        simulated = simulate_detection(
            traffic,
            rule,
            share=share,
            harm=harm,
            seed=seed,
            runs=_COARSE_RUNS,
            most_looks=_COARSE_LOOKS,
        )
        return simulated.rolled_back >= power

    if low >= high or not found(high):
        return float("nan")
    for _ in range(_HALVINGS):
        middle = float(np.sqrt(low * high))
        low, high = (low, middle) if found(middle) else (middle, high)
    return high


@dataclass(frozen=True, slots=True)
class _Cells:
    """Stretches of time that are simulated as one: int64[cells], buckets in each and up to its end.

    What bounds say depends on the requests and on the time so far, hardly on how finely that is
    divided, once there are hundreds of parts.
    """

    widths: NDArray[np.int64]
    ends: NDArray[np.int64]

    @classmethod
    def of(cls, buckets: int) -> _Cells:
        """Those of so many buckets; the last one is cut."""
        ends = list(range(1, min(buckets, _ALONE) + 1))
        width = 2
        while ends[-1] < buckets:
            ends += [ends[-1] + width * (i + 1) for i in range(_CELLS_OF_A_WIDTH)]
            width *= 2
        cut = np.unique(np.minimum(ends, buckets))
        return cls(np.diff(cut, prepend=0), cut)

    def mean(self, values: FloatArray) -> FloatArray:
        """Of each cell: float64[cells]; values: float64[buckets]."""
        return np.asarray(np.add.reduceat(values, self.ends - self.widths) / self.widths)

    def for_bucket(self, cells: int) -> float:
        """So many independent cells in place of a bucket, as bounds count them."""
        widths = self.widths[:cells].astype(np.float64)
        return float(widths.sum() / (widths**2).sum())


def _looks(rule: Rule, cells: _Cells, most: int) -> Sequence[int]:
    """The cells after which one looks, thinned if there are very many.

    Evenly, but in a plan with wide cells by ever longer steps: each longer than the last in
    proportion to the time so far.
    """
    every = max(1, rule.look_every)
    looks = np.flatnonzero((cells.ends % every < cells.widths) & (cells.ends >= every))
    if len(looks) == 0:
        return [len(cells.ends) - 1]
    if len(cells.ends) < rule.buckets:
        wanted = np.geomspace(cells.ends[looks[0]], cells.ends[looks[-1]], most)
        at = np.searchsorted(cells.ends[looks], np.floor(wanted))
        return [int(cell) for cell in np.unique(looks[at])]
    step = -(-len(looks) // most)
    return [int(cell) for cell in looks[step - 1 :: step]]


def _until(counts: BucketCounts, runs: NDArray[np.int64], cell: int) -> BucketCounts:
    return BucketCounts(counts.total[runs, : cell + 1], counts.bad[runs, : cell + 1])


def _counts(
    rng: np.random.Generator,
    total: NDArray[np.int64],
    p: float,
    traffic: Traffic,
    cells: _Cells,
) -> BucketCounts:
    return BucketCounts(
        total.astype(np.float64), _bursts(rng, total, p, traffic.overdispersion, cells)
    )


def _bursts(
    rng: np.random.Generator,
    total: NDArray[np.int64],
    p: float,
    overdispersion: float,
    cells: _Cells,
) -> FloatArray:
    """Bad requests whose variance is overdispersion times the binomial one (beta-binomial)."""
    if overdispersion <= 1 or not 0 < p < 1:
        return rng.binomial(total, p).astype(np.float64)
    of_bucket = float(total.sum()) / (len(total) * float(cells.widths.sum()))
    mean = np.maximum(of_bucket * cells.widths, 2.0)
    correlation = np.minimum((overdispersion - 1) / (mean - 1), 0.99)
    size = (1 - correlation) / correlation
    rates = rng.beta(p * size, (1 - p) * size, total.shape)
    return rng.binomial(total, rates).astype(np.float64)


def _gross(arms: Sequence[BucketCounts], rule: Rule, traffic: Traffic) -> NDArray[np.bool_]:
    """Whether the exact test had refuted health by each cell: bool[runs, cells]."""
    runs = len(arms[0].total)
    path = gross_failure_path(
        arms[0],
        arms[1],
        gap=np.full(runs, gross_gap(rule.margin_absolute)),
        factor=np.full(runs, 1 + rule.margin_relative),
        alpha=np.full(runs, rule.harm_alpha),
        planned_buckets=rule.buckets,
        overdispersion=max(traffic.overdispersion, 1.0),
    )
    return np.asarray(np.maximum.accumulate(path, axis=-1) >= -np.log(rule.harm_alpha))


def _classify(
    arms: Sequence[BucketCounts], cells: _Cells, rule: Rule
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether a look fails, and whether it passes, each run: bool[runs] each."""
    baseline, candidate = arms
    part = cells.for_bucket(baseline.total.shape[1])
    pairs = pair_buckets(baseline, candidate)
    excess = pairs.contrast(1 + rule.margin_relative)
    down = {"alpha": rule.harm_alpha, "n_opt": part * rule.harm_buckets}
    up = {"alpha": rule.promote_alpha, "n_opt": part * rule.promote_buckets}
    seen = np.minimum(baseline.total.sum(axis=-1), candidate.total.sum(axis=-1))
    # Comparisons with nan are false: what isn't known neither fails nor passes.
    fails = excess.lower(**down) > rule.margin_absolute
    passes = (excess.upper(**up) <= rule.margin_absolute) & (seen >= rule.minimum_exposure)
    if rule.objective is not None:
        ours = estimate_share(candidate, pairs.overdispersion_candidate)
        theirs = estimate_share(baseline, pairs.overdispersion_baseline)
        shared = theirs.lower(**down) > rule.objective
        fails |= (ours.lower(**down) > rule.objective) & ~shared
        passes &= ours.upper(**up) <= rule.objective
    return np.asarray(fails), np.asarray(passes)
