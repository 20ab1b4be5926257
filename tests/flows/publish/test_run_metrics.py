"""A run leaves its metrics however it ends."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from flows.publish.run_metrics import measured_run, run_metrics_path
from flows.warehouse.connection import open_writer
from flows.workspace.paths import Workspace
from tests.dashboards.test_exported_metrics import Series, key, parsed


def left_by(workspace: Workspace) -> Series:
    return parsed(run_metrics_path(workspace).read_text())


def test_a_run_that_is_ended_by_an_exception_has_failed(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)

    def killed() -> None:
        with measured_run(workspace, pytest.fail) as notes:
            notes.experiments = 3
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        killed()
    assert left_by(workspace)[key("split_verdict_run_failed", experiment="run")] == 1.0
    assert left_by(workspace)[key("split_verdict_run_experiments")] == 3.0


def test_how_long_a_run_waited_for_the_warehouse_is_measured(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with open_writer(workspace.warehouse):
            held.set()
            done.wait()

    other = threading.Thread(target=hold)
    other.start()
    held.wait()
    with measured_run(workspace, pytest.fail):
        threading.Timer(0.3, done.set).start()
        began = time.monotonic()
        with open_writer(workspace.warehouse):
            most = time.monotonic() - began
    other.join()
    assert 0.2 <= left_by(workspace)[key("split_verdict_warehouse_wait_seconds")] <= most
    assert left_by(workspace)[key("split_verdict_warehouse_size_bytes")] > 0


def test_metrics_that_can_not_be_written_are_a_warning(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("no folder")
    said: list[str] = []
    with measured_run(Workspace(tmp_path), said.append):
        pass
    assert len(said) == 1
    assert said[0].startswith("metrics of the run: ")
