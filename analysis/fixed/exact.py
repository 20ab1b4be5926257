"""Exact tests of two proportions, for counts too small for a normal distribution.

Fisher's test holds for the margins as they are; Barnard's and Boschloo's hold for the users of
each variant only, and are sharper for it. All enumerate every table, so they suit tiny counts.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, xlog1py, xlogy

FloatArray = NDArray[np.float64]
Side = Literal["two-sided", "greater", "less"]

# So many tables are enumerated at once; beyond, an exact test is no better than a normal one.
LARGEST_TABLES = 4_000_000
_TOLERANCE = 1e-9  # of what counts as equally extreme, relatively
_GRID = 257


def fisher(users: tuple[int, int], successes: tuple[int, int], side: Side = "two-sided") -> float:
    """Fisher's exact p-value (1935). users, successes: of baseline and candidate.

    side greater: against "the candidate's share isn't larger".
    """
    _check(users, successes)
    (n_b, n_c), (x_b, x_c) = users, successes
    total = x_b + x_c
    x = np.arange(max(0, total - n_b), min(n_c, total) + 1)
    log_p = _log_choose(n_c, x) + _log_choose(n_b, total - x) - _log_choose(n_b + n_c, total)
    p = np.exp(log_p)
    if side == "greater":
        return float(min(1.0, p[x >= x_c].sum()))
    if side == "less":
        return float(min(1.0, p[x <= x_c].sum()))
    return float(min(1.0, p[log_p <= log_p[x == x_c][0] + 1e-7].sum()))


def barnard(users: tuple[int, int], successes: tuple[int, int], side: Side = "two-sided") -> float:
    """Barnard's unconditional p-value (1945), tables ordered by the pooled z-statistic."""
    _check(users, successes)
    statistic = _pooled_z(users)
    observed = statistic[successes]
    if side == "two-sided":
        extreme = _at_least(np.abs(statistic), abs(observed))
    else:
        extreme = _at_least(statistic if side == "greater" else -statistic, _signed(observed, side))
    return _largest_probability(users, extreme)


def boschloo(users: tuple[int, int], successes: tuple[int, int], side: Side = "two-sided") -> float:
    """Boschloo's unconditional p-value (1970), tables ordered by Fisher's one-sided p-value.

    Two-sided: twice the smaller one-sided one. Never above Fisher's one-sided p.
    """
    _check(users, successes)
    if side == "two-sided":
        one_sided = (boschloo(users, successes, "greater"), boschloo(users, successes, "less"))
        return min(1.0, 2 * min(one_sided))
    p = _fisher_tables(users, side)
    return _largest_probability(users, p <= p[successes] * (1 + _TOLERANCE))


def _check(users: tuple[int, int], successes: tuple[int, int]) -> None:
    for n, x in zip(users, successes, strict=True):
        if not 0 <= x <= n or n < 1:
            raise ValueError(f"{x} successes of {n} users: must be between 0 and the users")
    if (users[0] + 1) * (users[1] + 1) > LARGEST_TABLES:
        raise ValueError(f"{users[0]} and {users[1]} users are too many for an exact test")


def _signed(value: float, side: Side) -> float:
    return value if side == "greater" else -value


def _at_least(statistic: FloatArray, observed: float) -> NDArray[np.bool_]:
    return np.asarray(statistic >= observed - _TOLERANCE * max(1.0, abs(observed)))


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


def _fisher_tables(users: tuple[int, int], side: Side) -> FloatArray:
    """Fisher's one-sided p-value of every table: float64[n_b + 1, n_c + 1]."""
    n_b, n_c = users
    answer = np.empty((n_b + 1, n_c + 1))
    for total in range(n_b + n_c + 1):
        x = np.arange(max(0, total - n_b), min(n_c, total) + 1)
        log_p = _log_choose(n_c, x) + _log_choose(n_b, total - x) - _log_choose(n_b + n_c, total)
        p = np.exp(log_p)
        tail = np.cumsum(p) if side == "less" else np.cumsum(p[::-1])[::-1]
        answer[total - x, x] = np.minimum(tail, 1.0)
    return answer


def _largest_probability(users: tuple[int, int], extreme: NDArray[np.bool_]) -> float:
    """The probability of the extreme tables at the common share that makes it largest.

    A grid of shares, then golden sections around its best: the probability is a polynomial in the
    share, smooth between the grid's points.
    """
    from scipy.optimize import minimize_scalar  # noqa: PLC0415  # slow to import

    def probability(p: float) -> float:
        below, above = (_binomial(n, p) for n in users)
        return float(below @ extreme.astype(np.float64) @ above)

    grid = np.linspace(0, 1, _GRID)
    values = np.array([probability(p) for p in grid])
    best = values.max()
    for i in np.argsort(-values)[:4]:
        low, high = grid[max(i - 1, 0)], grid[min(i + 1, _GRID - 1)]
        found = minimize_scalar(
            lambda p: -probability(p),
            bounds=(low, high),
            method="bounded",
            options={"xatol": 1e-9},
        )
        best = max(best, -float(found.fun))
    return float(min(1.0, best))


def _binomial(n: int, p: float) -> FloatArray:
    x = np.arange(n + 1.0)
    return np.asarray(np.exp(_log_choose(n, x) + xlogy(x, p) + xlog1py(n - x, -p)))


def _log_choose(n: int, x: NDArray[np.int64] | FloatArray | int) -> FloatArray:
    return np.asarray(gammaln(n + 1.0) - gammaln(np.add(x, 1.0)) - gammaln(np.subtract(n, x) + 1.0))
