"""Means of series of values, with bounds that hold at every look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from scipy.special import ndtr

from analysis.arrays import BoolArray, FloatArray, IntArray
from analysis.sequential.confidence_sequence import one_sided_multiplier, student_adjusted

FEWEST_TO_FAIL = 5


FEWEST_TO_PASS = 10


@dataclass(frozen=True, slots=True)
class SeriesMeans:
    """Means of series with bounds: float64[metrics] each."""

    mean: FloatArray
    error: FloatArray
    lower: FloatArray
    upper: FloatArray
    count: FloatArray
    independent: FloatArray

    @property
    def probability_below_zero(self) -> FloatArray:
        off = np.divide(self.mean, self.error, out=np.zeros_like(self.mean), where=self.error != 0)
        return np.where(self.error == 0, self.mean <= 0, ndtr(-off))


@dataclass(frozen=True, slots=True)
class SeriesMoments:
    """What bounds of means are made of: float64[metrics] each.

    variance: of what the means' error is of. independent: as how many values they count.
    """

    mean: FloatArray
    variance: FloatArray
    count: FloatArray
    independent: FloatArray


def series_moments(rows: FloatArray, noise: FloatArray) -> SeriesMoments:
    """Mean and spread of each row.

    rows: float64[metrics, intervals], NaN where nothing is known. noise: what the means' error is
    of, which may be the rows themselves; known where they are.
    """
    known = ~np.isnan(rows)
    count = known.sum(axis=1).astype(np.float64)
    mean = known_or_0(rows, known).sum(axis=1) / np.maximum(count, 1)
    off = _off_mean(noise, known)
    square = _products(off, off)
    doubt = 1 / np.sqrt(np.maximum(count, 1))
    alike = np.maximum(_autocorrelation(off, square, count) - doubt, 0.0)
    independent = count * (1 - alike) / (1 + alike)
    return SeriesMoments(mean, square / np.maximum(count - 1, 1), count, independent)


def unknown_means(metrics: int) -> SeriesMeans:
    """Those of a harm that no metric is tested for."""
    return SeriesMeans(*np.full((len(fields(SeriesMeans)), metrics), np.nan))


def joined_moments(parts: Sequence[SeriesMoments]) -> SeriesMoments:
    """Those of several groups of metrics, one after the other."""
    names = [field.name for field in fields(SeriesMoments)]
    return SeriesMoments(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in names)
    )


def bounded_means(
    moments: SeriesMoments, *, lower_alpha: FloatArray, upper_alpha: float, intervals: int | None
) -> SeriesMeans:
    """The means, with bounds that hold at every look of a growing series.

    lower_alpha: float64[metrics]. intervals: the number at which bounds are tightest; None: of each
    metric, those that are known.
    """
    mean, count, independent = moments.mean, moments.count, moments.independent
    error = np.sqrt(moments.variance / np.maximum(independent, 1))
    planned = np.full_like(count, intervals) if intervals else np.maximum(count, 2)
    down = _multiplier(independent, lower_alpha, planned)
    up = _multiplier(independent, np.full_like(count, upper_alpha), planned)
    lower = mean - np.where(count < FEWEST_TO_FAIL, np.inf, _times(down, error))
    upper = mean + np.where(count < FEWEST_TO_PASS, np.inf, _times(up, error))
    return SeriesMeans(np.where(count > 0, mean, np.nan), error, lower, upper, count, independent)


def _multiplier(independent: FloatArray, alpha: FloatArray, planned: FloatArray) -> FloatArray:
    """Standard errors between a mean and its one-sided bound: float64[metrics]."""
    multiplier = np.empty_like(independent)
    for n_opt in np.unique(planned):
        for level in np.unique(alpha[planned == n_opt]):
            at = np.flatnonzero((planned == n_opt) & (alpha == level))
            # Most metrics count as many: Student's quantile is what takes long.
            n, which = np.unique(independent[at], return_inverse=True)
            normal = one_sided_multiplier(n, alpha=level, n_opt=float(n_opt))
            multiplier[at] = student_adjusted(normal, n - 1)[which]
    return multiplier


def _times(multiplier: FloatArray, error: FloatArray) -> FloatArray:
    """The product; an infinite multiplier stays infinite where the error is 0.

    Of a series without any error the bounds are its value: sixty times no harm is no harm.
    """
    finite = np.where(np.isinf(multiplier), 0.0, multiplier)
    return np.where(np.isinf(multiplier), np.inf, finite * error)


_MOST = 0.95  # keeps the number of independent values above 0


def lag_one_autocorrelation(values: FloatArray) -> FloatArray:
    """The correlation of each row with itself one interval later: float64[rows], 0 to 0.95.

    values: float64[rows, intervals], NaN where nothing is known; a pair of neighbours counts
    where both are known. The estimate's bias of -1 / n is taken off; a negative one counts as 0,
    as it would make intervals narrower than those of independent values.
    """
    known = ~np.isnan(values)
    off = _off_mean(values, known)
    return _autocorrelation(off, _products(off, off), known.sum(axis=1))


def _products(a: FloatArray, b: FloatArray) -> FloatArray:
    """The scalar product of each row of a with that of b: float64[rows]."""
    return np.asarray(np.einsum("ij,ij->i", a, b))


def _off_mean(values: FloatArray, known: BoolArray) -> FloatArray:
    """Each value less its row's mean; 0 where it isn't known: float64[rows, intervals]."""
    mean = known_or_0(values, known).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return known_or_0(values - mean[:, None], known)


def known_or_0(values: FloatArray, known: BoolArray) -> FloatArray:
    """Values with 0 where they aren't known."""
    return values if known.all() else np.where(known, values, 0.0)


def _autocorrelation(
    off: FloatArray, square: FloatArray, count: FloatArray | IntArray
) -> FloatArray:
    """lag_one_autocorrelation by differences from the mean and the sums of their squares."""
    product = _products(off[:, 1:], off[:, :-1])
    correlation = np.divide(product, square, out=np.zeros_like(square), where=square > 0)
    varied = np.where(square > 0, correlation + 1 / np.maximum(count, 1), 0.0)
    return np.clip(varied, 0.0, _MOST)
