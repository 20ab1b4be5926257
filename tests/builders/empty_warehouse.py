"""A warehouse whose tables are made, copied instead of made anew: most of a small test's time."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from flows.warehouse import connection
from flows.warehouse.migrations import Migration, schema_migrations, views

_make = connection._create


@contextmanager
def made_once() -> Iterator[None]:
    """Meanwhile a warehouse that this process makes is a copy of the first one.

    The product's own steps make that one. They also make those beside which a file is that a copy
    would not take away, or where a copy can't be written.
    """
    with _made_by(_copy):
        yield


@contextmanager
def made_anew() -> Iterator[None]:
    """Meanwhile each is made by the product's own steps: for tests of these."""
    with _made_by(_make):
        yield


def lay_out(path: Path) -> None:
    """Puts an empty warehouse at path, unless there is one."""
    if not path.exists():
        shutil.copyfile(_template((*schema_migrations(), views())), path)


@contextmanager
def _made_by(create: Callable[[Path, float, float], None]) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(connection, "_create", create)
        yield


def _copy(path: Path, deadline: float, wait_s: float) -> None:
    if path.exists() or path.with_name(f"{path.name}.wal").exists():
        return _make(path, deadline, wait_s)
    try:
        lay_out(path)
    except OSError:
        path.unlink(missing_ok=True)
        _make(path, deadline, wait_s)


@cache
def _template(_steps: tuple[Migration, ...]) -> Path:
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    path = Path(folder.name) / "warehouse.duckdb"
    _make(path, 0.0, 0.0)
    return path
