"""Dashboards as files: every experiment's, the fleet's, and how Grafana is to find them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from dashboards.conversions_dashboard import conversions_dashboard
from dashboards.experiment_dashboard import experiment_dashboard
from dashboards.experiment_view import ExperimentView
from dashboards.fleet_dashboard import fleet_dashboard
from dashboards.grafana import to_json
from dashboards.pipeline_dashboard import pipeline_dashboard
from dashboards.prometheus_server import DEFAULT_SERVER, FromEnvironment, PrometheusServer

# Where Prometheus finds its rules.
RULES = "prometheus/split-verdict.rules.yaml"
_FOLDER = "Traffic experiments"
_PROVIDER = "split-verdict"


@dataclass(frozen=True, slots=True)
class Provisioning:
    """What Grafana needs to be told.

    servers: that Grafana asks, a datasource each.
    dashboards_path: the folder with the dashboards' JSON, as Grafana sees it.
    """

    servers: tuple[PrometheusServer, ...]
    dashboards_path: str

    def files(self) -> dict[str, str]:
        """The YAML texts by their path; point Grafana's paths.provisioning to `provisioning`."""
        sources = [server.datasource() for server in self.servers]
        return {
            f"provisioning/datasources/{_PROVIDER}.yaml": _yaml(
                {"apiVersion": 1, "datasources": sources}
            ),
            f"provisioning/dashboards/{_PROVIDER}.yaml": _yaml(self._provider()),
        }

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
    return yaml.safe_dump(_escaped(content), sort_keys=False, allow_unicode=True)


def _escaped(value: object) -> object:
    """As Grafana is to read it: a dollar begins a variable's name, two are a plain one."""
    if isinstance(value, FromEnvironment):
        return str(value)
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, dict):
        return {key: _escaped(inner) for key, inner in value.items()}
    return [_escaped(inner) for inner in value] if isinstance(value, list) else value


def dashboard_files(
    views: Iterable[ExperimentView],
    directory: Path,
    *,
    servers: Sequence[PrometheusServer] = (DEFAULT_SERVER,),
    grafana_directory: str | None = None,
    prefix: str = "edtech",
    without: Collection[str] = (),
) -> dict[Path, str]:
    """The texts of a dashboard per experiment, the fleet's, and provisioning, by their path.

    directory: is to get <uid>.json files, provisioning/ and Prometheus' rules.
    servers: that Grafana is to ask; of the same URL the shortest scrape interval counts,
        and one login.
    grafana_directory: where Grafana finds the directory, if elsewhere (in a container, say).
    prefix: of the exported metrics. without: experiments whose own dashboard isn't wanted.
    Raises ValueError if two experiments have the same name.
    """
    listed = tuple(sorted(views, key=lambda view: view.name))
    _refuse_twins(listed)
    wanted = [view for view in listed if view.name not in without]
    dashboards = [experiment_dashboard(view, prefix=prefix) for view in wanted]
    dashboards.append(fleet_dashboard(listed, prefix=prefix))
    dashboards += [conversions_dashboard(prefix=prefix), pipeline_dashboard()]
    texts = {directory / f"{dashboard.uid}.json": to_json(dashboard) for dashboard in dashboards}
    provisioning = Provisioning(
        servers=_by_url(servers),
        dashboards_path=grafana_directory or str(directory.resolve()),
    )
    texts[directory / RULES] = (Path(__file__).parent / "rules.yaml").read_text("utf-8")
    return texts | {directory / name: text for name, text in provisioning.files().items()}


def _by_url(servers: Sequence[PrometheusServer]) -> tuple[PrometheusServer, ...]:
    longest_first = sorted(servers, key=lambda server: -server.scrape_interval_s)
    found = {server.url: server for server in longest_first}
    logins = {server.url: server.login for server in servers if server.login}
    return tuple(replace(found[url], login=logins.get(url)) for url in sorted(found))


def _refuse_twins(views: tuple[ExperimentView, ...]) -> None:
    names = [view.name for view in views]
    twins = sorted({name for name in names if names.count(name) > 1})
    if twins:
        raise ValueError(
            f"experiments must have different names: {', '.join(twins)} is there twice"
        )
