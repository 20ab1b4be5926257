"""Exact probability that a test ever alarms, over all paths of small streams."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def ever_alarms_one(
    alarms: Callable[[FloatArray, int], NDArray[np.bool_]], p: float, n: int
) -> float:
    """One Bernoulli(p) stream, looked at after each of n trials.

    alarms(x, trials): whether a test alarms after so many trials with x successes.
    """
    alive, stopped = np.array([1.0]), 0.0
    for trials in range(1, n + 1):
        alive = np.concatenate([alive * (1 - p), [0.0]]) + np.concatenate([[0.0], alive * p])
        hit = alarms(np.arange(trials + 1.0), trials)
        stopped += float(alive[hit].sum())
        alive = np.where(hit, 0.0, alive)
    return stopped


def ever_alarms_two(
    alarms: Callable[[FloatArray, FloatArray, int], NDArray[np.bool_]],
    p_b: float,
    p_c: float,
    n: int,
) -> float:
    """Two Bernoulli streams, one trial each between looks.

    alarms(x_b, x_c, trials): bool[trials + 1, trials + 1] after so many trials of each.
    """
    alive, stopped = np.array([[1.0]]), 0.0
    for trials in range(1, n + 1):
        grown = np.zeros((trials + 1, trials + 1))
        for hit_b, share_b in ((0, 1 - p_b), (1, p_b)):
            for hit_c, share_c in ((0, 1 - p_c), (1, p_c)):
                grown[hit_b : hit_b + trials, hit_c : hit_c + trials] += alive * share_b * share_c
        x = np.arange(trials + 1.0)
        hit = alarms(x[:, None], x[None, :], trials)
        stopped += float(grown[hit].sum())
        alive = np.where(hit, 0.0, grown)
    return stopped


def at_most(alpha: float, runs: int) -> float:
    """The share of runs that alpha allows, with three standard errors of simulation."""
    return float(alpha + 3 * np.sqrt(alpha * (1 - alpha) / runs))
