"""One look at one experiment, by name: what the gate, the command line and Prefect all call."""

from __future__ import annotations

from datetime import UTC, datetime

from flows.pull import pull_if_behind
from flows.score import score_experiment
from flows.spec_file import find_spec
from flows.verdict_document import VerdictDocument
from flows.workspace import Workspace


def look_at_experiment(
    workspace: Workspace, experiment: str, *, at: datetime | None = None
) -> VerdictDocument:
    """The verdict at one time (now, if not said), recorded and written as JSON.

    Pulls first what isn't known up to then. Raises SpecError, SourceUnavailable, SourceRefused,
    UnitDataRefused, WarehouseBusy or WarehouseUnusable.
    """
    path, spec = find_spec(workspace.experiments, experiment)
    look_at = at or datetime.now(UTC)
    pull_if_behind(spec, workspace.warehouse, spec_dir=path.parent, at=look_at)
    document = score_experiment(spec, workspace.warehouse, at=look_at)
    document.write(workspace.verdicts)
    return document
