"""Exact tests of two proportions, for counts too small for a normal distribution.

Fisher's test holds for the margins as they are; Barnard's and Boschloo's hold for the users of
each variant only, and are sharper for it. All enumerate every table, so they suit tiny counts.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln, xlog1py, xlogy

from analysis.arrays import BoolArray, FloatArray, IntArray

Side = Literal["two-sided", "greater", "less"]

# So many tables are enumerated at once; beyond, an exact test is no better than a normal one.
LARGEST_TABLES = 4_000_000
_TOLERANCE = 1e-9  # of what counts as equally extreme, relatively
_EQUALLY_LIKELY = 1e-7  # of logarithms of probabilities
_IMPOSSIBLE = -1e9  # the logarithm of a probability of zero
_GRID = 257
_STARTS, _POINTS, _ROUNDS = 3, 9, 5  # finer grids around the best points, each 4 times finer
_LARGEST_BATCH = 4_000_000  # numbers that are held at once


def fisher(
    users: tuple[int, int],
    successes: tuple[ArrayLike, ArrayLike],
    side: Side = "two-sided",
) -> FloatArray:
    """Fisher's exact p-value (1935). users, successes: of baseline and candidate.

    successes: int[...] each, one or several tables of the same users, tested at once.
    side greater: against "the candidate's share isn't larger".
    """
    x_b, x_c = _checked(users, successes)
    return np.asarray(_fisher_tables(users, side)[x_b, x_c])


def barnard(
    users: tuple[int, int],
    successes: tuple[ArrayLike, ArrayLike],
    side: Side = "two-sided",
) -> FloatArray:
    """Barnard's unconditional p-value (1945), tables ordered by the pooled z-statistic."""
    place = _checked(users, successes)
    statistic = _pooled_z(users)
    if side == "two-sided":
        statistic = np.abs(statistic)
    elif side == "less":
        statistic = -statistic
    observed = statistic[place][..., None, None]
    extreme = statistic >= observed - _TOLERANCE * np.maximum(1.0, np.abs(observed))
    return _largest_probability(users, extreme)


def boschloo(
    users: tuple[int, int],
    successes: tuple[ArrayLike, ArrayLike],
    side: Side = "two-sided",
) -> FloatArray:
    """Boschloo's unconditional p-value (1970), tables ordered by Fisher's one-sided p-value.

    Two-sided: twice the smaller one-sided one. Never above Fisher's one-sided p.
    """
    place = _checked(users, successes)
    if side == "two-sided":
        one_sided = (boschloo(users, successes, "greater"), boschloo(users, successes, "less"))
        return np.asarray(np.minimum(1.0, 2 * np.minimum(*one_sided)))
    p = _fisher_tables(users, side)
    return _largest_probability(users, p <= p[place][..., None, None] * (1 + _TOLERANCE))


def _checked(
    users: tuple[int, int], successes: tuple[ArrayLike, ArrayLike]
) -> tuple[IntArray, ...]:
    """The successes as int64[...] each, places in a table of all of them."""
    places = tuple(np.asarray(a, dtype=np.int64) for a in np.broadcast_arrays(*successes))
    for n, x in zip(users, places, strict=True):
        if n < 1 or np.any((x < 0) | (x > n)):
            raise ValueError(f"{x} successes of {n} users: must be between 0 and the users")
    if (users[0] + 1) * (users[1] + 1) > LARGEST_TABLES:
        raise ValueError(f"{users[0]} and {users[1]} users are too many for an exact test")
    return places


def _pooled_z(users: tuple[int, int]) -> FloatArray:
    """The pooled z-statistic of every table: float64[n_b + 1, n_c + 1]."""
    n_b, n_c = users
    x_b, x_c = np.arange(n_b + 1.0)[:, None], np.arange(n_c + 1.0)[None, :]
    p = (x_b + x_c) / (n_b + n_c)
    variance = p * (1 - p) * (1 / n_b + 1 / n_c)
    difference = x_c / n_c - x_b / n_b
    return np.divide(
        difference, np.sqrt(variance), out=np.zeros_like(difference), where=variance > 0
    )


