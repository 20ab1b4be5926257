"""Arrow columns over numpy memory and lists of text.

`pyarrow.array` would do, but it imports pandas (0.4 s) to see whether it was given a frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def numbers(values: NDArray[Any], known: NDArray[np.bool_] | None = None) -> Any:
    """A column of the array's own type, without a copy where it is contiguous.

    known: which are; the others are null.
    """
    import pyarrow as pa  # noqa: PLC0415

    return _column(pa.from_numpy_dtype(values.dtype), values, known)


def instants(ms: NDArray[np.int64]) -> Any:
    """A column of UTC instants from milliseconds since the epoch."""
    import pyarrow as pa  # noqa: PLC0415

    return _column(pa.timestamp("ms", tz="UTC"), ms)


def lists(values: Any, sizes: NDArray[np.int64], known: NDArray[np.bool_] | None = None) -> Any:
    """A column of lists, so many values of a column in each, one after the other.

    known: which lists are; the others are null, and have no values.
    """
    import pyarrow as pa  # noqa: PLC0415

    offsets = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=offsets[1:])
    buffers = [_validity(known), pa.py_buffer(offsets)]
    return pa.Array.from_buffers(pa.large_list(values.type), len(sizes), buffers, children=[values])


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


def _column(kind: Any, values: NDArray[Any], known: NDArray[np.bool_] | None = None) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    contiguous = np.ascontiguousarray(values)
    buffers = [_validity(known), pa.py_buffer(contiguous)]
    return pa.Array.from_buffers(kind, len(contiguous), buffers)


def _validity(known: NDArray[np.bool_] | None) -> Any:
    """A bit per value that is known; None: all are."""
    import pyarrow as pa  # noqa: PLC0415

    return None if known is None else pa.py_buffer(np.packbits(known, bitorder="little"))
