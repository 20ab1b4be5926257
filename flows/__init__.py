"""split-verdict. For analysts: `from flows import read_marts`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flows.publish.read_marts import Marts


def read_marts(root: Path | str = ".") -> Marts:
    """The newest marts of the project in a folder: `marts["looks"]` is a DuckDB relation,
    `marts.polars("looks")` and `marts.pandas("looks")` are frames.
    """
    # Every command imports this package; only analysts pay for DuckDB's start here.
    from flows.publish.read_marts import read_marts as read  # noqa: PLC0415

    return read(root)
