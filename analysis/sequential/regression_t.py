"""The anytime t-test of one coefficient of a linear model: regression-adjusted differences.

Unlike the asymptotic sequences it is exact at small n where residuals are normal with one variance,
since the unknown variance is integrated out; elsewhere it holds as the t-test does, for large n.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from analysis.arrays import FloatArray
from analysis.sequential.confidence_sequence import tuning
from analysis.sequential.e_values import SequentialTest, check_level


def planned_precision(alpha: float, planned_information: ArrayLike) -> FloatArray:
    """The phi with which the interval is tightest at the planned information.

    planned_information: float64[...], (sigma / SE)^2 at the planned end; without covariates
        n_b n_c / (n_b + n_c), and about the same with them, as sigma shrinks with SE.
    """
    return np.asarray(np.asarray(planned_information, np.float64) / tuning(alpha, 1.0) ** 2)


def anytime_t(
    estimate: ArrayLike,
    standard_error: ArrayLike,
    degrees_of_freedom: ArrayLike,
    *,
    information: ArrayLike,
    prior_precision: ArrayLike,
    alpha: float,
) -> SequentialTest:
    """Tests "the coefficient is zero" at every look, and bounds it: float64[...] each.

    estimate, standard_error: the least-squares coefficient and its error.
    degrees_of_freedom: observations less coefficients; below 1 the interval is unbounded.
    information: (residual standard deviation / standard_error)^2.
    prior_precision: phi, fixed before the first look (planned_precision): the effects that the test
        looks for have the variance sigma^2 / phi, sigma^2 being the residual variance.
    The interval is unbounded while data are too few for any to hold.
    Lindon, Ham, Tingley, Bojinov 2022 (arXiv 2210.08589), theorem 2.3 and corollary.
    """
    check_level(alpha)
    given = (estimate, standard_error, degrees_of_freedom, information, prior_precision)
    b, error, nu, z2, phi = np.broadcast_arrays(*(np.asarray(a, np.float64) for a in given))
    known = (nu >= 1) & (error > 0) & np.isfinite(error) & np.isfinite(b) & (z2 > 0)
    b, error = np.where(known, b, 0.0), np.where(known, error, 1.0)
    nu, z2 = np.where(known, nu, 1.0), np.where(known, z2, 1.0)
    log_r = np.log(phi) - np.log(phi + z2)
    t2 = (b / error) ** 2
    gain = np.log1p(t2 / nu) - np.log1p(np.exp(log_r) * t2 / nu)
    log_e = log_r / 2 + (nu + 1) / 2 * gain
    radius = np.where(known, error * _radius(nu, z2 / (phi + z2), log_r, alpha), np.inf)
    return SequentialTest(
        estimate=np.where(known, b, np.nan),
        lower=b - radius,
        upper=b + radius,
        log_e=np.where(known, log_e, 0.0),
    )


def _radius(nu: FloatArray, shrinkage: FloatArray, log_r: FloatArray, alpha: float) -> FloatArray:
    """Half-width in standard errors; shrinkage is 1 - r, kept apart as r may be near 1."""
    missing = -np.expm1((log_r + 2 * np.log(alpha)) / (nu + 1))  # 1 - q
    room = shrinkage - missing  # q - r
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(room > 0, np.sqrt(nu * missing / np.where(room > 0, room, 1.0)), np.inf)
