"""Which software this is: two runs with the same one come to the same answers."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path

import duckdb

_PACKAGES = ("analysis", "dashboards", "flows", "sql")


@cache
def software() -> str:
    """The versions that our answers depend on, and the state of our own code's files."""
    root = Path(__file__).parents[2]
    code = hashlib.sha256()
    for package in _PACKAGES:
        for name, status in sorted(_files(str(root / package), package)):
            code.update(f"{name} {status.st_size} {status.st_mtime_ns}\n".encode())
    others = [f"{name} {version(name)}" for name in ("split-verdict", "numpy", "scipy", "polars")]
    return f"{code.hexdigest()} {sys.version} duckdb {duckdb.__version__} {others}"


def _files(folder: str, name: str) -> Iterator[tuple[str, os.stat_result]]:
    """The files of our own code; every gate waits for this."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _files(entry.path, f"{name}/{entry.name}")
            elif entry.name.endswith((".py", ".sql", ".css")):
                yield f"{name}/{entry.name}", entry.stat()
