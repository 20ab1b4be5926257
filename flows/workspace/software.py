"""Which software this is: two runs with the same one come to the same answers."""

from __future__ import annotations

import hashlib
import sys
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
        for path in sorted((root / package).rglob("*")):
            if path.suffix in (".py", ".sql", ".css"):
                status = path.stat()
                name = path.relative_to(root).as_posix()
                code.update(f"{name} {status.st_size} {status.st_mtime_ns}\n".encode())
    others = [f"{name} {version(name)}" for name in ("split-verdict", "numpy", "scipy", "polars")]
    return f"{code.hexdigest()} {sys.version} duckdb {duckdb.__version__} {others}"
