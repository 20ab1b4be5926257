"""The exported metrics, from `verdict run` through a Pushgateway and a Prometheus to the panels."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

import duckdb
import pytest
import requests
import yaml
from prometheus_client.parser import text_string_to_metric_families

from dashboards.experiment_dashboard import experiment_dashboard
from dashboards.fleet_dashboard import fleet_dashboard
from flows.publish.dashboards import view_of
from flows.publish.marts import latest_marts
from flows.workspace.experiments import select
from flows.workspace.paths import Workspace
from tests.dashboards.reading import PanelQuery, queries_of, read
from tests.lab.processes import PortPool, wait_until
from tests.lab.prometheus_server import Job, PrometheusServer, Target
from tests.places import PATIENCE_S, REPOSITORY
from tests.servers import own_process
from tests.servers.real_servers import free_port, pushgateway

INVALID = "tagalog-support"
SHARE, CONVERSION, SCORE = (
    "edtech_traffic_split_percentage",
    "edtech_ab_test_conversion_rate",
    "edtech_canary_health_score",
)

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


@dataclass(frozen=True, slots=True)
class Exported:
    """A finished run: its workspace, what it printed, and a Prometheus with the pushed metrics."""

    root: Path
    printed: str
    prometheus: PrometheusServer


def verdict(root: Path, *arguments: str, **environment: str) -> CompletedProcess[str]:
    with pytest.MonkeyPatch.context() as patched:
        for name, value in {"VERDICT_PUSHGATEWAY": "", **environment}.items():
            patched.setenv(name, value)
        return own_process.verdict("--root", root, *arguments)


def workspace(root: Path, *names: str) -> Path:
    """The repository's experiments, or the named ones, on the recorded traffic."""
    shutil.copytree(REPOSITORY / "demo", root / "demo")
    (root / "experiments").mkdir()
    for path in (REPOSITORY / "experiments").glob("*.yaml"):
        if not names or path.stem in names:
            shutil.copy(path, root / "experiments")
    return root


def scraper(folder: Path, gateway: str) -> PrometheusServer:
    """A Prometheus that scrapes the gateway each second, with honor_labels as one must."""
    folder.mkdir()
    server = PrometheusServer(
        folder, port=PortPool().take(), scrape_interval_s=1, jobs=[Job("pushed")]
    )
    path = folder / "prometheus.yml"
    config = json.loads(path.read_text())
    config["scrape_configs"][0]["honor_labels"] = True
    path.write_text(json.dumps(config))
    server.add_targets(Target("pushed", int(gateway.rpartition(":")[2]), {}))
    return server


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exported]:
    folder = tmp_path_factory.mktemp("exported")
    root = workspace(folder)
    with pushgateway() as gateway:
        prometheus = scraper(folder / "prometheus", gateway)
        prometheus.start()
        try:
            done = verdict(root, "run", VERDICT_PUSHGATEWAY=gateway)
            assert done.returncode == 0, done.stderr
            assert "warning: Pushgateway" not in done.stderr
            groups = "count by (experiment) (push_time_seconds{experiment!=''})"
            # The run's own are pushed last.
            pushed = f"count({groups}) == {len(specs(root))}", "split_verdict_run_duration_seconds"
            wait_until(lambda: all(map(prometheus.query, pushed)), what="the pushed metrics")
            yield Exported(root, done.stdout, prometheus)
        finally:
            prometheus.stop()


@pytest.fixture(scope="module")
def judged_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = workspace(tmp_path_factory.mktemp("judged"), "exam-service-canary")
    assert verdict(root, "gate", "exam-service-canary").returncode == 0
    return root


@pytest.fixture
def judged(judged_once: Path, tmp_path: Path) -> Path:
    """A workspace with one experiment, which has its verdict."""
    return Path(shutil.copytree(judged_once, tmp_path / "judged"))


def specs(root: Path) -> list[str]:
    return [path.stem for path in (root / "experiments").glob("*.yaml")]


def file_of(root: Path) -> Series:
    text = (root / "var" / "metrics.prom").read_text()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def found_in(series: Series, name: str, **labels: str) -> list[float]:
    """The values of a metric whose labels include these."""
    wanted = labels.items()
    return [v for (metric, have), v in series.items() if metric == name and wanted <= set(have)]


