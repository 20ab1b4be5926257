"""What these tests begin with: a warehouse as it is made."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.builders.empty_warehouse import made_anew


@pytest.fixture(autouse=True)
def _creation_by_its_steps() -> Iterator[None]:
    with made_anew():
        yield
