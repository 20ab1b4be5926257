"""How much the difference of two versions varies around a level that may have changed once.

A step is no persistence: deviations are taken from the mean before the change and from the mean
after it, so that it doesn't enter. What persists is bounded by what a window can hold of it: the
mean of a window varies by no more than the state that lasts through it. A version's own states of
minutes look like harm until they have come and gone; the baseline, which is known better, shows
them first, so the candidate is taken to have such states as well.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from scipy.special import chdtri

from analysis.arrays import BoolArray, FloatArray, IntArray
from analysis.requests.bucket_counts import BucketCounts, information
from analysis.requests.long_run_variance import of_what_persists, variance_inflation
from analysis.sequential.confidence_sequence import normal_of_student

_TINY = 1e-300
# Buckets before a start that belong to neither side: the change is near it, not exactly there.
_UNSURE = 4
# As many failures of the candidate say as much of its bursts as the baseline's do.
_FAILURES_TO_KNOW_BURSTS = 40.0
# Persistence, as inflation of a variance, that degrees of freedom always allow for.
_LEAST_INFLATION = 1.5
# Degrees of freedom by which variance of sampling alone is believed; buckets of a hiccup.
_SAMPLING_DEGREES, _HICCUP = 15.0, 4.0
# So many more for the first buckets of a plan, half of them long.
_MORE_DEGREES, _FIRST_BUCKETS = 65.0, 32.0
# Of the baseline's long-run variance over sampling's, from which on it surely has own states.
_VARIES = 5.0
# Standard errors by which the part of the variance that is no sampling may be too low.
_DOUBT = 1.0
# Standard errors of independent buckets by which what is shared may be chance, if states last.
_LASTING_DOUBT = 3.0
# A share of failures below which levels aren't compared.
_LEAST_LEVEL = 1e-6
# Chance that bursts or a version's states are larger than they are judged by.
LARGER = 0.03


@dataclass(frozen=True, slots=True)
class LevelNoise:
    """Per window, in multiples of what sampling alone gives the difference: float64[windows].

    bursts: of a bucket, at least 1. states: what a version's own states of minutes add to the
    window's mean. persistent: all of it, at least bursts. degrees: of freedom, of persistent.
    buckets: seen on both sides, less one for the change.
    """

    bursts: FloatArray
    states: FloatArray
    persistent: FloatArray
    degrees: FloatArray
    buckets: FloatArray

    def likely(self, ratio: FloatArray, roots: FloatArray) -> FloatArray:
        """Log of a likelihood ratio, or what root counts have as far as there are bursts.

        Bursts of random sizes have heavier tails than as many single failures.
        """
        return np.asarray(ratio / self.bursts + roots * (1 - 1 / self.bursts))

    def standard_errors(self, ratio: FloatArray, roots: FloatArray) -> FloatArray:
        """Its signed root over all that the difference varies by, as a normal value."""
        likely = np.maximum(self.likely(ratio, roots), 0.0)
        return normal_of_student(np.sqrt(2 * likely / self.persistent), self.degrees)

    def only(self, chosen: IntArray) -> LevelNoise:
        """That of some windows."""
        return LevelNoise(*(getattr(self, field.name)[chosen] for field in fields(self)))


def noise_around(
    baseline: BucketCounts,
    candidate: BucketCounts,
    *,
    factor: FloatArray,
    gap: FloatArray,
    row: IntArray,
    start: IntArray,
) -> LevelNoise:
    """Of candidate - factor * baseline, if its level changed at the window's start.

    baseline, candidate: [rows, buckets]. factor, gap: float64[rows], what the candidate's level is
    above the baseline's. row, start: int64[windows].
    """
    buckets = baseline.total.shape[-1]
    f = factor[row][:, None]
    weight = information(baseline, candidate)[row]
    sides = _sides(weight, start)
    own = BucketCounts(baseline.total[row], baseline.bad[row])
    off_b, var_b = _off_level(own, weight, sides)
    off_c, var_c = _off_level(BucketCounts(candidate.total[row], candidate.bad[row]), weight, sides)
    used = sides[0] | sides[1]
    n = used.sum(-1).astype(np.float64)
    levels = sum(side.any(-1).astype(np.float64) for side in sides)
    free = np.maximum(n - levels, 1.0)
    variance = np.maximum(var_c + f**2 * var_b, _TINY)
    products = _products(np.where(used, (off_c - f * off_b) / np.sqrt(variance), 0.0), start)
    of_difference = products[0] / free
    alone, unshared = _unshared(off_b, off_c, var_b, weight * used, n / free)
    known = candidate.bad[row].sum(-1) / _FAILURES_TO_KNOW_BURSTS
    bursts = np.maximum((known * of_difference + alone) / (known + 1), 1.0)
    length = (buckets - start).astype(np.float64)
    one = np.ones_like(bursts)
    inflation = of_what_persists(variance_inflation(products, n), of_difference, one, n)
    inflation = 1 + np.minimum(inflation - 1, length)
    typical = np.where(used, variance, 0.0).sum(-1) / np.maximum(n, 1)
    beyond = np.maximum(of_difference - 1, 0) + _DOUBT * np.sqrt(2 / np.maximum(n, 1))
    scale = unshared / np.maximum(typical, _TINY)
    states, long_run = _own_states(baseline, row, factor[row], gap[row], scale, beyond, length)
    persistent = np.maximum(bursts * inflation, bursts + states)
    believed = np.clip(inflation * of_difference, 0.0, 1.0)
    allowed = 1 + (np.maximum(inflation, _LEAST_INFLATION) - 1) * believed
    seen = (free + 1) / allowed - 1
    calm = _calm_start(long_run, n, start)
    prior = _degrees_of_sampling(persistent, calm, sides[1].sum(-1))
    return LevelNoise(
        bursts=_moderated(bursts, seen, calm * prior),
        states=states,
        persistent=_moderated(persistent, seen, calm * prior),
        degrees=seen + prior,
        buckets=free + 1,
    )


def _moderated(variance: FloatArray, degrees: FloatArray, prior: FloatArray) -> FloatArray:
    """A variance that was seen with so many degrees of freedom, and sampling's with the prior's.

    At least 1, what sampling gives.
    """
    part = prior / np.maximum(np.maximum(degrees, 0.0) + prior, _TINY)
    return np.maximum(variance + (1 - variance) * part, 1.0)


def _calm_start(long_run: FloatArray, n: FloatArray, start: IntArray) -> FloatArray:
    """From 1, for a plan's first buckets while the baseline shows no states of its own, to 0.

    A candidate may have a state that lasts through all of its window, which doesn't show in it.
    long_run: the baseline's variance, as its mean has it, over sampling's. n: buckets.
    """
    young = np.where(start == 0, np.clip(2 * (1 - n / _FIRST_BUCKETS), 0.0, 1.0), 0.0)
    return np.asarray(young * np.clip((_VARIES - long_run) / (_VARIES - 2), 0.0, 1.0))


def _degrees_of_sampling(persistent: FloatArray, calm: FloatArray, seen: IntArray) -> FloatArray:
    """Degrees of freedom that a window has besides, as far as it varies as sampling has it.

    What sampling gives is known, not estimated (a prior on it: Smyth 2004, "moderated t"). Where
    few of its buckets were seen, neither bursts nor a hiccup would show.
    """
    like_sampling = np.clip(2 - persistent, 0.0, 1.0)
    many = np.clip((seen - _HICCUP) / _HICCUP / 2, 0.0, 1.0)
    return (_SAMPLING_DEGREES + _MORE_DEGREES * calm) * like_sampling * many


def _sides(weight: FloatArray, start: IntArray) -> tuple[BoolArray, BoolArray]:
    """Buckets before and after the change: bool[windows, buckets]; a side of one has no spread."""
    at = np.arange(weight.shape[-1])
    sides = (at < start[:, None] - _UNSURE), (at >= start[:, None])
    seen = [side & (weight > 0) for side in sides]
    before, after = (side & (side.sum(-1) >= 2)[:, None] for side in seen)
    return before, after


def _off_level(
    counts: BucketCounts, weight: FloatArray, sides: tuple[BoolArray, BoolArray]
) -> tuple[FloatArray, FloatArray]:
    """Distance of each bucket's share from its side's mean, and its sampling variance."""
    off, variance = np.zeros(weight.shape), np.zeros(weight.shape)
    for side in sides:
        w = np.where(side, weight, 0.0)
        mean = (w * counts.share).sum(-1) / np.maximum(w.sum(-1), _TINY)
        bad, total = (np.where(side, x, 0.0).sum(-1) for x in (counts.bad, counts.total))
        p = ((bad + 1) / (total + 2))[:, None]
        off += np.where(side, counts.share - mean[:, None], 0.0)
        variance += np.where(side, p * (1 - p) / np.maximum(counts.total, 1), 0.0)
    return off, variance


def _products(values: FloatArray, start: IntArray) -> FloatArray:
    """Sums of products so many buckets apart, both on one side: float64[lags, windows]."""
    buckets = values.shape[-1]
    after = np.arange(buckets) >= start[:, None]
    lags = max(1, min(buckets, max(2, int(np.ceil(np.sqrt(buckets))))))
    sums = []
    for lag in range(lags):
        left, right = slice(0, buckets - lag), slice(lag, buckets)
        together = after[:, left] == after[:, right]
        sums.append(np.where(together, values[:, left] * values[:, right], 0.0).sum(-1))
    return np.array(sums)


def _unshared(
    off_b: FloatArray,
    off_c: FloatArray,
    var_b: FloatArray,
    weight: FloatArray,
    unbiased: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """The baseline's overdispersion, what surely are shocks of both versions taken off.

    And the part of its variance that is left.
    """
    total = np.maximum(weight.sum(-1), _TINY)
    n = np.maximum((weight > 0).sum(-1), 1)
    spread_b, spread_c, both = (
        (weight * x).sum(-1) / total * unbiased for x in (off_b**2, off_c**2, off_b * off_c)
    )
    doubt = np.sqrt(spread_b * spread_c / n)
    shared = np.maximum(both - doubt, 0.0)
    # States that each version has for itself are alike by chance for as long as they last.
    surely = np.maximum(both - _LASTING_DOUBT * doubt, 0.0)
    sampling = (weight * var_b).sum(-1) / total
    left = 1 - np.minimum(surely / np.maximum(spread_b, _TINY), 1.0)
    return np.maximum((spread_b - shared) / np.maximum(sampling, _TINY), 1.0), left


def _own_states(
    baseline: BucketCounts,
    row: IntArray,
    factor: FloatArray,
    gap: FloatArray,
    scale: FloatArray,
    beyond: FloatArray,
    length: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """What states as the baseline has them add to a window's mean: float64[windows].

    And the baseline's long-run variance over sampling's.
    A candidate's are as large for its level as the baseline's for its own: a baseline that fails
    little now shows small ones. Few were seen, so they are taken to be larger.
    scale: from the baseline's variance to that of its own states, in multiples of the difference's
    sampling. beyond: what the difference varies by, and may, beyond sampling.
    """
    rows, at = np.unique(row, return_inverse=True)
    counts = BucketCounts(baseline.total[rows], baseline.bad[rows])
    seen = counts.total > 0
    n = seen.sum(-1).astype(np.float64)
    mean = (counts.total * counts.share).sum(-1) / np.maximum(counts.total.sum(-1), 1)
    off = np.where(seen, counts.share - mean[:, None], 0.0)
    products = _products(off, np.zeros(len(rows), dtype=np.int64))
    sampling = np.where(seen, counts.sampling_variance, 0.0).sum(-1) / np.maximum(n, 1)
    variance = products[0] / np.maximum(n - 1, 1)
    varies = np.maximum(variance - sampling, 0.0)
    inflation = np.minimum(variance_inflation(products, n), np.maximum(n / 4, 1.0))
    level = factor + gap / np.maximum(mean[at], _LEAST_LEVEL)
    states = np.minimum(varies[at] * scale * (level**2 + factor**2), beyond)
    free = np.maximum(n / inflation - 1, 1.0)
    larger = (free / chdtri(free, 1 - LARGER))[at]
    ratio = variance / np.maximum(sampling, _TINY)
    long_run = ratio * of_what_persists(inflation, ratio, np.ones_like(ratio), n)
    return np.asarray(states * larger * np.minimum(inflation[at] - 1, length)), long_run[at]
