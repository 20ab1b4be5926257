"""Arrow columns over numpy memory and lists of text.

`pyarrow.array` would do, but it imports pandas (0.4 s) to see whether it was given a frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def numbers(values: NDArray[Any]) -> Any:
    """A column of the array's own type, without a copy where it is contiguous."""
    import pyarrow as pa  # noqa: PLC0415

    return _column(pa.from_numpy_dtype(values.dtype), values)


def instants(ms: NDArray[np.int64]) -> Any:
    """A column of UTC instants from milliseconds since the epoch."""
    import pyarrow as pa  # noqa: PLC0415

    return _column(pa.timestamp("ms", tz="UTC"), ms)


def repeated(values: Any, times: NDArray[np.int64]) -> Any:
    """A column of each value of a column so many times, kept as runs.

    times: int64[values], 0 or more.
    """
    import pyarrow as pa  # noqa: PLC0415

    kept = np.flatnonzero(times)
    ends = numbers(np.cumsum(times[kept]))
    return pa.RunEndEncodedArray.from_arrays(ends, values.take(numbers(kept)))


def texts(values: Sequence[str]) -> Any:
    """A column of strings."""
    import pyarrow as pa  # noqa: PLC0415

    encoded = [value.encode() for value in values]
    offsets = np.zeros(len(encoded) + 1, np.int64)
    np.cumsum([len(value) for value in encoded], out=offsets[1:])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.large_string(), len(encoded), buffers)


def table(columns: dict[str, Any]) -> Any:
    """A table in one piece: DuckDB stores many small pieces three times as large."""
    import pyarrow as pa  # noqa: PLC0415

    return pa.Table.from_arrays(list(columns.values()), names=list(columns))


def _column(kind: Any, values: NDArray[Any]) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    contiguous = np.ascontiguousarray(values)
    return pa.Array.from_buffers(kind, len(contiguous), [None, pa.py_buffer(contiguous)])
