"""What these tests begin with: a warehouse as it is made."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.warehouse.connection import open_writer
from tests.builders.empty_warehouse import made_anew


@pytest.fixture(autouse=True)
def _creation_by_its_steps() -> Iterator[None]:
    with made_anew():
        yield


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("empty") / "w.duckdb"
    with open_writer(path):
        pass
    return path


@pytest.fixture
def warehouse(empty: Path, tmp_path: Path) -> Path:
    path = tmp_path / "var" / "warehouse.duckdb"
    path.parent.mkdir()
    return Path(shutil.copy(empty, path))