@lru_cache(maxsize=8)
def _fisher_tables(users: tuple[int, int], side: Side) -> FloatArray:
    """Fisher's p-value of every table: float64[n_b + 1, n_c + 1]."""
    n_b, n_c = users
    total, x = np.arange(n_b + n_c + 1)[:, None], np.arange(n_c + 1)[None, :]
    possible = (total - x >= 0) & (total - x <= n_b)  # the tables of one total in one row
    other = np.where(possible, total - x, 0)
    log_p = _log_choose(n_c, x) + _log_choose(n_b, other) - _log_choose(n_b + n_c, total)
    log_p = np.where(possible, log_p, _IMPOSSIBLE)
    p = np.exp(log_p)
    if side == "less":
        tail = np.cumsum(p, axis=1)
    elif side == "greater":
        tail = np.cumsum(p[:, ::-1], axis=1)[:, ::-1]
    else:
        tail = _as_unlikely(log_p, p)
    x_b, x_c = np.arange(n_b + 1)[:, None], np.arange(n_c + 1)[None, :]
    answer = np.minimum(tail[x_b + x_c, x_c], 1.0)
    answer.flags.writeable = False  # it is kept for the next call
    return np.asarray(answer)


def _as_unlikely(log_p: FloatArray, p: FloatArray) -> FloatArray:
    """The probability of what is at most as likely, in each row."""
    order = np.argsort(log_p, axis=1)
    ascending = np.take_along_axis(log_p, order, axis=1)
    below = np.cumsum(np.take_along_axis(p, order, axis=1), axis=1)
    # Tables that are equally likely count together: the place of the last one of each run.
    ends = np.diff(ascending, axis=1, append=np.inf) > _EQUALLY_LIKELY
    places = np.where(ends, np.arange(p.shape[1]), p.shape[1])
    last = np.minimum.accumulate(places[:, ::-1], axis=1)[:, ::-1]
    answer = np.empty_like(p)
    np.put_along_axis(answer, order, np.take_along_axis(below, last, axis=1), axis=1)
    return answer


def _largest_probability(users: tuple[int, int], extreme: BoolArray) -> FloatArray:
    """The probability of the extreme tables at the common share that makes it largest.

    extreme: bool[..., n_b + 1, n_c + 1]. A grid of shares, then finer and finer ones around its
    best: the probability is a polynomial in the share, smooth between the grid's points.
    """
    flat = extreme.reshape(-1, *extreme.shape[-2:])
    some = max(1, _LARGEST_BATCH // (flat.shape[1] + flat.shape[2]) // _GRID)
    parts = [_search(users, flat[i : i + some]) for i in range(0, len(flat), some)]
    return np.concatenate(parts).reshape(extreme.shape[:-2]) if parts else np.empty(0)


def _search(users: tuple[int, int], extreme: BoolArray) -> FloatArray:
    tables = extreme.astype(np.float64)

    def probability(shares: FloatArray) -> FloatArray:
        """float64[sets, shares]."""
        below, above = (_binomial(n, shares) for n in users)
        return np.asarray(((below @ tables) * above).sum(axis=-1))

    grid = np.linspace(0, 1, _GRID)
    values = probability(grid[None, :])
    best = values.max(axis=-1)
    centre = grid[np.argsort(-values, axis=-1)[:, :_STARTS]]
    reach = grid[1]
    for _ in range(_ROUNDS):
        around = centre[..., None] + reach * np.linspace(-1, 1, _POINTS)
        shares = np.clip(around, 0.0, 1.0).reshape(len(tables), -1)
        values = probability(shares)
        best = np.maximum(best, values.max(axis=-1))
        found = values.reshape(around.shape).argmax(axis=-1)[..., None]
        centre = np.take_along_axis(shares.reshape(around.shape), found, axis=-1)[..., 0]
        reach *= 2 / (_POINTS - 1)
    return np.asarray(np.minimum(1.0, best))


def _binomial(n: int, p: FloatArray) -> FloatArray:
    """Probabilities of 0 to n successes: float64[..., n + 1]."""
    x, p = np.arange(n + 1.0), p[..., None]
    return np.asarray(np.exp(_log_choose(n, x) + xlogy(x, p) + xlog1py(n - x, -p)))


def _log_choose(n: int, x: IntArray | FloatArray | int) -> FloatArray:
    return np.asarray(gammaln(n + 1.0) - gammaln(np.add(x, 1.0)) - gammaln(np.subtract(n, x) + 1.0))
