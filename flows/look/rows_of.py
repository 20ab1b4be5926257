"""Whose requests a look reads from the warehouse."""

from __future__ import annotations

from typing import NamedTuple


class RowsOf(NamedTuple):
    """Those of a cohort (None for all), and all of a variant that has none in it (borrowed)."""

    cohort: str | None = None
    borrowed: str | None = None


EVERYBODY = RowsOf()
