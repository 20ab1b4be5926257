"""How alike neighbouring values of a series are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_MOST = 0.95  # keeps the number of independent values above 0


def lag_one_autocorrelation(values: FloatArray) -> FloatArray:
    """The correlation of each row with itself one interval later: float64[rows], 0 to 0.95.

    values: float64[rows, intervals], NaN where nothing is known; a pair of neighbours counts
    where both are known. The estimate's bias of -1 / n is taken off; a negative one counts as 0,
    as it would make intervals narrower than those of independent values.
    """
    known = ~np.isnan(values)
    count = np.maximum(known.sum(axis=1), 1)
    mean = np.where(known, values, 0.0).sum(axis=1) / count
    off = np.where(known, values - mean[:, None], 0.0)
    square = (off**2).sum(axis=1)
    product = (off[:, 1:] * off[:, :-1]).sum(axis=1)
    correlation = np.divide(product, square, out=np.zeros_like(square), where=square > 0)
    varied = np.where(square > 0, correlation + 1 / count, 0.0)
    return np.clip(varied, 0.0, _MOST)
