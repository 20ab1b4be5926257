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

from analysis.arrays import BoolArray, FloatArray, IntArray
from analysis.judge.planned_end import late_starts, proven_at_end
from analysis.judge.started_harm import BOUND_PART, EXACT_PART, started_gross_gap
from analysis.judge.total_failure import gross_gap
from analysis.power.time_cells import TimeCells
from analysis.requests.bucket_counts import BucketCounts
from analysis.requests.gross_failure import GrossNull, gross_failure_path
from analysis.requests.later_starts import Null, harm_from_any_start
from analysis.requests.paired_buckets import estimate_share, pair_buckets
from analysis.requests.recent import recent_excess, since_bucket
from analysis.requests.started_windows import watched_buckets

_RUNS = 200
_MOST_LOOKS = 40
# A detectable harm is searched for by many coarse simulations, to within a twelfth.
_COARSE_RUNS, _COARSE_LOOKS, _HALVINGS = 100, 10, 6
_LARGEST_HARM = 0.6


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
    promote_alpha: levels of the two bounds, tightest after harm_buckets and promote_buckets;
    final_alpha: that of the test at the planned end.
    buckets: all that the plan has. first_promote: buckets before which nothing is promoted.
    look_every: buckets between two looks. objective: a share that must not be exceeded.
    warm_up: buckets at the start that are not judged; early: but harm may begin in them, if it is
    there afterwards. least_last_part: buckets that the last part has at least.
    minimum_exposure: requests of each version, before which nothing is promoted.
    """

    margin_absolute: float
    margin_relative: float
    harm_alpha: float
    final_alpha: float
    promote_alpha: float
    buckets: int
    harm_buckets: float
    promote_buckets: float
    first_promote: int
    look_every: int
    objective: float | None = None
    minimum_exposure: float = 0.0
    warm_up: int = 0
    early: bool = False
    least_last_part: int = 40


@dataclass(frozen=True, slots=True)
class Detection:
    """What became of so many simulated canaries: shares of runs, and buckets until then.

    share: mean share of the traffic. rolled_back, promoted: shares of runs by the plan's end.
    median, slow, latest: buckets until half, nine in ten, and 95 % of all runs were decided rightly
    (rolled back if harmful, promoted if not); infinite where fewer were.
    """

    harm: float
    share: float
    rolled_back: float
    promoted: float
    median: float
    slow: float
    latest: float


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
    begin: int = 0,
) -> Detection:
    """Canaries with so much harm (share of requests) at so much of the traffic.

    share: one for all buckets, or float64[buckets], as a ramp has it. begin: the bucket in which
    harm begins; if it isn't the first, what was promoted before is watched on.
    """
    parts = np.broadcast_to(share, rule.buckets)
    mean = float(parts.mean())
    rng = np.random.default_rng([seed, round(1e6 * mean), round(1e9 * harm)])
    cells = TimeCells.of(rule.buckets, begin=begin)
    requests, parts = traffic.requests * cells.widths, cells.mean(parts)
    harmed = np.clip((cells.ends - begin) / cells.widths, 0.0, 1.0)
    rates = (1 - parts, traffic.bad), (parts, np.minimum(traffic.bad + harm * harmed, 1.0))
    variants = [
        BucketCounts(total.astype(np.float64), _bursts(rng, total, p, traffic, cells))
        for part, p in rates
        for total in (rng.poisson(requests * part, (runs, len(parts))),)
    ]
    gross = _gross(variants, rule, traffic)
    rolled, promoted = np.full(runs, np.inf), np.full(runs, np.inf)
    for cell in cells.looks(rule.look_every, most_looks, begin=begin):
        look = cells.ends[cell]
        left = np.flatnonzero(np.isinf(rolled) & (np.isinf(promoted) | (begin > 0)))
        until = [BucketCounts(x.total[left, : cell + 1], x.bad[left, : cell + 1]) for x in variants]
        fails, passes = _classify(until, cells, rule)
        fails |= gross[left, cell]
        rolled[left[fails]] = look
        if look >= rule.first_promote:
            promoted[left[~fails & passes]] = look
    right = rolled if harm > rule.margin_absolute + rule.margin_relative * traffic.bad else promoted
    ends = np.quantile(right, [0.5, 0.9, 0.95], method="inverted_cdf")
    return Detection(
        harm,
        mean,
        float(np.isfinite(rolled).mean()),
        float(np.isfinite(promoted).mean()),
        *map(float, ends),
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


def _bursts(
    rng: np.random.Generator,
    total: IntArray,
    p: FloatArray | float,
    traffic: Traffic,
    cells: TimeCells,
) -> FloatArray:
    """Bad requests whose variance is overdispersion times the binomial one (beta-binomial)."""
    overdispersion = traffic.overdispersion
    if overdispersion <= 1 or not np.all((p > 0) & (p < 1)):
        return rng.binomial(total, p).astype(np.float64)
    of_bucket = float(total.sum()) / (len(total) * float(cells.widths.sum()))
    mean = np.maximum(of_bucket * cells.widths, 2.0)
    correlation = np.minimum((overdispersion - 1) / (mean - 1), 0.99)
    size = (1 - correlation) / correlation
    rates = rng.beta(p * size, (1 - p) * size, total.shape)
    return rng.binomial(total, rates).astype(np.float64)


def _gross(variants: Sequence[BucketCounts], rule: Rule, traffic: Traffic) -> BoolArray:
    """Whether the exact test had refuted health by each cell: bool[runs, cells]."""
    runs, alpha = len(variants[0].total), EXACT_PART * rule.harm_alpha
    null = GrossNull(
        gap=np.full(runs, gross_gap(rule.margin_absolute)),
        factor=1 + rule.margin_relative,
        alpha=np.full(runs, alpha),
        planned_buckets=rule.buckets,
        overdispersion=max(traffic.overdispersion, 1.0),
    )
    path = gross_failure_path(variants[0], variants[1], null)
    return np.asarray(np.maximum.accumulate(path, axis=-1) >= -np.log(alpha))


def _classify(
    variants: Sequence[BucketCounts], cells: TimeCells, rule: Rule
) -> tuple[BoolArray, BoolArray]:
    """Whether a look fails, and whether it passes, each run: bool[runs] each."""
    part = cells.for_bucket(variants[0].total.shape[1])
    baseline, candidate = (since_bucket(variant, rule.warm_up) for variant in variants)
    if not baseline.total.shape[1]:
        nobody = np.zeros(len(baseline.total), dtype=np.bool_)
        return nobody, nobody
    pairs = pair_buckets(baseline, candidate)
    excess, margin = pairs.contrast(1 + rule.margin_relative), rule.margin_absolute
    down = {"alpha": rule.harm_alpha, "n_opt": part * rule.harm_buckets}
    up = {"alpha": rule.promote_alpha, "n_opt": part * rule.promote_buckets}
    seen = np.minimum(baseline.total.sum(axis=-1), candidate.total.sum(axis=-1))
    # Comparisons with nan are false: what isn't known neither fails nor passes.
    fails = excess.lower(**{**down, "alpha": BOUND_PART * rule.harm_alpha}) > margin
    since = variants if rule.early else (baseline, candidate)
    fails |= _started(since, rule, len(cells.ends))
    if variants[0].total.shape[1] == len(cells.ends):
        fails |= _final((baseline, candidate), cells, rule)
    passes = (excess.upper(**up) <= margin) & (seen >= rule.minimum_exposure)
    if rule.objective is not None:
        ours = estimate_share(candidate, pairs.overdispersion_candidate)
        theirs = estimate_share(baseline, pairs.overdispersion_baseline)
        shared = theirs.lower(**down) > rule.objective
        fails |= (ours.lower(**down) > rule.objective) & ~shared
        passes &= ours.upper(**up) <= rule.objective
    healthy = np.flatnonzero(passes)
    if healthy.size:
        recent = recent_excess(
            BucketCounts(baseline.total[healthy], baseline.bad[healthy]),
            BucketCounts(candidate.total[healthy], candidate.bad[healthy]),
            np.full(healthy.size, 1 + rule.margin_relative),
            least=rule.least_last_part,
            left=len(cells.ends) - variants[0].total.shape[1],
        )
        passes[healthy] = recent.stays_below(margin, **up)
    return np.asarray(fails), np.asarray(passes)


def _final(variants: tuple[BucketCounts, BucketCounts], cells: TimeCells, rule: Rule) -> BoolArray:
    """Whether the test at the planned end proves harm: bool[runs]."""
    one = np.ones(len(variants[0].total))
    factor, margin = (1 + rule.margin_relative) * one, rule.margin_absolute * one
    starts = np.searchsorted(cells.ends, late_starts(rule.buckets), side="right") - rule.warm_up
    found = proven_at_end(variants, starts, factor, margin, rule.final_alpha)
    return np.asarray(np.isfinite(found.lower).any(axis=0))


def _started(variants: Sequence[BucketCounts], rule: Rule, buckets: int) -> BoolArray:
    """Whether harm since any start is proven: bool[runs]."""
    one = np.ones(len(variants[0].total))
    tests = (
        (rule.margin_absolute * one, 1 - BOUND_PART, False),
        (started_gross_gap(rule.margin_absolute * one), 1 - EXACT_PART, True),
    )
    found, views = np.zeros(len(one), dtype=np.bool_), watched_buckets(*variants)
    for gap, level, gross in tests:
        null = Null(
            gap,
            (1 + rule.margin_relative) * one,
            level * rule.harm_alpha * one,
            buckets,
            gross,
            bounded=False,
            warm_up=rule.warm_up if rule.early else 0,
            starting=rule.warm_up * (1 + rule.early),
            timed=not rule.early,
        )
        found |= harm_from_any_start(views, null).log_e >= 0
    return found
