"""Sums of raw values, as a test has them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from analysis.users.sums import Sums


@dataclass(frozen=True, slots=True)
class FiniteSums:
    """Sums over the users whose quantities are all finite; excluded: how many others there were."""

    sums: Sums
    excluded: int


def sum_values(values: ArrayLike, *, shift: ArrayLike | None = None) -> FiniteSums:
    """Sums of raw values, float64[users, q]; a user with a NaN or an infinity is left out.

    shift: the constant, by default the first finite user's values.
    """
    y = np.asarray(values, dtype=np.float64)
    if y.ndim != 2:
        raise ValueError(f"values have {y.ndim} axes, must have two: users and quantities")
    finite = y[np.isfinite(y).all(axis=1)]
    q = y.shape[1]
    if shift is None:
        shift = finite[0] if len(finite) else np.zeros(q)
    c = np.broadcast_to(np.asarray(shift, dtype=np.float64), (q,)).copy()
    distance = finite - c
    sums = Sums(np.array(float(len(finite))), c, distance.sum(axis=0), distance.T @ distance)
    return FiniteSums(sums, len(y) - len(finite))
