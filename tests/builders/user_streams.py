"""Users who arrive look by look: what is known of one arm after each look, over many runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from analysis.fixed.comparison import Sample
from analysis.users.estimates import Quantity, sample_of
from analysis.users.sums import Moments

FloatArray = NDArray[np.float64]
Kind = Literal["normal", "count", "share", "spend", "ratio"]


@dataclass(frozen=True, slots=True)
class Values:
    """How one user's value is distributed.

    normal: mean, standard deviation 1. count: Poisson. share: 0 or 1. spend: one user in ten buys,
    for a lognormal sum whose logarithm has the standard deviation spread. ratio: clicks per view;
    a user has one view and a geometric number (2 on average) of others, clicked on or not alike.
    """

    kind: Kind
    mean: float
    spread: float = 1.0


def arrivals(
    rng: np.random.Generator, values: Values, users: int, *, runs: int, looks: int
) -> Sample:
    """Everything known after each look: float64[runs, looks]; so many users arrive at each."""
    if values.kind == "ratio":
        return _ratio(rng, values.mean, users, (runs, looks))
    total, squares = _lots(rng, values, users, (runs, looks))
    n = np.arange(1.0, looks + 1) * users + np.zeros((runs, 1))
    total, squares = np.cumsum(total, axis=1), np.cumsum(squares, axis=1)
    mean = total / n
    centred = squares - n * mean**2
    centred = np.where(centred < 1e-9 * squares, 0.0, centred)  # equal values leave rounding
    if values.kind == "share":
        return Sample(n, mean, mean * (1 - mean))
    variance = np.divide(centred, n - 1, out=np.full_like(n, np.nan), where=n > 1)
    return Sample(n, mean, variance)


def _lots(
    rng: np.random.Generator, values: Values, users: int, shape: tuple[int, int]
) -> tuple[FloatArray, FloatArray]:
    """Sums and sums of squares of the users of each look."""
    if values.kind == "normal":
        mean = rng.normal(values.mean, users**-0.5, shape)
        within = rng.chisquare(users - 1, shape) if users > 1 else np.zeros(shape)
        return users * mean, within + users * mean**2
    if values.kind == "share":
        successes = rng.binomial(users, values.mean, shape).astype(np.float64)
        return successes, successes
    if values.kind == "count":
        each = rng.poisson(values.mean, (*shape, users)).astype(np.float64)
        return each.sum(axis=-1), (each**2).sum(axis=-1)
    buyers = rng.binomial(users, 0.1, shape)
    log_mean = np.log(values.mean / 0.1) - values.spread**2 / 2
    spent = rng.lognormal(log_mean, values.spread, buyers.sum())
    run, look = np.indices(shape)
    place = np.repeat(run * shape[1] + look, buyers.ravel())
    total, squares = (
        np.bincount(place, weights=w, minlength=run.size).astype(np.float64).reshape(shape)
        for w in (spent, spent**2)
    )
    return total, squares


def _ratio(rng: np.random.Generator, rate: float, users: int, shape: tuple[int, int]) -> Sample:
    """Clicks over views after each look, with the variance of the delta method."""
    views = rng.geometric(1 / 3, (*shape, users))
    clicks = rng.binomial(views, rate)
    values = np.stack([clicks, views], axis=-1).astype(np.float64)
    n = np.arange(1.0, shape[1] + 1) * users + np.zeros((shape[0], 1))
    mean = values.sum(axis=2).cumsum(axis=1) / n[..., None]
    products = np.einsum("rlui,rluj->rlij", values, values).cumsum(axis=1)
    centred = products - n[..., None, None] * mean[..., :, None] * mean[..., None, :]
    degrees = np.where(n > 1, n - 1, np.nan)[..., None, None]
    return sample_of(Moments(n, mean, centred / degrees), Quantity(0, 1))
