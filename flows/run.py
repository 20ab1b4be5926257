"""The main job without a server: pull, score, publish, and show the verdicts."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from flows.instants import instant, milliseconds_of
from flows.look import score_with_notes
from flows.look_plan import milliseconds
from flows.pull import pull_experiment
from flows.score import plan_at
from flows.spec import Experiment
from flows.spec_file import find_spec, load_specs
from flows.trouble import TROUBLE
from flows.verdict_document import VerdictDocument
from flows.warehouse import open_reader
from flows.workspace import Workspace


def run_all(
    workspace: Workspace, names: Sequence[str], *, at: datetime | None, replay: bool
) -> int:
    """Runs the experiments, one failing one doesn't stop the others; returns the exit code.

    0: every experiment has a verdict, whatever it is; 2: at least one could not be judged.
    """
    look_at = at or datetime.now(UTC)
    documents: list[VerdictDocument] = []
    failed = 0
    for path, spec in select(workspace, names):
        try:
            documents.append(_run_one(workspace, path, spec, look_at, replay=replay))
        except TROUBLE as error:
            failed += 1
            print(f"{spec.experiment}: {error}", file=sys.stderr)
    _show(workspace, documents, publish_all(workspace) if documents else [])
    return 2 if failed else 0


def pull_all(workspace: Workspace, names: Sequence[str], *, until: datetime | None) -> int:
    """Brings the warehouse up to date for the experiments; returns the exit code."""
    failed = 0
    for path, spec in select(workspace, names):
        try:
            _pull(workspace, path, spec, until or datetime.now(UTC))
        except TROUBLE as error:
            failed += 1
            print(f"{spec.experiment}: {error}", file=sys.stderr)
    return 2 if failed else 0


def publish_all(workspace: Workspace) -> list[Path]:
    """Publishes the marts, the dashboards and the metrics; returns what was written."""
    # Publishing is the last step and never the gate's: its imports wait until here.
    from dashboards.prometheus_server import DEFAULT_SERVER  # noqa: PLC0415
    from dashboards.provisioning import write_dashboards  # noqa: PLC0415
    from flows.dashboard_view import servers_of, view_of  # noqa: PLC0415
    from flows.export_metrics import export_metrics, metric_prefix  # noqa: PLC0415
    from flows.publish import PublishFailed, publish  # noqa: PLC0415

    specs = [spec for _, spec in load_specs(workspace.experiments)]
    servers = [server for spec in specs for server in servers_of(spec)]
    prefix = metric_prefix()
    marts = publish(workspace.warehouse, workspace.marts)
    try:
        written = write_dashboards(
            [view_of(spec) for spec in specs],
            workspace.dashboards,
            servers=servers or (DEFAULT_SERVER,),
            prefix=prefix,
        )
        exported = export_metrics(workspace, specs, prefix=prefix)
    except OSError as error:
        raise PublishFailed(f"published {marts}, but not all for people: {error}") from error
    for warning in exported.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return [marts, *written, exported.path]


def select(workspace: Workspace, names: Sequence[str]) -> list[tuple[Path, Experiment]]:
    """The named experiments, or all of them."""
    if names:
        return [find_spec(workspace.experiments, name) for name in names]
    return load_specs(workspace.experiments)


def _run_one(
    workspace: Workspace, path: Path, spec: Experiment, at: datetime, *, replay: bool
) -> VerdictDocument:
    _pull(workspace, path, spec, at)
    looks = list(_planned_looks(workspace, spec, at)) if replay else []
    for look in (*looks, at):
        document = score_with_notes(spec, workspace.warehouse, spec_dir=path.parent, at=look)
        document.write(workspace.verdicts)
    print(f"  {len(looks) + 1} looks: {document.decision.value}", flush=True)
    return document


def _pull(workspace: Workspace, path: Path, spec: Experiment, until: datetime) -> None:
    print(f"{spec.experiment}", flush=True)
    pulled = pull_experiment(spec, workspace.warehouse, spec_dir=path.parent, until=until)
    for line in pulled.summary:
        print(f"  {line}", flush=True)
    for line in pulled.warnings:
        print(f"  warning: {line}", file=sys.stderr)


def _planned_looks(workspace: Workspace, spec: Experiment, at: datetime) -> Iterator[datetime]:
    """Every look of the schedule before the last one."""
    with open_reader(workspace.warehouse) as con:
        plan = plan_at(con, spec, at=at)
    end = min(milliseconds_of(at), plan.end_ms)
    step = milliseconds(spec.plan.look_every)
    return (instant(ms) for ms in range(plan.start_ms + step, end, step))


def _show(workspace: Workspace, documents: Sequence[VerdictDocument], paths: list[Path]) -> None:
    from rich.console import Console  # noqa: PLC0415

    from analysis.reasons import explain  # noqa: PLC0415
    from dashboards.verdict_table import VerdictRow, verdict_table  # noqa: PLC0415

    rows = [
        VerdictRow(
            document.experiment,
            document.decision,
            document.score,
            tuple(line for line in map(explain, document.metrics) if line not in document.reasons),
            document.reasons,
        )
        for document in documents
    ]
    console = Console()
    if rows:
        console.print(verdict_table(rows))
    print("written:")
    for path in [workspace.warehouse, workspace.verdicts, *paths]:
        print(f"  {path}")
