"""Conversions that a service counts with prometheus_client, scraped by a real Prometheus.

The service dies and starts again in the middle, and then counts more than before: only its start
time tells that nothing of it was counted yet.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from flows.formats.time import instant
from flows.ingest.sources.prometheus import PrometheusSamples
from flows.ingest.users.conversion_counters import pull_conversions
from flows.ingest.users.pull_report import ConversionPull
from flows.spec.experiment import Experiment
from flows.workspace.experiments import load_spec
from tests.builders.user_specs import arms_of, read, rows_of
from tests.lab.processes import PortPool, wait_until
from tests.lab.prometheus_server import Job, PrometheusServer, Target
from tests.servers.real_servers import program

PORTS = PortPool()
BUCKETS = "select bucket_start, variant, outcome, users from conversion_buckets order by all"
Counts = Mapping[tuple[str, str], int]

# Increments come as lines "variant outcome number".
_SERVICE = """\
import sys
from prometheus_client import Counter, start_http_server
users = Counter("quiz_users", "Users by outcome", ["experiment", "variant", "outcome"])
start_http_server(int(sys.argv[1]), addr="127.0.0.1")
for line in sys.stdin:
    variant, outcome, number = line.split()
    users.labels("quiz", variant, outcome).inc(int(number))
"""

OLD: Counts = {("a", "exposed"): 700, ("a", "finished"): 300}
FIRST: Counts = {
    ("a", "exposed"): 400,
    ("a", "finished"): 41,
    ("b", "exposed"): 390,
    ("b", "finished"): 158,
}
AFTER_RESTART: Counts = {
    ("a", "exposed"): 1600,
    ("a", "finished"): 351,
    ("b", "exposed"): 1610,
    ("b", "finished"): 652,
}
LAST: Counts = {("a", "exposed"): 3, ("b", "finished"): 1, ("b", "exposed"): 5}
TRUTH = Counter(FIRST) + Counter(AFTER_RESTART) + Counter(LAST)


@contextmanager
def service(port: int) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", _SERVICE, str(port)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def increment(process: subprocess.Popen[str], counts: Counts) -> None:
    assert process.stdin is not None
    for (variant, outcome), number in counts.items():
        process.stdin.write(f"{variant} {outcome} {number}\n")
    process.stdin.flush()


def wait_for(prometheus: PrometheusServer, counts: Counts) -> None:
    """Until a scrape has seen exactly these values: only then may the service die."""

    def is_seen() -> bool:
        found = {
            (row["metric"]["variant"], row["metric"]["outcome"]): int(row["value"][1])
            for row in prometheus.query("quiz_users_total")
        }
        return found == dict(counts)

    wait_until(is_seen, what=f"a scrape of {dict(counts)}")


@dataclass(frozen=True, slots=True)
class Scene:
    """What happened: the experiment's folder, the server, and when the last count was scraped."""

    root: Path
    spec: Experiment
    prometheus: PrometheusServer
    known_ms: int

    def pull(self) -> ConversionPull:
        source = self.spec.sources.conversions
        assert source is not None
        return pull_conversions(
            self.spec,
            PrometheusSamples(source.prometheus),
            self.root / "w.duckdb",
            until_ms=self.known_ms,
        )


def write_spec(root: Path, url: str, start: datetime) -> Experiment:
    folder = root / "experiments"
    folder.mkdir()
    (folder / "quiz.yaml").write_text(
        "experiment: quiz\nservice: quiz\nvariants: {a: {}, b: {}}\nsplit: {a: 50, b: 50}\n"
        "metrics: {done: {kind: proportion, outcome: finished, role: guardrail}}\n"
        f"plan: {{start: {start.isoformat()}, duration: 1m, bucket: 1s, minimum_duration: 3s}}\n"
        "quality: {user_split_tolerance: 0.25}\n"
        "sources:\n  conversions:\n    metric: quiz_users_total\n"
        f'    prometheus: {{url: "{url}", scrape_interval: 1s}}\n'
    )
    return load_spec(folder / "quiz.yaml")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    program("prometheus", "prometheus")
    root = tmp_path_factory.mktemp("live")
    port = PORTS.take()
    (root / "prometheus").mkdir()
    jobs = [Job("quiz")]
    prometheus = PrometheusServer(
        root / "prometheus", port=PORTS.take(), scrape_interval_s=1, jobs=jobs
    )
    prometheus.add_targets(Target("quiz", port, {}))
    prometheus.start()
    try:
        with service(port) as first:
            increment(first, OLD)
            wait_for(prometheus, OLD)
            # Whole seconds, for the buckets; by then the old counts have been scraped again.
            start = instant((time.time_ns() // 1_000_000_000 + 2) * 1000)
            time.sleep(2.2)
            increment(first, FIRST)
            wait_for(prometheus, Counter(OLD) + Counter(FIRST))
        with service(port) as second:
            increment(second, AFTER_RESTART)
            wait_for(prometheus, AFTER_RESTART)
            increment(second, LAST)
            wait_for(prometheus, Counter(AFTER_RESTART) + Counter(LAST))
            known_ms = (time.time_ns() // 1_000_000_000 + 1) * 1000
            yield Scene(root, write_spec(root, prometheus.url, start), prometheus, known_ms)
    finally:
        prometheus.stop()


def test_pulled_counts_equal_what_was_incremented(scene: Scene) -> None:
    """Neither the past before the start nor the restart counts, and nothing is lost."""
    assert scene.pull().users == dict(TRUTH)
    found = read(scene.spec, scene.root, instant(scene.known_ms))
    assert found.exposed == {"a": TRUTH["a", "exposed"], "b": TRUTH["b", "exposed"]}
    shares = {variant: each.mean for variant, each in arms_of(found.samples["done"]).items()}
    assert shares == {v: TRUTH[v, "finished"] / TRUTH[v, "exposed"] for v in "ab"}


def test_restart_is_the_only_proof_of_the_new_counts(scene: Scene) -> None:
    """As the server itself sees it: increase() takes a grown counter for the same one."""
    row = 'quiz_users_total{variant="a",outcome="exposed"}'
    ((_, _, values),) = scene.prometheus.raw_samples(row, end_s=scene.known_ms / 1000, seconds=300)
    assert values == sorted(values)
    starts = scene.prometheus.raw_samples(
        "process_start_time_seconds", end_s=scene.known_ms / 1000, seconds=300
    )
    assert len({start for _, _, of_series in starts for start in of_series}) == 2


def test_pulling_again_changes_nothing(scene: Scene) -> None:
    scene.pull()
    before = rows_of(scene.root, BUCKETS)
    assert sum(users for *_, users in before) == sum(TRUTH.values())
    scene.pull()
    assert rows_of(scene.root, BUCKETS) == before


def test_gate_judges_the_counted_users(scene: Scene) -> None:
    """`verdict gate` as a process: a server's last two scrapes and a time-out are left to come."""
    time.sleep(max(0.0, scene.known_ms / 1000 + 13 - time.time()))
    command = [sys.executable, "-m", "flows.cli", "--root", str(scene.root)]
    done = subprocess.run(
        [*command, "gate", "quiz", "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    (result,) = document["metrics"]
    assert document["decision"] == "promote"
    assert result["exposure_baseline"] == TRUTH["a", "exposed"]
    assert result["exposure_candidate"] == TRUTH["b", "exposed"]
    assert result["candidate"] == pytest.approx(TRUTH["b", "finished"] / TRUTH["b", "exposed"])
    assert datetime.fromisoformat(document["look_at"]) <= datetime.now(UTC)
