"""How a run went, as Prometheus metrics: written at its end, whatever became of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from flows.formats.atomic_file import write_atomically
from flows.formats.safe_text import safe_text
from flows.warehouse.file_lock import WAITS
from flows.workspace.paths import Workspace


@dataclass(slots=True)
class RunNotes:
    """What a run notes of itself: experiments it was to judge, and what failed, by name."""

    experiments: int = 0
    failed: list[str] = field(default_factory=list)


def run_metrics_path(workspace: Workspace) -> Path:
    """Beside the metrics of the verdicts, for the same textfile collector."""
    return workspace.dashboards.parent / "pipeline.prom"


@contextmanager
def measured_run(workspace: Workspace, warn: Callable[[str], None]) -> Iterator[RunNotes]:
    """Writes and pushes the metrics of the run in the with block, also where an exception ends it.

    warn: is told where they can't be written or pushed, which never ends a run.
    """
    notes, began, waited = RunNotes(), time.monotonic(), WAITS.seconds
    try:
        yield notes
    except BaseException:
        notes.failed.append("run")
        raise
    finally:
        _export(workspace, notes, time.monotonic() - began, WAITS.seconds - waited, warn)


def _export(
    workspace: Workspace,
    notes: RunNotes,
    duration_s: float,
    waited_s: float,
    warn: Callable[[str], None],
) -> None:
    # Publishing is never the gate's: its imports wait until here.
    from dashboards.pipeline_metrics import PipelineRun, render_run  # noqa: PLC0415
    from flows.publish.latest_metrics import push  # noqa: PLC0415
    from flows.publish.pushgateway import PushFailed  # noqa: PLC0415

    warehouse = workspace.warehouse
    text = render_run(
        PipelineRun(
            ended_s=round(time.time(), 3),
            duration_s=round(duration_s, 3),
            experiments=notes.experiments,
            failed=tuple(notes.failed),
            warehouse_bytes=warehouse.stat().st_size if warehouse.exists() else 0,
            waited_s=round(waited_s, 3),
        )
    )
    try:
        write_atomically(run_metrics_path(workspace), text)
        push(text, job="split-verdict-pipeline")
    except (OSError, PushFailed) as error:
        warn(safe_text(f"metrics of the run: {error}"))