def exported_queries(root: Path) -> dict[str, list[PanelQuery]]:
    """The queries for exported metrics on each experiment's dashboard."""
    views = [view_of(spec) for spec in select(Workspace(root)).experiments]
    return {
        view.name: [q for q in queries_of(read(experiment_dashboard(view))) if "edtech_" in q.expr]
        for view in views
    }


def test_run_and_publish_say_where_the_metrics_are(exported: Exported) -> None:
    path = exported.root / "var" / "metrics.prom"
    assert f"  {path}" in exported.printed.splitlines()
    before = path.read_bytes()
    done = verdict(exported.root, "publish")
    assert str(path) in done.stdout.splitlines()
    assert path.read_bytes() == before


def test_every_panel_of_exported_metrics_finds_its_series(exported: Exported) -> None:
    """On a real Prometheus, with the values of the dashboard's variables when it opens."""
    nothing = {
        (name, query.panel)
        for name, queries in exported_queries(exported.root).items()
        for query in queries
        if not exported.prometheus.query(query.expr)
    }
    # A look at bad data exports no score.
    assert nothing == {(INVALID, "Health score"), (INVALID, "Health score over time")}


def test_every_panel_of_the_fleet_finds_its_series(exported: Exported) -> None:
    views = tuple(view_of(spec) for spec in select(Workspace(exported.root)).experiments)
    queries = [q for q in queries_of(read(fleet_dashboard(views))) if "edtech_" in q.expr]
    found = {query.panel: len(exported.prometheus.query(query.expr)) for query in queries}
    assert found == {
        "Health scores now": 5,
        "Health scores over time": 5,
        "Measured traffic split": 8,  # of two services users are counted, too
        "Conversion rates": 6,
    }


def test_what_was_pushed_is_what_the_file_says(exported: Exported) -> None:
    labels_of = {
        SHARE: ("service", "version", "namespace"),
        CONVERSION: ("experiment", "variant", "outcome"),
        SCORE: ("service", "deployment_version"),
    }
    pushed = {
        (name, frozenset((label, row["metric"][label]) for label in labels)): float(row["value"][1])
        for name, labels in labels_of.items()
        for row in exported.prometheus.query(name)
    }
    in_file = file_of(exported.root)
    assert pushed == {key: value for key, value in in_file.items() if key[0] in labels_of}
    for name in {name for name, _ in in_file} - labels_of.keys():
        rows = exported.prometheus.query(name)
        assert {
            frozenset(
                (k, v) for k, v in row["metric"].items() if k not in ("__name__", "job", "instance")
            )
            for row in rows
        } == {labels for found, labels in in_file if found == name}


def test_the_shares_of_a_service_add_up_to_100_percent_once(exported: Exported) -> None:
    """Three experiments of the demo are about one service."""
    shares: dict[str, float] = {}
    for (name, labels), value in file_of(exported.root).items():
        if name == SHARE:
            service = dict(labels)["service"]
            shares[service] = shares.get(service, 0.0) + value
    assert len(shares) == 4
    assert all(total == pytest.approx(100) for total in shares.values())


def test_the_run_tells_how_it_went(exported: Exported) -> None:
    (seconds,) = exported.prometheus.query("split_verdict_run_duration_seconds")
    assert float(seconds["value"][1]) > 0
    (experiments,) = exported.prometheus.query("split_verdict_run_experiments")
    assert float(experiments["value"][1]) == len(specs(exported.root))
    assert not exported.prometheus.query("split_verdict_run_failed")
    written = (exported.root / "var" / "pipeline.prom").read_text()
    assert "split_verdict_warehouse_size_bytes" in written


def test_shares_are_those_of_the_last_stage(exported: Exported) -> None:
    """Not of the whole ramp, in which the canary had about 27 %."""
    marts = latest_marts(exported.root / "var" / "marts")
    assert marts is not None
    with duckdb.connect(marts, read_only=True) as con:
        con.execute("set timezone = 'UTC'")
        counts = dict(
            con.execute(
                "select variant, sum(requests) from request_counts "
                "where experiment = 'exam-service-canary' "
                "and bucket_start >= timestamptz '2026-11-23 17:30:48+00' "
                "and bucket_start < timestamptz '2026-11-23 17:32:28+00' group by variant"
            ).fetchall()
        )
    series = file_of(exported.root)
    (canary,) = found_in(series, SHARE, service="exam-service", version="v2.1.0")
    (stable,) = found_in(series, SHARE, service="exam-service", version="v2.0.0")
    assert canary == pytest.approx(100 * counts["canary"] / (counts["canary"] + counts["stable"]))
    assert canary + stable == pytest.approx(100)
    assert 48 < canary < 52


