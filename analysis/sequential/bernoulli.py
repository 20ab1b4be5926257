"""Two versions' shares of failures, both numbers of trials known: exact at every look and size.

Universal inference (Wasserman, Ramdas, Balakrishnan 2020): a mixture of likelihoods over the
largest likelihood under the null. No approximation, so it holds for three requests or a rate of
1e-9; the price is a wide interval for common events, where analysis.sequential.confidence_sequence
is sharper.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaln, xlog1py, xlogy

from analysis.arrays import FloatArray
from analysis.sequential.e_values import SequentialTest, check_level
from analysis.sequential.roots import bracket_root

_PRIOR = 0.5  # Jeffreys: within half a log of n of the best mixture, whatever the share
_TINY = 1e-300
_LOG_FORCES = 60.0  # the Lagrange multipliers that are tried: exp(-60) to exp(60)


@dataclass(frozen=True, slots=True)
class _Both:
    """Failures and trials of baseline and candidate: float64[...] each."""

    x_b: FloatArray
    n_b: FloatArray
    x_c: FloatArray
    n_c: FloatArray

    def forced(self, force: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The likeliest pair of shares under a force that pushes the candidate's up."""
        return _forced_share(self.x_b, self.n_b, -force), _forced_share(self.x_c, self.n_c, force)

    def lost(self, force: FloatArray) -> FloatArray:
        """What that pair's log likelihood has lost against the largest one."""
        p_b, p_c = self.forced(force)
        best = _largest(self.x_b, self.n_b) + _largest(self.x_c, self.n_c)
        here = _log_likelihood(self.x_b, self.n_b, p_b) + _log_likelihood(self.x_c, self.n_c, p_c)
        return best - here


def compare_failures(
    baseline_failures: ArrayLike,
    baseline_trials: ArrayLike,
    candidate_failures: ArrayLike,
    candidate_trials: ArrayLike,
    *,
    alpha: float,
) -> SequentialTest:
    """Tests and bounds the candidate's share minus the baseline's at every look, exactly.

    All float64[...]; the null is no difference.
    The interval holds each difference whose largest likelihood the mixture does not refute.
    """
    check_level(alpha)
    given = (baseline_failures, baseline_trials, candidate_failures, candidate_trials)
    both = _Both(*np.broadcast_arrays(*(np.asarray(a, np.float64) for a in given)))
    mixture = _log_mixture(both.x_b, both.n_b) + _log_mixture(both.x_c, both.n_c)
    gain = mixture - _largest(both.x_b, both.n_b) - _largest(both.x_c, both.n_c)
    pooled = _log_likelihood(both.x_b + both.x_c, both.n_b + both.n_c, None)
    p_b, p_c = _share(both.x_b, both.n_b), _share(both.x_c, both.n_c)
    lower, upper = (_end(both, -gain - np.log(alpha), sign) for sign in (-1.0, 1.0))
    empty = (both.n_b == 0) | (both.n_c == 0)
    return SequentialTest(
        estimate=np.where(empty, np.nan, p_c - p_b),
        lower=np.where(empty, -1.0, lower),
        upper=np.where(empty, 1.0, upper),
        log_e=np.where(empty, 0.0, mixture - pooled),
    )


def _end(both: _Both, room: FloatArray, sign: float) -> FloatArray:
    """The farthest difference to one side whose likelihood has lost no more than the room."""

    def rising(log_force: FloatArray) -> FloatArray:
        return np.asarray(both.lost(sign * np.exp(log_force)) - room)

    _, log_force = bracket_root(rising, np.full(room.shape, -_LOG_FORCES), _LOG_FORCES)
    p_b, p_c = both.forced(sign * np.exp(log_force))
    return p_c - p_b


def _forced_share(x: FloatArray, n: FloatArray, force: FloatArray) -> FloatArray:
    """The p with the largest log likelihood + force p: the root of a quadratic, without loss."""
    rest = n - force
    root = np.sqrt(np.maximum(rest**2 + 4 * force * x, 0.0))
    with np.errstate(over="ignore"):  # of the one that isn't taken
        small = 2 * x / np.maximum(rest + root, _TINY)
        large = (root - rest) / (2 * force)
    return np.asarray(np.where(rest > 0, small, large))


def _share(x: FloatArray, n: FloatArray) -> FloatArray:
    return np.asarray(x / np.maximum(n, 1.0))


def _log_mixture(x: FloatArray, n: FloatArray) -> FloatArray:
    return np.asarray(betaln(x + _PRIOR, n - x + _PRIOR) - betaln(_PRIOR, _PRIOR))


def _largest(x: FloatArray, n: FloatArray) -> FloatArray:
    return _log_likelihood(x, n, None)


def _log_likelihood(x: FloatArray, n: FloatArray, p: FloatArray | None) -> FloatArray:
    share = _share(x, n) if p is None else p
    return np.asarray(xlogy(x, share) + xlog1py(n - x, -share))
