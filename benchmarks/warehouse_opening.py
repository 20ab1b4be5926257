"""What opening the warehouse costs beside a bare duckdb.connect: the gate pays it at each look."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from statistics import median

import duckdb

from flows.warehouse.connection import open_reader, open_writer

_RUNS = 15


def main() -> None:
    """Prints milliseconds and ratios to the floor."""
    with tempfile.TemporaryDirectory(prefix="opening-") as folder:
        path = Path(folder) / "warehouse.duckdb"
        with open_writer(path):
            pass
        floor = _median_ms(lambda: duckdb.connect(path))
        print(f"duckdb.connect {floor:6.1f} ms")
        for name, opened in (("open_writer", open_writer), ("open_reader", open_reader)):
            cost = _median_ms(lambda opened=opened: opened(path))  # type: ignore[misc]
            print(f"{name:14} {cost:6.1f} ms, {cost / floor:.1f} times the floor")


def _median_ms(opened: Callable[[], AbstractContextManager[object]]) -> float:
    times = []
    for _ in range(_RUNS):
        began = time.perf_counter()
        with opened():
            pass
        times.append(1000 * (time.perf_counter() - began))
    return median(times)


if __name__ == "__main__":
    main()
