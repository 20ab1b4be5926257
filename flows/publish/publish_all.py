"""Publishes everything that people read: marts, dashboards, report and exported metrics."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from flows.workspace.experiments import Selection
from flows.workspace.paths import Workspace

if TYPE_CHECKING:
    from dashboards.report_view import BrokenSpec


def publish_all(workspace: Workspace, chosen: Selection) -> list[Path]:
    """Publishes the marts, and dashboards, report and metrics of the experiments that can be read.

    Returns what was written, of the report the index. Raises PublishFailed, WarehouseBusy or
    WarehouseUnusable.
    """
    # Publishing is the last step and never the gate's: its imports wait until here.
    from dashboards.exported_metrics import render_metrics  # noqa: PLC0415
    from dashboards.html_report import INDEX, report_files  # noqa: PLC0415
    from dashboards.prometheus_server import DEFAULT_SERVER  # noqa: PLC0415
    from dashboards.provisioning import dashboard_files  # noqa: PLC0415
    from flows.formats.atomic_file import prepared  # noqa: PLC0415
    from flows.publish.cleanup import remove_leftovers  # noqa: PLC0415
    from flows.publish.dashboards import servers_of, view_of  # noqa: PLC0415
    from flows.publish.latest_metrics import latest_metrics, metric_prefix, metrics_path, push_all  # noqa: PLC0415
    from flows.publish.marts import PublishFailed, publish  # noqa: PLC0415
    from flows.publish.report import report_views  # noqa: PLC0415

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
            # Without folders: the report is the same wherever the project lies.
            tuple(str(replace(one, file=Path(one.file).name)) for one in error.problems),
            (workspace.report / file_name(name)).is_file(),
        )
        for name, error in chosen.broken.items()
    ]
