"""Values far outside the bulk of a series."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def without_outliers(values: FloatArray, *, factor: float) -> FloatArray:
    """The values within min(P1, P25 - factor IQR) and max(P99, P75 + factor IQR), in order.

    values: float64[n] without NaN. Percentiles are R's type 7. The outer percentiles keep the
    fences from closing where the inner half of the values is equal.
    """
    if values.size == 0:
        return values
    p1, p25, p75, p99 = np.percentile(values, [1, 25, 75, 99])
    reach = factor * (p75 - p25)
    low, high = min(p1, p25 - reach), max(p99, p75 + reach)
    return np.asarray(values[(values >= low) & (values <= high)])
