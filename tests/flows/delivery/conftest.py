"""What tests of deliveries begin with: a workspace of their own, and a clock that doesn't wait."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.workspace.paths import Workspace
from tests.builders.delivery_workspace import Clock, delivery_workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return delivery_workspace(tmp_path)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Pauses between looks take no time."""
    clock = Clock()
    monkeypatch.setattr("flows.delivery.deliver.time", clock)
    return clock