@pytest.mark.parametrize("name", ["exam-service-canary", "progress-service-canary", "quiz-format"])
def test_scores_and_rates_are_the_verdicts(exported: Exported, name: str) -> None:
    (path,) = (exported.root / "verdicts" / name).glob("*.json")
    document = json.loads(path.read_text())
    spec = select(Workspace(exported.root), [name]).experiments[0]
    (candidate,) = view_of(spec).candidates
    series = file_of(exported.root)
    assert found_in(series, SCORE, deployment_version=candidate.deployment_version) == [
        document["score"]
    ]
    rates = {
        result["metric"]: (result["baseline"], result["candidate"])
        for result in document["metrics"]
        if result["unit"] == "user"
    }
    arms = [found_in(series, CONVERSION, experiment=name, variant=v) for v in spec.variants]
    expected = rates.get("completion", ())
    assert [value for arm in arms for value in arm] == list(expected)


def test_each_of_several_candidates_has_its_own_score(tmp_path: Path) -> None:
    """The verdict's score is the worst of them."""
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "three.yaml").write_text(
        "experiment: three\nservice: shop\nnamespace: n\n"
        "variants: {old: {}, good: {}, bad: {}}\n"
        "metrics: {bought: {kind: proportion, outcome: bought, window: 1h, margin: 0.05}}\n"
        "plan: {start: 2026-01-01T00:00:00Z, duration: 1d, minimum_duration: 1h}\n"
        "sources:\n  exposures: {files: users.csv}\n  outcomes: {files: bought.csv}\n"
    )
    every = {"old": 5, "good": 4, "bad": 7}
    users = [(f"{variant}-{i}", variant, i) for variant in every for i in range(2000)]
    (tmp_path / "experiments" / "users.csv").write_text(
        "user_id,variant,exposed_at\n"
        + "".join(f"{user},{variant},2026-01-01T01:00:00Z\n" for user, variant, _ in users)
    )
    (tmp_path / "experiments" / "bought.csv").write_text(
        "user_id,outcome,occurred_at\n"
        + "".join(
            f"{user},bought,2026-01-01T01:10:00Z\n"
            for user, variant, i in users
            if i % every[variant] == 0
        )
    )
    assert verdict(tmp_path, "run", "--at", "2026-01-01T12:00:00Z").returncode == 0
    series = file_of(tmp_path)
    (path,) = (tmp_path / "verdicts" / "three").glob("*.json")
    score = json.loads(path.read_text())["score"]
    (good,) = found_in(series, SCORE, deployment_version="good")
    (bad,) = found_in(series, SCORE, deployment_version="bad")
    assert bad == score < 50 < good
    assert found_in(series, CONVERSION, experiment="three", variant="bad") == [286 / 2000]
    assert found_in(series, SHARE, version="good") == [pytest.approx(100 / 3)]


def test_gateway_that_is_down_is_a_warning_not_a_failed_run(tmp_path: Path) -> None:
    root = workspace(tmp_path, "quiz-format")
    port = free_port()
    done = verdict(root, "run", VERDICT_PUSHGATEWAY=f"http://ci:secret@127.0.0.1:{port}")
    assert done.returncode == 0
    warnings = [line for line in done.stderr.splitlines() if "Pushgateway" in line]
    said = f"Pushgateway http://127.0.0.1:{port} can't be reached"
    verdicts, own = warnings
    assert verdicts.startswith(f"warning: {said}")
    assert own.startswith(f"warning: metrics of the run: {said}")
    assert "secret" not in done.stderr
    assert file_of(root)


