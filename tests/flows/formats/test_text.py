"""Pluralised counts."""

from __future__ import annotations

import pytest

from flows.formats.text import counted


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 windows"), (1, "1 window"), (2, "2 windows"), (1000, "1,000 windows")],
)
def test_one_is_singular_and_thousands_are_separated(number: int, text: str) -> None:
    assert counted(number, "window") == text
