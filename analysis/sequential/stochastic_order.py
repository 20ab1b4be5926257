"""Whole distributions at every look: are two streams equal, is one slower anywhere?

A band around each version's empirical distribution function holds the true one at all values and
all looks; where the bands separate, the distributions differ (Lindon, Sanden, Shirikian 2022). From
raw values the band is the iterated-logarithm form of Dvoretzky, Kiefer, Wolfowitz (Howard, Ramdas
2022, theorem 2). From buckets the few edges are tested one by one.

Both are cautious (no false alarm in the hundreds of runs of benchmarks.sequential_validity): they
hold for any distribution at any count. Where counts come block by block, order_by_block is far
sharper, and so is a test of one quantile or of one edge.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.sequential.bernoulli import compare_failures, failures_by_block
from analysis.sequential.e_values import always_valid_p, check_level, log_average
from analysis.sequential.roots import bracket_root

FloatArray = NDArray[np.float64]

_WIDTH = 0.85  # A of Howard, Ramdas; what they recommend
_T_MIN_SHARE = 0.02  # of the planned values: a later start costs less than the looks it gives up
_ETA = np.linspace(1.0005, 2 * _WIDTH**2 - 0.0005, 4000)


@dataclass(frozen=True, slots=True)
class OrderOfValues:
    """How two streams of values differ; bands hold with probability 1 - alpha at all looks.

    slower, faster: largest excess of the baseline's distribution function over the candidate's
        (so the candidate has more large values), and the other way round.
    baseline_radius, candidate_radius: of each version's band; infinite before t_min values.
    p_slower: of "the candidate is nowhere slower". p_faster, p_value: of "nowhere faster", "equal".
    t_min: the tuning, values of a version before which nothing is said.
    """

    slower: float
    faster: float
    baseline_radius: float
    candidate_radius: float
    p_slower: float
    p_faster: float
    p_value: float
    t_min: float


@dataclass(frozen=True, slots=True)
class OrderOfBuckets:
    """How two streams differ at each edge: share slower than the edge, candidate minus baseline.

    difference, lower, upper: float64[..., edges]; all intervals hold together at all looks.
    log_e: float64[...], against "the same share at every edge". log_e_slower, log_e_faster:
    against "the candidate is nowhere slower", "nowhere faster". prior: the tuning.
    """

    difference: FloatArray
    lower: FloatArray
    upper: FloatArray
    log_e: FloatArray
    log_e_slower: FloatArray
    log_e_faster: FloatArray
    prior: float

    @property
    def p_value(self) -> FloatArray:
        """Always-valid p-value of equality."""
        return always_valid_p(self.log_e)

    @property
    def p_slower(self) -> FloatArray:
        """Always-valid p-value of "the candidate is nowhere slower"."""
        return always_valid_p(self.log_e_slower)

    @property
    def p_faster(self) -> FloatArray:
        """Always-valid p-value of "the candidate is nowhere faster"."""
        return always_valid_p(self.log_e_faster)


@dataclass(frozen=True, slots=True)
class OrderByBlock:
    """Log e-values after each block of time: float64[..., blocks]; no tuning.

    log_e: against "in every block the same share at every edge". log_e_slower, log_e_faster:
    against "the candidate is slower (faster) at no edge in no block".
    """

    log_e: FloatArray
    log_e_slower: FloatArray
    log_e_faster: FloatArray

    @property
    def p_value(self) -> FloatArray:
        """Always-valid p-value of equality, after each block."""
        return always_valid_p(self.log_e)

    @property
    def p_slower(self) -> FloatArray:
        """Always-valid p-value of "the candidate is nowhere slower", after each block."""
        return always_valid_p(self.log_e_slower)


def band_radius(n: ArrayLike, *, alpha: float, t_min: float) -> FloatArray:
    """Half-width of a band around the empirical distribution function, at all values and looks.

    n: float64[...], values so far; infinite below t_min.
    """
    check_level(alpha)
    return _radius(np.asarray(n, np.float64), _constant(alpha), t_min)


def order_of_values(
    baseline: ArrayLike, candidate: ArrayLike, *, alpha: float, n_opt: float
) -> OrderOfValues:
    """Compares two streams at every look, from values so far: float64[n] and float64[m].

    n_opt: values of one version at which a decision is planned. Values that are not finite are
    left out.
    """
    b, c = (
        np.sort(x[np.isfinite(x)]) for x in (np.asarray(v, float) for v in (baseline, candidate))
    )
    t_min = max(_T_MIN_SHARE * n_opt, 1.0)
    points = np.concatenate([b, c])
    f_b, f_c = (np.searchsorted(x, points, "right") / max(x.size, 1) for x in (b, c))
    slower = float((f_b - f_c).max(initial=0.0))
    faster = float((f_c - f_b).max(initial=0.0))
    radii = [float(band_radius(x.size, alpha=alpha / 2, t_min=t_min)) for x in (b, c)]
    p = [_p_of_separation(gap, (b.size, c.size), t_min) for gap in (slower, faster)]
    return OrderOfValues(slower, faster, radii[0], radii[1], p[0], p[1], min(p), t_min)


def order_of_buckets(baseline: ArrayLike, candidate: ArrayLike, *, alpha: float) -> OrderOfBuckets:
    """Compares two streams at every look, from counts on common edges: float64[..., edges].

    baseline, candidate: counts at or below each edge; the last are all, at an edge (or infinity)
    that nothing exceeds. Exact at any count. alpha is shared by the edges; the e-values are
    averages over edges, so one edge's evidence loses the logarithm of their number.
    """
    b, c = np.broadcast_arrays(*(np.asarray(a, np.float64) for a in (baseline, candidate)))
    totals = b[..., -1:], c[..., -1:]
    slow_b, slow_c = totals[0] - b[..., :-1], totals[1] - c[..., :-1]
    level = alpha / slow_b.shape[-1]
    slower = compare_failures(slow_b, totals[0], slow_c, totals[1], alpha=level)
    faster = compare_failures(slow_c, totals[1], slow_b, totals[0], alpha=level)
    last = np.zeros_like(totals[0])

    def with_last(edges: FloatArray) -> FloatArray:
        return np.concatenate([edges, last], axis=-1)

    return OrderOfBuckets(
        difference=with_last(slower.difference),
        lower=with_last(slower.lower),
        upper=with_last(slower.upper),
        log_e=log_average(slower.log_e),
        log_e_slower=log_average(slower.log_e_beyond),
        log_e_faster=log_average(faster.log_e_beyond),
        prior=slower.prior,
    )


@cache
def _constant(alpha: float) -> float:
    """The C of the band whose level is alpha."""
    return float(bracket_root(lambda c: np.log(alpha) - _log_level(c), 1.0, 2000.0)[1])


def order_by_block(baseline: ArrayLike, candidate: ArrayLike) -> OrderByBlock:
    """Compares two streams after each block of time, from each block's counts on common edges.

    baseline, candidate: float64[..., blocks, edges], requests of that block at or below each edge,
    the last being all of that block. Sharper than order_of_buckets, and both versions' latency may
    drift together.
    """
    b, c = (np.asarray(a, np.float64) for a in (baseline, candidate))
    n_b, n_c = (np.swapaxes(x[..., -1:], -1, -2) for x in (b, c))
    slow_b, slow_c = (np.swapaxes(x[..., -1:] - x[..., :-1], -1, -2) for x in (b, c))
    slower = failures_by_block(slow_b, n_b, slow_c, n_c, only_higher=True)
    faster = failures_by_block(slow_c, n_c, slow_b, n_b, only_higher=True)
    either = failures_by_block(slow_b, n_b, slow_c, n_c)
    return OrderByBlock(*(log_average(log_e, axis=-2) for log_e in (either, slower, faster)))


def _radius(n: FloatArray, constant: FloatArray | float, t_min: float) -> FloatArray:
    some = np.maximum(n, t_min)
    radius = _WIDTH * np.sqrt((np.log1p(np.log(some / t_min)) + constant) / some)
    return np.where(n < t_min, np.inf, radius)


def _p_of_separation(gap: float, sizes: tuple[int, int], t_min: float) -> float:
    """The least alpha at which two bands of level alpha / 2 have come apart by so much."""
    if min(sizes) < t_min:
        return 1.0
    n = np.array(sizes, dtype=np.float64)

    def rising(constant: FloatArray) -> FloatArray:
        return np.asarray(_radius(n, constant, t_min).sum() - gap)

    constant, _ = bracket_root(rising, 0.0, 2.0 * n.max())
    return float(np.minimum(1.0, 2 * np.exp(_log_level(constant))))


def _log_level(constant: FloatArray) -> FloatArray:
    """Log of the probability that the band of this constant ever fails (at most 0).

    The infimum over eta is taken over a fine grid, so it is an upper bound, as it should be.
    """
    c = np.maximum(np.asarray(constant, np.float64), 1e-9)
    gamma = np.sqrt(2 / _ETA) * (_WIDTH - np.sqrt(2 * (_ETA - 1) / c))
    valid = gamma > 1
    excess = np.where(valid, gamma**2 - 1, 1.0)
    levels = np.log(4) - gamma**2 * c + np.log1p(1 / (excess * np.log(_ETA)))
    return np.asarray(np.minimum(np.where(valid, levels, 0.0).min(), 0.0))
