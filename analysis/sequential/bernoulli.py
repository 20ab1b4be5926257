"""Two versions' shares of failures, both numbers of trials known: exact at every look and size.

Universal inference (Wasserman, Ramdas, Balakrishnan 2020): a mixture of likelihoods over the
largest likelihood under the null. No approximation, so it holds for three requests or a rate of
1e-9; the price is a wide interval for common events, where analysis.sequential.confidence_sequence
is sharper. For failures that come in buckets with drifting rates see failures_by_block.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaln, xlog1py, xlogy

from analysis.arrays import FloatArray
from analysis.sequential.e_values import always_valid_p, check_level
from analysis.sequential.roots import bracket_root

_PRIOR = 0.5  # Jeffreys: within half a log of n of the best mixture, whatever the share
_BLOCK_PRIOR = 0.18  # what Turner, Ly, Grünwald found to grow fastest
_TINY = 1e-300
_LOG_FORCES = 60.0  # the Lagrange multipliers that are tried: exp(-60) to exp(60)


@dataclass(frozen=True, slots=True)
class ShareDifference:
    """Candidate's share minus baseline's, its interval and log e-values: float64[...] each.

    log_e: against "no difference". log_e_beyond: against "the difference is at most margin".
    prior: the tuning, both parameters of the beta mixture over each share.
    """

    difference: FloatArray
    lower: FloatArray
    upper: FloatArray
    log_e: FloatArray
    log_e_beyond: FloatArray
    margin: FloatArray
    prior: float

    @property
    def p_value(self) -> FloatArray:
        """Always-valid p-value of no difference."""
        return always_valid_p(self.log_e)

    @property
    def p_value_beyond(self) -> FloatArray:
        """Always-valid p-value of "not beyond the margin"."""
        return always_valid_p(self.log_e_beyond)


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
    margin: ArrayLike = 0.0,
) -> ShareDifference:
    """Tests and bounds the difference of two shares at every look, exactly: float64[...] each.

    margin: float64[...], the difference that is still acceptable, in [0, 1).
    The interval holds each difference whose largest likelihood the mixture does not refute.
    """
    check_level(alpha)
    given = (baseline_failures, baseline_trials, candidate_failures, candidate_trials, margin)
    *counts, gap = np.broadcast_arrays(*(np.asarray(a, np.float64) for a in given))
    both = _Both(*counts)
    mixture = _log_mixture(both.x_b, both.n_b) + _log_mixture(both.x_c, both.n_c)
    gain = mixture - _largest(both.x_b, both.n_b) - _largest(both.x_c, both.n_c)
    pooled = _log_likelihood(both.x_b + both.x_c, both.n_b + both.n_c, None)
    p_b, p_c = _share(both.x_b, both.n_b), _share(both.x_c, both.n_c)
    lower, upper = (_end(both, -gain - np.log(alpha), sign) for sign in (-1.0, 1.0))
    empty = (both.n_b == 0) | (both.n_c == 0)
    beyond = np.where(p_c - p_b > gap, gain + _lost_at(both, gap), gain)
    return ShareDifference(
        difference=np.where(empty, np.nan, p_c - p_b),
        lower=np.where(empty, -1.0, lower),
        upper=np.where(empty, 1.0, upper),
        log_e=np.where(empty, 0.0, mixture - pooled),
        log_e_beyond=np.where(empty, 0.0, beyond),
        margin=np.array(gap),
        prior=_PRIOR,
    )


def _end(both: _Both, room: FloatArray, sign: float) -> FloatArray:
    """The farthest difference to one side whose likelihood has lost no more than the room."""

    def rising(log_force: FloatArray) -> FloatArray:
        return np.asarray(both.lost(sign * np.exp(log_force)) - room)

    _, log_force = bracket_root(rising, np.full(room.shape, -_LOG_FORCES), _LOG_FORCES)
    p_b, p_c = both.forced(sign * np.exp(log_force))
    return p_c - p_b


def _lost_at(both: _Both, gap: FloatArray) -> FloatArray:
    """What the log likelihood loses if the difference is to be the gap, below the observed one."""

    def rising(log_force: FloatArray) -> FloatArray:
        p_b, p_c = both.forced(-np.exp(log_force))
        return np.asarray(gap - (p_c - p_b))

    log_force, _ = bracket_root(rising, np.full(gap.shape, -_LOG_FORCES), _LOG_FORCES)
    return both.lost(-np.exp(log_force))


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


def failures_by_block(
    baseline_failures: ArrayLike,
    baseline_trials: ArrayLike,
    candidate_failures: ArrayLike,
    candidate_trials: ArrayLike,
    *,
    only_higher: bool = False,
) -> FloatArray:
    """Log e-value after each block against "in every block both versions fail alike".

    All float64[..., blocks], in order of time; the answer too. Each block's rate may be another
    one, which no test of totals allows. Each block's bet is on the shares seen in earlier blocks,
    so a block with a single trial of each version is enough, and exact.
    only_higher: against "in no block does the candidate fail more"; bets only where its share was
    higher so far. A baseline that fails more only lowers what such bets are expected to gain.
    Turner, Ly, Grünwald 2024 (generic e-variables for k samples), theorem 1.
    """
    given = (baseline_failures, baseline_trials, candidate_failures, candidate_trials)
    x_b, n_b, x_c, n_c = np.broadcast_arrays(*(np.asarray(a, np.float64) for a in given))
    p_b, p_c = _predicted(x_b, n_b), _predicted(x_c, n_c)
    total = np.maximum(n_b + n_c, 1.0)
    null = (n_b * p_b + n_c * p_c) / total
    gain = xlogy(x_b, p_b / null) + xlogy(x_c, p_c / null)
    gain += xlogy(n_b - x_b, (1 - p_b) / (1 - null)) + xlogy(n_c - x_c, (1 - p_c) / (1 - null))
    bets = (n_b > 0) & (n_c > 0) & ((p_c > p_b) | (not only_higher))
    return np.cumsum(np.where(bets, gain, 0.0), axis=-1)


def _predicted(x: FloatArray, n: FloatArray) -> FloatArray:
    """Each block's share as the blocks before it predict."""
    failures, trials = (np.cumsum(a, axis=-1) - a for a in (x, n))
    return np.asarray((failures + _BLOCK_PRIOR) / (trials + 2 * _BLOCK_PRIOR))
