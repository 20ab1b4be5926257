"""How much more the mean of a persistent series varies than one of independent values would.

Neighbouring buckets are alike where a state persists (a warm cache, a busy neighbour, a queue that
drains): so many buckets then say less than as many independent ones. The variance of their mean is
the long-run variance, all autocovariances together.

Two estimates are made of it, and the larger one is believed. One takes the series for a first-order
autoregression, corrected for the bias of its coefficient (Marriott, Pope 1954); it is right early.
The other is Bartlett's (Newey, West 1987) over sqrt(n) lags; it sees a slow state under much noise.
Both are too low where persistence matters most. So what is hardly chance is taken at its upper end,
and in a short series less is put down to chance. Sampling doesn't persist: of a variance that it
explains nothing is inflated, so that few requests that happen to be alike cost little.

The constants were chosen by simulation (benchmarks/persistence.py: 48 kinds of streams at the
margin, looked at every second bucket, 2.5 % wanted on either side). At a coefficient of 0.6 at most
2.5 % of the runs end wrong on a side, at 0.8 1.6 % on average and 5 % in the worst kind (10 and
35 % without), at 0.9 3.6 and 10 %. From 0.95 on a state lasts for much of a look, and what that
look holds can't tell it from an effect: 8 and 20 %. Nothing persistent costs little: 3 points at
100 requests a second are found as soon as without in half of the runs, in nine of ten after 30
buckets instead of 26.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from analysis.arrays import FloatArray

# Standard errors up to which an autocorrelation may be chance, and over which it stops being so.
_CHANCE, _RAMP = 1.3, 0.4
# In a series shorter than this, less is put down to chance.
_FULL_LENGTH = 30.0
# Standard errors by which an estimate is raised that is hardly chance.
_RAISED, _BARTLETT_RAISED = 3.0, 2.5
_LARGEST_COEFFICIENT = 0.99
# Standard errors by which a variance may be too low.
_DOUBT = 2.0
# States of a version that are taken to have been seen at least.
_LEAST_STATES, _LEAST_CAP = 4.0, 2.0
_TINY = 1e-300


@dataclass(frozen=True, slots=True)
class LaggedProducts:
    """Sums of products of two versions' weighted deviations, so many buckets apart.

    baseline, candidate, both: float64[lags, metrics], lag 0 first; both: of one with the other,
        either way round. buckets: float64[metrics], the effective number of buckets.
    """

    baseline: FloatArray
    candidate: FloatArray
    both: FloatArray
    buckets: FloatArray

    def inflation(self, factor: ArrayLike = 1.0) -> FloatArray:
        """Of candidate - factor * baseline, as variance_inflation: float64[..., metrics].

        factor: float64[..., metrics] or one number.
        """
        f = np.atleast_1d(np.asarray(factor, dtype=np.float64))[..., None, :]
        products = self.candidate - 2 * f * self.both + f**2 * self.baseline
        found = variance_inflation(products, self.buckets)
        return found if np.ndim(factor) else found.reshape(self.buckets.shape)


def lagged_products(
    baseline: FloatArray, candidate: FloatArray, buckets: FloatArray
) -> LaggedProducts:
    """From weights times distances from the means: float64[metrics, buckets], in order of time.

    They are 0 in buckets without data. buckets: float64[metrics], their effective number.
    """
    both = np.stack([baseline, candidate])
    lags = _lags(both.shape[-1])
    # By the transform (Wiener, Khinchin): so many lags one by one take the square root of the
    # buckets as long. Padded, so that the end doesn't meet the beginning.
    size = 1 << (both.shape[-1] + lags - 1).bit_length()
    spectra = np.fft.rfft(both, size)
    sums = np.fft.irfft(spectra[:, None] * spectra.conj()[None], size)[..., :lags]
    # Of what is the same in both versions nothing may be left, not even a rounding error.
    sums[..., 0] = np.einsum("imt,jmt->ijm", both, both)
    sums = np.moveaxis(sums, -1, 0)
    return LaggedProducts(
        sums[:, 0, 0], sums[:, 1, 1], (sums[:, 0, 1] + sums[:, 1, 0]) / 2, buckets
    )


def _lags(buckets: int) -> int:
    """Lags below sqrt(buckets), but two where there are two buckets."""
    return max(1, min(buckets, max(2, int(np.ceil(np.sqrt(buckets))))))


def variance_inflation(products: FloatArray, buckets: FloatArray) -> FloatArray:
    """Long-run variance of a weighted mean over its plain one: float64[..., metrics], at least 1.

    products: float64[..., lags, metrics], sums of products of weighted deviations, lag 0 first.
    buckets: float64[metrics], the effective number of buckets.
    """
    plain = products[..., 0, :]
    if products.shape[-2] < 2:
        return np.ones(plain.shape)
    correlations = products[..., 1:, :] / np.maximum(plain, _TINY)[..., None, :]
    n = np.maximum(buckets, 1.0)
    larger = np.maximum(
        _of_autoregression(correlations[..., 0, :], n), _of_bartlett(correlations, n)
    )
    return np.asarray(np.where(plain > 0, np.maximum(larger, 1.0), 1.0))


def of_what_persists(
    inflation: FloatArray, variance: FloatArray, sampling: FloatArray, buckets: FloatArray
) -> FloatArray:
    """The inflation of a variance of which so much is sampling, which doesn't persist.

    Whatever varies beyond sampling may persist, and as much as the variance may be too low by.
    """
    doubt = _DOUBT * np.sqrt(2 / np.maximum(buckets, 1.0))
    with np.errstate(over="ignore"):  # where next to nothing varies, all of it is sampling
        part = np.clip(1 - sampling / np.maximum(variance, _TINY) + doubt, 0.0, 1.0)
    return np.asarray(1 + (inflation - 1) * part)


def most_inflation(buckets: FloatArray) -> FloatArray:
    """As much as is believed of so many buckets: a quarter of them, so that a bound stays finite.

    What persists for longer than that can't be told from a step by these buckets.
    """
    return np.maximum(buckets / _LEAST_STATES, _LEAST_CAP)


def _of_autoregression(correlation: FloatArray, n: FloatArray) -> FloatArray:
    """(1 + r) / (1 - r), with the coefficient corrected for its bias and its doubt."""
    r = correlation + (1 + 3 * np.maximum(correlation, 0)) / n
    error = np.sqrt(np.maximum(1 - np.clip(r, 0, 1) ** 2, 0.05) / n)
    r = (r + _RAISED * error) * _surely(r, error, n)
    r = np.clip(r, 0.0, _LARGEST_COEFFICIENT)
    return np.asarray((1 + r) / (1 - r))


def _of_bartlett(correlations: FloatArray, n: FloatArray) -> FloatArray:
    """Bartlett's weights over sqrt(n) lags, without the bias that the fitted mean brings."""
    width = np.ceil(np.sqrt(n))
    lag = np.arange(1, correlations.shape[-2] + 1)[:, None]
    weights = np.maximum(1 - lag / width, 0.0)
    ratio = (1 + 2 * (weights * correlations).sum(axis=-2)) / np.maximum(1 - width / n, 0.5)
    error = np.sqrt(4 / 3 * width / n)
    raised = ratio * (1 + _BARTLETT_RAISED * error)
    return np.asarray(1 + (raised - 1) * _surely(ratio - 1, error, n))


def _surely(value: FloatArray, error: FloatArray, n: FloatArray) -> FloatArray:
    """From 0, where a value may be chance, to 1, where it hardly is; no jump in between."""
    chance = _CHANCE * np.minimum(n / _FULL_LENGTH, 1.0)
    return np.clip((value / error - chance) / _RAMP, 0.0, 1.0)
