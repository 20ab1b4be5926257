"""Publishes everything that people read: marts, dashboards, report and exported metrics."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from flows.spec.experiment import Experiment
from flows.workspace.experiments import Selection
from flows.workspace.paths import Workspace

if TYPE_CHECKING:
    from dashboards.exported_metrics import ExperimentMetrics
    from dashboards.report_view import BrokenSpec
    from flows.publish.published import Published


def publish_all(workspace: Workspace, chosen: Selection) -> list[Path]:
    """Publishes the marts, and dashboards, report and metrics of the experiments that can be read.

    What nothing changed of since it was published stays as it is. Returns what is published, of the
    report the index. Raises PublishFailed, WarehouseBusy or WarehouseUnusable.
    """
    # Publishing is the last step and never the gate's: its imports wait until here.
    from flows.publish.latest_metrics import (  # noqa: PLC0415
        has_gateway,
        latest_metrics,
        metric_prefix,
        push_all,
    )
    from flows.publish.marts import PublishFailed, is_latest  # noqa: PLC0415
    from flows.publish.published import read_published  # noqa: PLC0415

    specs, prefix = chosen.experiments, metric_prefix()
    broken = broken_specs(workspace, chosen)
    before, now = read_published(workspace), state_of(workspace, chosen, broken)
    is_new = not (before.is_of(now) and before.is_whole() and is_latest(before.marts))
    metrics = latest_metrics(workspace.warehouse, specs) if is_new or has_gateway() else []
    try:
        shown = _publish(workspace, specs, broken, before, now, metrics) if is_new else before.shown
    except OSError as error:
        raise PublishFailed(
            f"could not publish to {workspace.dashboards.parent}: {error}. Free some space, or "
            "make the folder writable, and publish again"
        ) from error
    # A gateway that was restarted has forgotten what it was told.
    for warning in push_all(metrics, prefix):
        print(f"warning: {warning}", file=sys.stderr)
    return [Path(path) for path in shown]


def state_of(workspace: Workspace, chosen: Selection, broken: Sequence[BrokenSpec]) -> Published:
    """What is to be published now. Raises WarehouseBusy or WarehouseUnusable."""
    from flows.publish.addresses import read_addresses  # noqa: PLC0415
    from flows.publish.dashboards import servers_of  # noqa: PLC0415
    from flows.publish.latest_metrics import metric_prefix  # noqa: PLC0415
    from flows.publish.published import to_publish  # noqa: PLC0415

    servers = [server for spec in chosen.experiments for server in servers_of(spec)]
    facts = (read_addresses(), *servers, *broken)
    common = (metric_prefix(), str(workspace.dashboards.resolve()), *map(repr, facts))
    return to_publish(workspace, chosen.experiments, common)


def _publish(
    workspace: Workspace,
    specs: Sequence[Experiment],
    broken: Sequence[BrokenSpec],
    before: Published,
    now: Published,
    metrics: Sequence[ExperimentMetrics],
) -> Sequence[str]:
    """Writes the marts, what is of all experiments, and the files of those that changed."""
    from dashboards.exported_metrics import render_metrics  # noqa: PLC0415
    from dashboards.html_report import report_files  # noqa: PLC0415
    from dashboards.page_templates import Site  # noqa: PLC0415
    from dashboards.prometheus_server import DEFAULT_SERVER  # noqa: PLC0415
    from dashboards.provisioning import dashboard_files  # noqa: PLC0415
    from flows.formats.atomic_file import prepared  # noqa: PLC0415
    from flows.publish.addresses import read_addresses  # noqa: PLC0415
    from flows.publish.cleanup import remove_leftovers  # noqa: PLC0415
    from flows.publish.dashboards import servers_of, view_of  # noqa: PLC0415
    from flows.publish.latest_metrics import metric_prefix, metrics_path  # noqa: PLC0415
    from flows.publish.marts import publish  # noqa: PLC0415
    from flows.publish.published import files_of, keep_published  # noqa: PLC0415
    from flows.publish.report import report_views  # noqa: PLC0415

    prefix, addresses = metric_prefix(), read_addresses()
    servers = [server for spec in specs for server in servers_of(spec)]
    same = {name for name in now.experiments if before.stands_for(now, workspace, name)}
    texts = dashboard_files(
        [view_of(spec, addresses) for spec in specs],
        workspace.dashboards,
        servers=servers or (DEFAULT_SERVER,),
        prefix=prefix,
        without=same,
    )
    texts[metrics_path(workspace)] = render_metrics(metrics, prefix=prefix)
    views = report_views(workspace.warehouse, specs, index_only=same)
    site = Site(grafana=addresses.grafana)
    report = report_files(views.reports, views.entries, workspace.report, broken=broken, site=site)
    # All together: marts, dashboards and report tell of the same looks, or stay as they were.
    with prepared(texts | report) as put_in_place:
        marts = publish(workspace.warehouse, workspace.marts, earlier=before.earlier(now))
        written = put_in_place()
    remove_leftovers(workspace, [path.stem for path in workspace.experiments.glob("*.yaml")])
    of_each = {name: files_of(workspace, name) for name in sorted(now.experiments)}
    boards = [board for board, _ in of_each.values()]
    own = {path for paths in of_each.values() for path in paths}
    shown = [marts, *boards, *(path for path in written if path not in own)]
    left = [path for name in same for path in of_each[name] if path.exists()]
    return keep_published(workspace, now, marts=marts, shown=shown, files=[*written, *left])


def broken_specs(workspace: Workspace, chosen: Selection) -> list[BrokenSpec]:
    """The experiments whose specs can't be read, and why."""
    from dashboards.page_templates import page_of  # noqa: PLC0415
    from dashboards.report_view import BrokenSpec  # noqa: PLC0415

    return [
        BrokenSpec(
            name,
            # Without folders: the report is the same wherever the project lies.
            tuple(str(replace(one, file=Path(one.file).name)) for one in error.problems),
            (workspace.report / page_of(name)).is_file(),
        )
        for name, error in chosen.broken.items()
    ]
