"""An estimate from buckets with the bounds that hold at every look at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from analysis.confidence import one_sided_multiplier, student_adjusted

FloatArray = NDArray[np.float64]

_TINY = 1e-300  # keeps a division finite where there are no degrees of freedom


@dataclass(frozen=True, slots=True)
class Estimator:
    """An estimate with its standard errors and effective number of buckets: float64[..., metrics].

    over_time: standard errors from buckets, for the lower and for the upper bound.
    degrees: of freedom of these: fewer where buckets persist.
    between: standard error from pods, with its degrees of freedom. Pods are drawn once and not at
        each look, so its multiplier is Student's at one look; of a quarter of the level, as pods'
        shares are skewed and few.
    """

    estimate: FloatArray
    over_time: tuple[FloatArray, FloatArray]
    buckets: FloatArray
    degrees: FloatArray
    between: tuple[FloatArray, FloatArray] | None = None

    @property
    def standard_error(self) -> FloatArray:
        """On the side of the lower bound, pods included."""
        return self._with_pods(self.over_time[0])

    @property
    def upper_error(self) -> FloatArray:
        """On the side of the upper bound, pods included."""
        return self._with_pods(self.over_time[1])

    def lower(self, *, alpha: FloatArray | float, n_opt: float) -> FloatArray:
        """The lower bound of level alpha, at every look at once; tightest after n_opt buckets."""
        return self.estimate - self._width(self.over_time[0], alpha, n_opt)

    def upper(self, *, alpha: FloatArray | float, n_opt: float) -> FloatArray:
        """The upper bound of level alpha, at every look at once; tightest after n_opt buckets."""
        return self.estimate + self._width(self.over_time[1], alpha, n_opt)

    def _with_pods(self, error: FloatArray) -> FloatArray:
        return error if self.between is None else np.hypot(error, self.between[0])

    def _width(self, error: FloatArray, alpha: FloatArray | float, n_opt: float) -> FloatArray:
        """Between the estimate and its one-sided bound."""
        normal = one_sided_multiplier(self.buckets, alpha=alpha, n_opt=n_opt)
        width = student_adjusted(normal, self.degrees) * error
        if self.between is None:
            return width
        spread, degrees = self.between
        return np.hypot(width, -stdtrit(degrees, np.asarray(alpha) / 4) * spread)


@dataclass(frozen=True, slots=True)
class BetweenPods:
    """How far each version's share depends on which pods it has: float64[metrics] each.

    var_*: of the share, beyond what requests within pods explain. degrees_*: pods minus one.
    """

    var_baseline: FloatArray
    var_candidate: FloatArray
    degrees_baseline: FloatArray
    degrees_candidate: FloatArray

    def variance(self, factor: FloatArray) -> FloatArray:
        """Of candidate - factor * baseline: float64[..., metrics]."""
        return np.asarray(self.var_candidate + factor**2 * self.var_baseline)

    def degrees(self, factor: FloatArray) -> FloatArray:
        """Degrees of freedom of that variance (Satterthwaite 1946)."""
        baseline = factor**2 * self.var_baseline
        return pooled_degrees(
            self.var_candidate, self.degrees_candidate, baseline, self.degrees_baseline
        )


def degrees_left(
    buckets: FloatArray, inflation: FloatArray, spread: FloatArray, least: FloatArray
) -> FloatArray:
    """Degrees of freedom of a spread over persistent buckets: float64[..., metrics].

    inflation: of the spread's variance by persistence. least: the variance that is believed
    whatever was seen; what persists in a spread far below it (rounding, at worst) costs nothing.
    """
    believed = np.clip(spread / np.maximum(least, _TINY), 0.0, 1.0)
    return np.asarray(buckets / (1 + (inflation - 1) * believed) - 1)


def pooled_degrees(
    first: FloatArray, first_degrees: FloatArray, second: FloatArray, second_degrees: FloatArray
) -> FloatArray:
    """Degrees of freedom of a sum of two variances, each with its own (Satterthwaite 1946)."""
    share = np.divide(
        first,
        first + second,
        out=np.ones(np.shape(first + second)),
        where=np.isfinite(first) & (first + second > 0),
    )
    doubt = share**2 / np.maximum(first_degrees, _TINY)
    doubt = doubt + (1 - share) ** 2 / np.maximum(second_degrees, _TINY)
    return np.asarray(1 / np.maximum(doubt, _TINY))
