"""docs/architecture.md is a map: its packages and paths exist, and none is missing."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.places import REPOSITORY

MAP = (REPOSITORY / "docs" / "architecture.md").read_text()
_ROW = re.compile(r"^\| `([a-z_]+)` \|", re.MULTILINE)


def _layers(container: str) -> set[str]:
    config = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    contract = next(
        one
        for one in config["tool"]["importlinter"]["contracts"]
        if one.get("containers") == [container]
    )
    return {name.strip() for layer in contract["layers"] for name in re.split(r"[|:]", layer)}


def _mapped(container: str) -> set[str]:
    table = MAP.split(f"`{container}` (", 1)[1].split("\n\n", 2)[1]
    return set(_ROW.findall(table))


@pytest.mark.parametrize("container", ["flows", "analysis"])
def test_map_names_every_package_of_the_import_contract(container: str) -> None:
    assert _mapped(container) == _layers(container)


@pytest.mark.parametrize("container", ["flows", "analysis"])
def test_import_contract_names_every_package(container: str) -> None:
    there = {
        path.stem
        for path in (REPOSITORY / container).iterdir()
        if (path / "__init__.py").exists() or path.suffix == ".py"
    }
    assert _layers(container) == there - {"__init__"}


def test_every_path_on_the_map_exists() -> None:
    paths = re.findall(r"`((?:flows|analysis|dashboards|sql|benchmarks)/[\w./]*)`", MAP)

    assert len(paths) > 30
    assert [path for path in paths if not Path(REPOSITORY, path).exists()] == []
