"""Counts of categories, and rates of two streams of events, at every look.

Events must be independent: bursts make such tests alarm far too often (26 % of the time at a
variance of twice the mean). For requests in bursts see analysis.requests.paired_buckets.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaincc, betaln

from analysis.arrays import FloatArray
from analysis.sequential.dirichlet import divergence, mixture_log_e, planned_concentration
from analysis.sequential.e_values import SequentialTest, check_level
from analysis.sequential.roots import bracket_root

_TINY = 1e-300


def compare_shares(
    counts: ArrayLike, null: ArrayLike, *, alpha: float, n_opt: ArrayLike
) -> SequentialTest:
    """Tests counts against the null's shares at every look; tightest at n_opt counts.

    counts: float64[..., categories]. null: float64[..., categories], any positive weights.
    Estimate and interval are of each category's share, float64[..., categories]; the intervals are
    faces of one joint confidence sequence, so all hold together. log_e: of all shares together.
    """
    return shares_with_concentration(
        counts, null, alpha=alpha, concentration=planned_concentration(alpha, n_opt)
    )


def shares_with_concentration(
    counts: ArrayLike, null: ArrayLike, *, alpha: float, concentration: ArrayLike
) -> SequentialTest:
    """As compare_shares, with the prior's concentration given (Lindon, Malek 2022, theorem 4.1)."""
    check_level(alpha)
    x, weights = np.broadcast_arrays(*(np.asarray(a, np.float64) for a in (counts, null)))
    if not np.all(weights > 0):
        raise ValueError("null shares must be above 0; leave out a category that can't occur")
    theta = weights / weights.sum(axis=-1, keepdims=True)
    log_e = mixture_log_e(x, theta, concentration)
    room = _room(x, theta, log_e, alpha)[..., None]
    n = x.sum(axis=-1, keepdims=True)
    low, high = _shrinkage(x, n, room), _shrinkage(n - x, n, room)
    share = x / np.maximum(n, _TINY)
    lower = np.where(x > 0, share * np.exp(-low), 0.0)
    upper = np.where(x < n, 1 - (1 - share) * np.exp(-high), 1.0)
    return SequentialTest(share, lower, upper, log_e)


def compare_rates(
    baseline_events: ArrayLike,
    candidate_events: ArrayLike,
    baseline_exposure: ArrayLike,
    candidate_exposure: ArrayLike,
    *,
    alpha: float,
    n_opt: ArrayLike,
) -> SequentialTest:
    """Compares the rates of two Poisson streams at every look; tightest at n_opt events.

    Exposures: requests, users, time or shares of traffic, above 0, their ratio fixed (for a ramp
    see analysis.sequential.ramp). Holds for any common pattern of rates over time: given their sum,
    the candidate's events are binomial (Lindon, Malek 2022, section 5). The estimate is the
    candidate's rate over the baseline's; without events of a version its side is 0 or infinite.
    """
    check_level(alpha)
    pairs = (baseline_events, candidate_events, baseline_exposure, candidate_exposure)
    given = np.broadcast_arrays(*(np.asarray(a, np.float64) for a in pairs))
    x, exposure = np.stack(given[:2], axis=-1), np.stack(given[2:], axis=-1)
    theta = exposure / exposure.sum(axis=-1, keepdims=True)
    log_e = mixture_log_e(x, theta, planned_concentration(alpha, n_opt))
    n, room = x.sum(axis=-1), _room(x, theta, log_e, alpha)
    odds = exposure[..., 0] / exposure[..., 1]
    lower, upper = odds * _lower_odds(x[..., 1], n, room), 1 / odds
    with np.errstate(divide="ignore", invalid="ignore"):
        upper = 1 / (upper * _lower_odds(x[..., 0], n, room))
        ratio = x[..., 1] / x[..., 0] * odds
    return SequentialTest(ratio, lower, upper, log_e)


def one_sided_log_e(counts: ArrayLike, largest_share: ArrayLike, k: ArrayLike) -> FloatArray:
    """Log e-value against "the last of two shares is at most largest_share": float64[...].

    The beta mixture restricted to shares beyond it; the likelihood ratio is monotone, so it is an
    e-value for every share up to it. counts: float64[..., 2].
    """
    x, edge, size = (np.asarray(a, np.float64) for a in (counts, largest_share, k))
    null = np.stack([1 - edge, edge], axis=-1)
    a1, a0 = size * edge, size * (1 - edge)
    b1, b0 = a1 + x[..., 1], a0 + x[..., 0]
    prior, posterior = betaincc(a1, a0, edge), betaincc(b1, b0, edge)
    with np.errstate(divide="ignore"):
        exact = mixture_log_e(x, null, size) + np.log(posterior)
    # Below a float's range: the first term of the tail's series, smaller than the tail.
    least = a0 * np.log1p(-edge) + a1 * np.log(edge) - betaln(a1, a0) - np.log(b0)
    return np.where(posterior > _TINY, exact, least) - np.log(prior)


def _room(x: FloatArray, null: FloatArray, log_e: FloatArray, alpha: float) -> FloatArray:
    """How far the log likelihood may fall from its maximum inside the confidence sequence."""
    return np.asarray(np.maximum(divergence(x, null) - log_e - np.log(alpha), 0.0))


def _shrinkage(x: FloatArray, n: FloatArray, room: FloatArray) -> FloatArray:
    """The v at which share x / n times exp(-v) has lost the room; infinite without counts.

    The other shares stay in proportion (so the bound is the face of the joint set).
    """
    x, n, room = np.broadcast_arrays(x, n, room)
    some = np.maximum(x, _TINY)
    rest = np.maximum(n - x, 0.0)
    odds = np.where(rest > 0, some / np.where(rest > 0, rest, 1.0), 0.0)

    def lost(v: FloatArray) -> FloatArray:
        return np.asarray(some * v - rest * np.log1p(-odds * np.expm1(-v)) - room)

    with np.errstate(over="ignore"):  # where there are no counts: infinite all the same
        most = np.where(x > 0, room / some + 1, 1.0)
    _, v = bracket_root(lost, 0.0, most)
    return np.where(x > 0, v, np.inf)


def _lower_odds(x: FloatArray, n: FloatArray, room: FloatArray) -> FloatArray:
    """Lower bound of share / (1 - share), without loss for shares near 0 or 1."""
    v = _shrinkage(x, n, room)
    share = x / np.maximum(n, _TINY)
    with np.errstate(divide="ignore"):
        gone = -np.expm1(np.where(x < n, np.log1p(-(n - x) / np.maximum(n, _TINY)), 0.0) - v)
    return np.where(x > 0, share * np.exp(-v) / np.maximum(gone, _TINY), 0.0)