def test_gateway_that_refuses_is_a_warning_with_its_words(tmp_path: Path) -> None:
    root = workspace(tmp_path, "quiz-format")
    with pushgateway() as gateway:
        done = verdict(root, "run", VERDICT_PUSHGATEWAY=f"{gateway}/elsewhere")
        assert "edtech_" not in requests.get(f"{gateway}/metrics", timeout=PATIENCE_S).text
    assert done.returncode == 0
    assert f"warning: Pushgateway {gateway}/elsewhere refused" in done.stderr
    assert "status 404" in done.stderr


def test_metrics_that_cannot_be_written_are_one_clear_error(tmp_path: Path) -> None:
    root = workspace(tmp_path, "quiz-format")
    (root / "var" / "metrics.prom").mkdir(parents=True)
    done = verdict(root, "run")
    assert done.returncode == 2
    assert "metrics.prom" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in (root / "var").glob(".metrics*")] == []


def test_prefix_is_the_same_in_metrics_and_on_dashboards(judged: Path) -> None:
    root = judged
    assert verdict(root, "publish", VERDICT_METRIC_PREFIX="school").returncode == 0
    assert {name for name, _ in file_of(root)} >= {"school_canary_health_score"}
    for name in ("sv-exam-service-canary", "split-verdict-fleet"):
        dashboard = (root / "var" / "dashboards" / f"{name}.json").read_text()
        assert "school_canary_health_score" in dashboard
        assert "edtech_canary" not in dashboard
    before = {path: path.read_bytes() for path in (root / "var").rglob("*") if path.is_file()}
    refused = verdict(root, "publish", VERDICT_METRIC_PREFIX="1 school")
    assert refused.returncode == 2
    (error,) = refused.stderr.splitlines()
    assert error.startswith("VERDICT_METRIC_PREFIX is '1 school', must be letters, digits and")
    assert {path: path.read_bytes() for path in before} == before


def test_grafana_asks_the_servers_of_the_specs(judged: Path) -> None:
    root = judged
    path = root / "experiments" / "exam-service-canary.yaml"
    sources = root / "var/dashboards/provisioning/datasources/split-verdict.yaml"
    assert verdict(root, "publish").returncode == 0
    assert "url: http://localhost:9090\n" in sources.read_text()
    text = path.read_text()
    source = '{prometheus: "http://mesh:9090", scrape_interval: 4s}'
    path.write_text(f"{text.partition('  requests:')[0]}  requests: {source}\n")
    assert verdict(root, "publish").returncode == 0
    assert "url: http://mesh:9090\n" in sources.read_text()
    assert "timeInterval: 4s\n" in sources.read_text()
    assert "localhost" not in sources.read_text()


@pytest.mark.parametrize(
    ("server", "login"),
    [
        (
            "url: 'http://reader:geheim-123@mesh:9090'",
            {"basicAuth": True, "basicAuthUser": "reader"},
        ),
        ("url: 'http://geheim-123@mesh:9090'", {"basicAuth": True}),
        (
            "url: 'http://mesh:9090', user_env: MESH_USER, password_env: MESH_PASSWORD",
            {
                "basicAuth": True,
                "basicAuthUser": "$__env{MESH_USER}",
                "secureJsonData": {"basicAuthPassword": "$__env{MESH_PASSWORD}"},
            },
        ),
        (
            "url: 'http://mesh:9090', token_env: MESH_TOKEN",
            {"secureJsonData": {"httpHeaderValue1": "Bearer $__env{MESH_TOKEN}"}},
        ),
    ],
)
def test_password_of_a_server_is_written_nowhere(
    judged: Path, server: str, login: dict[str, object]
) -> None:
    root = judged
    path = root / "experiments" / "exam-service-canary.yaml"
    text = path.read_text()
    path.write_text(
        f"{text.partition('  requests:')[0]}  requests: {{{server}, scrape_interval: 4s}}\n"
    )
    assert verdict(root, "publish").returncode == 0
    written = root / "var/dashboards/provisioning/datasources/split-verdict.yaml"
    (source,) = yaml.safe_load(written.read_text())["datasources"]
    assert source["url"] == "http://mesh:9090"
    fields = ("basicAuth", "basicAuthUser", "secureJsonData")
    assert {field: source[field] for field in fields if field in source} == login
    files = [file for folder in ("var", "verdicts") for file in (root / folder).rglob("*")]
    assert len(files) > 5
    assert [file for file in files if file.is_file() and b"geheim-123" in file.read_bytes()] == []
