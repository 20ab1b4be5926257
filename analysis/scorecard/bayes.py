"""Bayesian answers beside the tests: chance to win, expected loss, credible interval of the lift.

A prior is stated and named in the result. It doesn't correct for repeated looks: nothing here
decides a verdict.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.polynomial.legendre import leggauss
from numpy.typing import ArrayLike
from scipy.special import betainc, betaincinv, betaln, ndtr, ndtri

from analysis.arrays import FloatArray
from analysis.fixed.comparison import Comparison
from analysis.sequential.roots import bracket_root

_NODES, _WEIGHTS = leggauss(48)
# With a baseline nearer to zero than this many standard errors a relative scale isn't known.
_SURE_BASELINE = 4.0
_TAIL = 1e-13  # posterior mass beyond the quadrature's ends, on each side


@dataclass(frozen=True, slots=True)
class NormalPrior:
    """What is believed of the relative lift before the data: normal."""

    mean: float = 0.0
    sd: float = 0.1

    @property
    def name(self) -> str:
        """As it stands in a result."""
        return f"relative lift ~ normal({self.mean:g}, {self.sd:g})"


@dataclass(frozen=True, slots=True)
class BetaPrior:
    """What is believed of each variant's share before the data."""

    successes: float = 1.0
    failures: float = 1.0

    @property
    def name(self) -> str:
        """As it stands in a result."""
        return f"share ~ beta({self.successes:g}, {self.failures:g})"


@dataclass(frozen=True, slots=True)
class Posterior:
    """What is believed after the data: float64[...] each; prior: its name.

    chance_to_win: that the candidate's mean is larger. expected_loss: of choosing the candidate,
    and expected_loss_baseline of keeping the baseline, in the metric's unit. lift, lower, upper:
    relative lift, posterior mean (normal) or median (beta) and credible interval; a normal one is
    relative to the baseline as observed, so infinite where that is zero.
    """

    prior: str
    chance_to_win: FloatArray
    expected_loss: FloatArray
    expected_loss_baseline: FloatArray
    lift: FloatArray
    lower: FloatArray
    upper: FloatArray


def normal_posterior(
    comparison: Comparison, prior: NormalPrior, *, alpha: float = 0.05
) -> Posterior:
    """The posterior of the difference, taken as normal, under a prior on the baseline's scale.

    Of the difference and not of the ratio, which has no normal estimate where the candidate is at
    zero or the baseline near it. Where the standard error isn't known the prior is left. Precisions
    add (Gelman et al. 2013, section 2.5); the loss is s phi(m/s) - m Phi(-m/s).
    """
    size = np.abs(comparison.baseline.mean)
    scale = _scale(comparison)
    known = np.isfinite(comparison.standard_error) & np.isfinite(comparison.difference)
    scale = np.where(known, scale, size)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        precision = np.where(known, np.square(scale / comparison.standard_error), 0.0)
        data = np.where(known, comparison.difference / scale, 0.0)
        s2 = 1 / (precision + 1 / prior.sd**2)
        m, s = s2 * (precision * data + prior.mean / prior.sd**2), np.sqrt(s2)
        density = np.exp(-0.5 * (m / s) ** 2) / np.sqrt(2 * np.pi)
        z = -ndtri(alpha / 2)
        lift, lower, upper = (
            np.where(known, each * (scale / size), each) for each in (m, m - z * s, m + z * s)
        )
        return Posterior(
            prior=prior.name,
            chance_to_win=ndtr(m / s),
            expected_loss=(s * density - m * ndtr(-m / s)) * scale,
            expected_loss_baseline=(s * density + m * ndtr(m / s)) * scale,
            lift=lift,
            lower=lower,
            upper=upper,
        )


def _scale(comparison: Comparison) -> FloatArray:
    """What a lift of 100 % is taken for: the baseline's size where it is sure to be off zero.

    Else the largest that is known of it: a candidate at 0.5 over a baseline of 0.0001 +- 0.01 has a
    lift that no prior of relative lifts is about.
    """
    b, c = comparison.baseline, comparison.candidate
    size, error = np.abs(b.mean), np.sqrt(b.variance_of_mean)
    largest = np.fmax(np.fmax(size, np.abs(c.mean)), error)
    return np.where(size > _SURE_BASELINE * error, size, largest)


def beta_posterior(
    users: tuple[ArrayLike, ArrayLike],
    successes: tuple[ArrayLike, ArrayLike],
    prior: BetaPrior,
    *,
    alpha: float = 0.05,
) -> Posterior:
    """Two shares, each with a beta posterior; users and successes: of baseline and candidate.

    Integrals over one share by Gauss-Legendre quadrature of the other's exact distribution, to
    about 1e-10; the lift's bounds by root finding.
    """
    n_b, n_c, x_b, x_c = np.broadcast_arrays(
        *(np.asarray(a, dtype=np.float64) for a in (*users, *successes))
    )
    a_b, b_b = x_b + prior.successes, n_b - x_b + prior.failures
    a_c, b_c = x_c + prior.successes, n_c - x_c + prior.failures
    share, mass = _nodes(a_b, b_b)
    a, b = a_c[..., None], b_c[..., None]
    below = betainc(a, b, share)
    win = ((1 - below) * mass).sum(axis=-1)
    # E max(baseline - candidate, 0): x P(c < x) - E[c; c < x], and E[c; c < x] is a beta too.
    mean_c = a_c / (a_c + b_c)
    loss = ((share * below - mean_c[..., None] * betainc(a + 1, b, share)) * mass).sum(axis=-1)
    difference = mean_c - a_b / (a_b + b_b)

    def at_most(ratio: FloatArray) -> FloatArray:
        """Probability that candidate / baseline is at most the ratio."""
        scaled = np.minimum(ratio[..., None] * share, 1.0)
        return np.asarray((betainc(a, b, scaled) * mass).sum(axis=-1))

    def lift_at(level: float) -> FloatArray:
        """A quantile of the lift; searched for on r / (1 + r), which has two ends."""
        low, high = np.zeros(np.shape(win)), np.full(np.shape(win), 1 - 1e-12)
        below, above = bracket_root(lambda u: at_most(u / (1 - u)) - level, low, high)
        middle = (below + above) / 2
        return middle / (1 - middle) - 1

    return Posterior(
        prior=prior.name,
        chance_to_win=win,
        expected_loss=np.maximum(loss, 0.0),
        expected_loss_baseline=np.maximum(loss + difference, 0.0),
        lift=lift_at(0.5),
        lower=lift_at(alpha / 2),
        upper=lift_at(1 - alpha / 2),
    )


def _nodes(a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Quadrature over a beta distribution: shares and their mass, float64[..., nodes]."""
    low, high = betaincinv(a, b, _TAIL)[..., None], betaincinv(a, b, 1 - _TAIL)[..., None]
    share = low + (high - low) * (_NODES + 1) / 2
    log_density = (
        (a - 1)[..., None] * np.log(share) + (b - 1)[..., None] * np.log1p(-share)
    ) - betaln(a, b)[..., None]
    mass = np.exp(log_density) * _WEIGHTS * (high - low) / 2
    return share, mass / mass.sum(axis=-1, keepdims=True)
