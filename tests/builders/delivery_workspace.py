"""A workspace with one experiment that can be delivered, to a file as Envoy watches it.

Its source is the demo's recording, which has ended long ago: every look is invalid, so that only a
person can let the delivery go on.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from flows.delivery.deliver import deliver
from flows.delivery.step import Step
from flows.delivery.targets.envoy_routes import EnvoyRoutes
from flows.warehouse.connection import open_reader
from flows.workspace.paths import Workspace
from tests.places import REPOSITORY

SPEC = """\
experiment: exam
service: exam-service
namespace: edtech-production
mesh: istio
variants:
  stable: {version: v2.0.0}
  canary: {version: v2.1.0}
plan:
  bucket: 4s
  look_every: 4s
  minimum_duration: 10s
  stages:
    - {duration: 1h, weights: {stable: 95, canary: 5}}
    - {duration: 1h, weights: {stable: 50, canary: 50}}
sources:
  requests: {recording: ../demo/requests.parquet, scrape_interval: 2s}
delivery:
  target: {envoy: ../routes.json}
"""


def delivery_workspace(root: Path) -> Workspace:
    """The workspace; the canary has no traffic yet."""
    (root / "demo").symlink_to(REPOSITORY / "demo")
    (root / "experiments").mkdir()
    (root / "experiments" / "exam.yaml").write_text(SPEC)
    clusters = [{"name": "v2.0.0", "weight": 100}, {"name": "v2.1.0", "weight": 0}]
    route = {"match": {"prefix": "/"}, "route": {"weighted_clusters": {"clusters": clusters}}}
    hosts = [{"name": "exam", "domains": ["*"], "routes": [{"name": "exam", **route}]}]
    resources = [{"name": "routes", "virtual_hosts": hosts}]
    (root / "routes.json").write_text(json.dumps({"version_info": "7", "resources": resources}))
    return Workspace(root)


def live_workspace(root: Path, url: str) -> Workspace:
    """The same, but its source is a server of counters that grow; looks are a second apart."""
    workspace = delivery_workspace(root)
    recording = "{recording: ../demo/requests.parquet, scrape_interval: 2s}"
    text = SPEC.replace(recording, f'{{prometheus: "{url}", scrape_interval: 1s}}')
    text = text.replace("bucket: 4s", "bucket: 1s").replace("look_every: 4s", "look_every: 1s")
    (workspace.experiments / "exam.yaml").write_text(text)
    return workspace


def target(workspace: Workspace) -> EnvoyRoutes:
    """The routes file."""
    clusters = {"stable": "v2.0.0", "canary": "v2.1.0"}
    return EnvoyRoutes(workspace.root / "routes.json", clusters)


def canary_share(workspace: Workspace) -> float:
    """Percent of the traffic that the routes give to the canary."""
    return target(workspace).read().weights["canary"]


def version(workspace: Workspace) -> int:
    """Of the routes file: 7 before the first shift."""
    return int(json.loads((workspace.root / "routes.json").read_text())["version_info"])


def one_step(workspace: Workspace, *, again: bool = False) -> Step:
    """The next step of the delivery, which is left alone then."""
    (step,) = deliver(workspace, "exam", once=True, again=again)
    return step


def events(workspace: Workspace) -> list[tuple[str, int]]:
    """The log's kinds and stages."""
    with open_reader(workspace.warehouse) as con:
        rows = con.execute("select kind, stage from marts.deliveries order by delivery, event")
        return [(kind, stage) for kind, stage in rows.fetchall()]


def command(workspace: Workspace, *arguments: str) -> list[str]:
    """To run as a process."""
    return [sys.executable, "-m", "flows.cli", "--root", str(workspace.root), *arguments]


class Clock:
    """In place of flows.delivery.deliver's clock: who sleeps by it has slept, and lost no time."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        """As time.monotonic."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """As time.sleep."""
        self.now += seconds
