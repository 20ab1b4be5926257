"""Mixture sequential probability ratio test of a normal estimate.

The mixture N(0, tau^2) over the effect gives the same test as the asymptotic confidence sequence
with tau^2 = r^2 n SE^2 (r: analysis.sequential.confidence_sequence.tuning); so do the sequences
that GrowthBook and Eppo document. This module only speaks the other language: a variance of the
estimate instead of a number of units, an effect to be found instead of n_opt.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from analysis.arrays import FloatArray
from analysis.sequential.confidence_sequence import log_e_value, tuning, two_sided_multiplier
from analysis.sequential.e_values import SequentialTest, check_level

# Information is counted in such parts of the planned one, so that the sequence's rule of at
# least two units never applies: the variance is known here.
_PARTS = 1e15


def planned_mixture_variance(alpha: float, variance_at_end: ArrayLike) -> FloatArray:
    """The tau^2 with which the interval is tightest when the estimate has variance_at_end."""
    return np.asarray(tuning(alpha, 1.0) ** 2 * np.asarray(variance_at_end, dtype=np.float64))


def mixture_sprt(
    estimate: ArrayLike,
    variance: ArrayLike,
    *,
    mixture_variance: ArrayLike,
    alpha: float,
) -> SequentialTest:
    """Tests "there is no effect" at every look, and bounds the effect.

    estimate, variance: float64[...], the estimate and its own variance (SE^2), which falls as data
    arrive; without data (infinite, nan or zero variance) the interval is unbounded and log e 0.
    mixture_variance: float64[...], tau^2, fixed before the first look.
    Robbins 1970; Johari, Koomen, Pekelis, Walsh 2022, equation 9.
    """
    check_level(alpha)
    d, v, tau2 = np.broadcast_arrays(
        *(np.asarray(a, dtype=np.float64) for a in (estimate, variance, mixture_variance))
    )
    known = (v > 0) & np.isfinite(v) & np.isfinite(d)
    d, v = np.where(known, d, 0.0), np.where(known, v, 1.0)
    parts = _PARTS * tau2 / (tuning(alpha, 1.0) ** 2 * v)
    error = np.sqrt(v)
    half_width = two_sided_multiplier(parts, alpha=alpha, n_opt=_PARTS) * error
    log_e = log_e_value(d / error, parts, alpha=alpha, n_opt=_PARTS)
    return SequentialTest(
        estimate=np.where(known, d, np.nan),
        lower=np.where(known, d - half_width, -np.inf),
        upper=np.where(known, d + half_width, np.inf),
        log_e=np.where(known, log_e, 0.0),
    )
