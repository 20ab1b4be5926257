"""Dashboards are written whole, with what Grafana needs to find them, and nothing is removed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from dashboards.experiment_dashboard import experiment_dashboard
from dashboards.grafana import to_json
from dashboards.prometheus_server import DEFAULT_SERVER, Login, PrometheusServer
from dashboards.provisioning import dashboard_files
from flows.formats.atomic_file import prepared
from tests.builders import views


def write_dashboards(*arguments: Any, **options: Any) -> tuple[Path, ...]:
    """Writes what publishing writes."""
    with prepared(dashboard_files(*arguments, **options)) as put_in_place:
        return put_in_place()


def test_every_experiment_and_the_fleet_get_a_file(tmp_path: Path) -> None:
    written = write_dashboards(
        views.ALL, tmp_path, servers=[PrometheusServer("http://prometheus:9090")]
    )
    names = {path.relative_to(tmp_path).as_posix() for path in written}
    assert names == {
        *(f"{view.uid}.json" for view in views.ALL),
        "split-verdict-fleet.json",
        "split-verdict-conversions.json",
        "split-verdict-pipeline.json",
        "prometheus/split-verdict.rules.yaml",
        "provisioning/datasources/split-verdict.yaml",
        "provisioning/dashboards/split-verdict.yaml",
    }
    for path in written:
        if path.suffix == ".json":
            assert json.loads(path.read_text())["uid"] == path.stem


def test_grafana_is_told_where_everything_is(tmp_path: Path) -> None:
    write_dashboards(
        [views.ISTIO],
        tmp_path,
        servers=[PrometheusServer("http://prometheus:9090")],
        grafana_directory="/dashboards",
    )
    provisioning = tmp_path / "provisioning"
    sources = yaml.safe_load((provisioning / "datasources/split-verdict.yaml").read_text())
    providers = yaml.safe_load((provisioning / "dashboards/split-verdict.yaml").read_text())
    (source,), (provider,) = sources["datasources"], providers["providers"]
    assert sources["apiVersion"] == providers["apiVersion"] == 1
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
    assert source["isDefault"] is False
    assert (provider["type"], provider["options"]["path"]) == ("file", "/dashboards")


def _datasources(folder: Path) -> list[dict[str, Any]]:
    written = folder / "provisioning/datasources/split-verdict.yaml"
    found: list[dict[str, Any]] = yaml.safe_load(written.read_text())["datasources"]
    return found


def test_every_server_is_a_datasource_of_its_own(tmp_path: Path) -> None:
    """Of one URL the shortest interval counts; uids are the URL's, whatever stands beside it."""
    one, other = "https://one:9090/prometheus", "http://other:9090"
    servers = [PrometheusServer(one, 30), PrometheusServer(other, 60), PrometheusServer(one, 0.5)]
    write_dashboards([views.ISTIO], tmp_path, servers=servers)
    found = _datasources(tmp_path)
    assert [(s["url"], s["jsonData"]["timeInterval"]) for s in found] == [
        (other, "60s"),
        (one, "1s"),
    ]
    assert [s["name"] for s in found] == [
        "Prometheus (split-verdict, other:9090)",
        "Prometheus (split-verdict, one:9090/prometheus)",
    ]
    write_dashboards([views.ISTIO], tmp_path, servers=servers[:1])
    assert _datasources(tmp_path)[0]["uid"] == found[1]["uid"]
    assert len({DEFAULT_SERVER.uid, *(s["uid"] for s in found)}) == 3
    assert all(len(s["uid"]) <= 40 for s in found)


def test_dashboard_shows_the_server_of_its_experiment_first() -> None:
    view = replace(views.ISTIO, datasource=("Prometheus (one)", "split-verdict-one"))
    variables = json.loads(to_json(experiment_dashboard(view)))["templating"]["list"]
    assert variables[0]["current"]["value"] == "split-verdict-one"


def test_writing_again_changes_no_byte_and_removes_nothing(tmp_path: Path) -> None:
    foreign = tmp_path / "ours.json"
    foreign.write_text("{}")
    first = {path: path.read_bytes() for path in write_dashboards(views.ALL, tmp_path)}
    second = write_dashboards(tuple(reversed(views.ALL)), tmp_path)
    assert {path: path.read_bytes() for path in second} == first
    write_dashboards([views.ISTIO], tmp_path)
    assert foreign.read_text() == "{}"
    assert all(path.exists() for path in first)
    assert not list(tmp_path.rglob("*.part"))


def test_two_experiments_of_one_name_are_refused_before_anything_is_written(
    tmp_path: Path,
) -> None:
    with pytest.raises(ValueError, match="exam-canary is there twice"):
        write_dashboards([views.ISTIO, views.ISTIO], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    write_dashboards([views.ISTIO], tmp_path)
    target = tmp_path / "sv-exam-canary.json"
    target.unlink()
    # A folder with content can't be replaced by a file.
    (target / "in the way").mkdir(parents=True)
    with pytest.raises(OSError, match=r"sv-exam-canary\.json"):
        write_dashboards([views.ISTIO], tmp_path)
    assert not list(tmp_path.rglob("*.part"))


def test_a_dollar_is_a_plain_one_wherever_grafana_would_read_a_variable(tmp_path: Path) -> None:
    login = Login(user="$HOME", password_env="SECRET")
    servers = [PrometheusServer("http://mesh/$__env{PATH}/${USER}", login=login)]
    write_dashboards([views.ISTIO], tmp_path, servers=servers, grafana_directory="/srv/$data")
    (source,) = _datasources(tmp_path)
    assert source["url"] == "http://mesh/$$__env{PATH}/$${USER}"
    assert "$" not in source["name"].replace("$$", "")
    assert source["basicAuthUser"] == "$$HOME"
    assert source["secureJsonData"] == {"basicAuthPassword": "$__env{SECRET}"}
    written = tmp_path / "provisioning/dashboards/split-verdict.yaml"
    (provider,) = yaml.safe_load(written.read_text())["providers"]
    assert provider["options"]["path"] == "/srv/$$data"
