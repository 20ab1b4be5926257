"""The main job without a server: pull, score, publish, and show the verdicts."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from flows.counted import counted
from flows.instants import instant, milliseconds_of
from flows.look import score_with_notes
from flows.look_plan import milliseconds
from flows.look_time import look_time
from flows.lost_output import lost_output
from flows.plan_at import plan_at
from flows.pull import pull_experiment
from flows.selection import Selection, select
from flows.spec import Experiment
from flows.spec_file import Problem
from flows.trouble import TROUBLE
from flows.verdict_document import VerdictDocument
from flows.warehouse import open_reader
from flows.workspace import Workspace

if TYPE_CHECKING:
    from dashboards.report_view import BrokenSpec


def run_all(
    workspace: Workspace, names: Sequence[str], *, at: datetime | None, replay: bool
) -> int:
    """Runs the experiments, one failing one doesn't stop the others; returns the exit code.

    0: every experiment has a verdict, whatever it is; 2: at least one could not be judged.
    """
    look_at = look_time(at)
    chosen = select(workspace, names)
    documents: list[VerdictDocument] = []
    failed = _tell_broken(chosen)
    for path, spec in chosen.specs:
        with _apart(spec.experiment, failed):
            documents.append(_run_one(workspace, path, spec, look_at, replay=replay))
    if documents:
        _show(documents)
        written = [workspace.warehouse, workspace.verdicts]
        with _apart("publish", failed):
            written += publish_all(workspace, _all_readable(workspace, chosen))
        print("written:", *written, sep="\n  ")
    return 2 if failed else 0


def pull_all(workspace: Workspace, names: Sequence[str], *, until: datetime | None) -> int:
    """Brings the warehouse up to date for the experiments; returns the exit code."""
    pull_until = look_time(until)
    chosen = select(workspace, names)
    failed = _tell_broken(chosen)
    for path, spec in chosen.specs:
        with _apart(spec.experiment, failed):
            _pull(workspace, path, spec, pull_until)
    return 2 if failed else 0


def publish_readable(workspace: Workspace) -> int:
    """Publishes, and prints what was written; returns the exit code, 2 if a spec is broken."""
    chosen = select(workspace)
    failed = _tell_broken(chosen)
    if chosen.specs:
        print(*publish_all(workspace, chosen), sep="\n")
    return 2 if failed else 0


def publish_all(workspace: Workspace, chosen: Selection) -> list[Path]:
    """Publishes the marts, and dashboards, report and metrics of the experiments that can be read.

    Returns what was written, of the report the index. Raises PublishFailed, WarehouseBusy or
    WarehouseUnusable.
    """
    # Publishing is the last step and never the gate's: its imports wait until here.
    from dashboards.atomic_file import prepared  # noqa: PLC0415
    from dashboards.exported_metrics import render_metrics  # noqa: PLC0415
    from dashboards.html_report import INDEX, report_files  # noqa: PLC0415
    from dashboards.prometheus_server import DEFAULT_SERVER  # noqa: PLC0415
    from dashboards.provisioning import dashboard_files  # noqa: PLC0415
    from flows.dashboard_view import servers_of, view_of  # noqa: PLC0415
    from flows.export_metrics import (  # noqa: PLC0415
        latest_metrics,
        metric_prefix,
        metrics_path,
        push_all,
    )
    from flows.leftovers import remove_leftovers  # noqa: PLC0415
    from flows.publish import PublishFailed, publish  # noqa: PLC0415
    from flows.report_view import report_views  # noqa: PLC0415

    specs = chosen.experiments
    servers = [server for spec in specs for server in servers_of(spec)]
    prefix = metric_prefix()
    metrics = latest_metrics(workspace.warehouse, specs)
    texts = dashboard_files(
        [view_of(spec) for spec in specs],
        workspace.dashboards,
        servers=servers or (DEFAULT_SERVER,),
        prefix=prefix,
    )
    texts[metrics_path(workspace)] = render_metrics(metrics, prefix=prefix)
    report = report_files(
        report_views(workspace.warehouse, specs),
        workspace.report,
        broken=_broken_specs(workspace, chosen),
    )
    try:
        # All together: marts, dashboards and report tell of the same looks, or stay as they were.
        with prepared(texts | report) as put_in_place:
            marts = publish(workspace.warehouse, workspace.marts)
            written = put_in_place()
        remove_leftovers(workspace, [path.stem for path in workspace.experiments.glob("*.yaml")])
    except OSError as error:
        raise PublishFailed(
            f"could not publish to {workspace.dashboards.parent}: {error}. Free some space, or "
            "make the folder writable, and publish again"
        ) from error
    for warning in push_all(metrics, prefix):
        print(f"warning: {warning}", file=sys.stderr)
    pages = report.keys() - {workspace.report / INDEX}
    return [marts, *(path for path in written if path not in pages)]


def _broken_specs(workspace: Workspace, chosen: Selection) -> list[BrokenSpec]:
    from dashboards.html_report import file_name  # noqa: PLC0415
    from dashboards.report_view import BrokenSpec  # noqa: PLC0415

    return [
        BrokenSpec(
            name,
            tuple(_without_folder(problem) for problem in error.problems),
            (workspace.report / file_name(name)).is_file(),
        )
        for name, error in chosen.broken.items()
    ]


def _without_folder(problem: Problem) -> str:
    """The report is the same wherever the project lies."""
    return str(replace(problem, file=Path(problem.file).name))


def _tell_broken(chosen: Selection) -> list[str]:
    """Says everything that is wrong with broken specs; returns their names."""
    for line in chosen.problems:
        print(line, file=sys.stderr)
    return list(chosen.broken)


def _all_readable(workspace: Workspace, chosen: Selection) -> Selection:
    """What is published: also what wasn't chosen; broken specs that nobody chose are a warning."""
    found = select(workspace)
    for line in found.problems:
        if line not in chosen.problems:
            print(f"warning: {line}", file=sys.stderr)
    return found


@contextmanager
def _apart(name: str, failed: list[str]) -> Iterator[None]:
    """Says what is wrong with one experiment and notes its name, so that the others go on."""
    try:
        yield
    except TROUBLE as error:
        print(f"{name}: {error}", file=sys.stderr)
        failed.append(name)
    except Exception as error:
        if lost_output(error):
            # Nothing that follows could be printed either.
            raise
        # Nothing is hidden: all of it is printed.
        traceback.print_exc()
        print(f"{name}: failed, nothing was decided: {type(error).__name__}", file=sys.stderr)
        failed.append(name)


def _run_one(
    workspace: Workspace, path: Path, spec: Experiment, at: datetime, *, replay: bool
) -> VerdictDocument:
    _pull(workspace, path, spec, at)
    looks = list(_planned_looks(workspace, spec, at)) if replay else []
    for look in (*looks, at):
        document = score_with_notes(spec, workspace.warehouse, spec_dir=path.parent, at=look)
        document.write(workspace.verdicts)
    print(f"  {counted(len(looks) + 1, 'look')}: {document.decision.value}", flush=True)
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


def _show(documents: Sequence[VerdictDocument]) -> None:
    """Prints the table of verdicts; before anything else can fail."""
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
    Console().print(verdict_table(rows))
