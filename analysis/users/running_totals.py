"""Sums by day of which each holds those of the days before: users would count several times."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis.users.sums import Sums

# As often as 1 in so many a service whose users grow every day may be taken for running totals.
_ONE_IN = 100.0


def are_running_totals(of_days: Sequence[Sequence[Sums]], value: int) -> bool:
    """Whether days hold the ones before, in all of several variants; value: which quantity.

    of_days: by variant those of each day, in time's order. Means of n and of N >= n users differ by
    a variance of s² (1/n + 1/N) where all are different users, and of s² (1/n - 1/N) where the n
    are among the N: the ratio of these normal likelihoods (Neyman and Pearson 1933) over all days.
    """
    return bool(of_days) and sum(_evidence(days, value) for days in of_days) > np.log(_ONE_IN)


def _evidence(days: Sequence[Sums], value: int) -> float:
    """The logarithm of the ratio; -inf where users fall, or change without new ones."""
    n = np.array([float(each.n) for each in days])
    if len(n) < 2 or (np.diff(n) < 0).any() or not n[0] > 0:
        return -np.inf
    mean = np.array([float(each.moments.mean[value]) for each in days])
    spread = float(days[-1].moments.covariance[value, value])
    grows = np.diff(n) > 0
    if not spread > 0 or (np.diff(mean)[~grows] != 0).any():
        return -np.inf
    squared = np.diff(mean)[grows] ** 2 / spread
    own, within = (1 / n[:-1] + 1 / n[1:])[grows], (1 / n[:-1] - 1 / n[1:])[grows]
    return float((np.log(own / within) + squared / own - squared / within).sum() / 2)
