"""Pluralised counts, and sizes."""

from __future__ import annotations

import pytest

from flows.formats.text import counted, said_size


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 windows"), (1, "1 window"), (2, "2 windows"), (1000, "1,000 windows")],
)
def test_one_is_singular_and_thousands_are_separated(number: int, text: str) -> None:
    assert counted(number, "window") == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(180, "0.2 kB"), (3_700_000, "3.7 MB"), (1 << 30, "1.0 GB"), (5 << 40, "5,120.0 GB")],
)
def test_size_that_is_little_is_not_none(size: int, text: str) -> None:
    assert said_size(size) == text
