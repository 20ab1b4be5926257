"""Dashboards as files: every experiment's, the fleet's, and how Grafana is to find them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml

from dashboards.experiment_dashboard import experiment_dashboard
from dashboards.experiment_view import ExperimentView
from dashboards.fleet_dashboard import fleet_dashboard
from dashboards.grafana import to_json

_FOLDER = "Traffic experiments"
_PROVIDER = "split-verdict"


@dataclass(frozen=True, slots=True)
class Provisioning:
    """What Grafana needs to be told.

    prometheus_url: of the server that Grafana asks.
    dashboards_path: the folder with the dashboards' JSON, as Grafana sees it.
    scrape_interval_s: the shortest step that makes sense; $__rate_interval is four of them.
    """

    prometheus_url: str
    dashboards_path: str
    scrape_interval_s: int = 15

    def files(self) -> dict[str, str]:
        """The YAML texts by their path; point Grafana's paths.provisioning to `provisioning`."""
        return {
            f"provisioning/datasources/{_PROVIDER}.yaml": _yaml(self._datasource()),
            f"provisioning/dashboards/{_PROVIDER}.yaml": _yaml(self._provider()),
        }

    def _datasource(self) -> dict[str, object]:
        """Not the default one: a Grafana that has a default refuses to start with two."""
        prometheus = {
            "name": "Prometheus (split-verdict)",
            "uid": "split-verdict-prometheus",
            "type": "prometheus",
            "access": "proxy",
            "url": self.prometheus_url,
            "isDefault": False,
            "editable": False,
            "jsonData": {"httpMethod": "POST", "timeInterval": f"{self.scrape_interval_s}s"},
        }
        return {"apiVersion": 1, "datasources": [prometheus]}

    def _provider(self) -> dict[str, object]:
        provider = {
            "name": _PROVIDER,
            "orgId": 1,
            "folder": _FOLDER,
            "type": "file",
            "disableDeletion": False,
            "allowUiUpdates": False,
            "updateIntervalSeconds": 30,
            "options": {"path": self.dashboards_path},
        }
        return {"apiVersion": 1, "providers": [provider]}


def _yaml(content: dict[str, object]) -> str:
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def dashboard_files(
    views: Iterable[ExperimentView],
    directory: Path,
    *,
    prometheus_url: str = "http://localhost:9090",
    grafana_directory: str | None = None,
    prefix: str = "edtech",
) -> dict[Path, str]:
    """The texts of a dashboard per experiment, the fleet's, and provisioning, by their path.

    directory: is to get <uid>.json files and provisioning/.
    prometheus_url: of the server that Grafana is to ask.
    grafana_directory: where Grafana finds the directory, if elsewhere (in a container, say).
    prefix: of the exported metrics.
    Raises ValueError if two experiments have the same name.
    """
    listed = tuple(sorted(views, key=lambda view: view.name))
    _refuse_twins(listed)
    dashboards = [experiment_dashboard(view, prefix=prefix) for view in listed]
    dashboards.append(fleet_dashboard(listed, prefix=prefix))
    texts = {directory / f"{dashboard.uid}.json": to_json(dashboard) for dashboard in dashboards}
    provisioning = Provisioning(
        prometheus_url=prometheus_url,
        dashboards_path=grafana_directory or str(directory.resolve()),
    )
    return texts | {directory / name: text for name, text in provisioning.files().items()}


def _refuse_twins(views: tuple[ExperimentView, ...]) -> None:
    names = [view.name for view in views]
    twins = sorted({name for name in names if names.count(name) > 1})
    if twins:
        raise ValueError(
            f"experiments must have different names: {', '.join(twins)} is there twice"
        )
