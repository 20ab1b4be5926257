"""A workspace with one experiment that can be delivered, to a file as Envoy watches it.

Its source is the demo's recording, which has ended long ago: every look is invalid, so that only a
person can let the delivery go on.
"""

from __future__ import annotations

import json
from pathlib import Path

from flows.targets.envoy_routes import EnvoyRoutes
from flows.workspace import Workspace

REPOSITORY = Path(__file__).parents[2]
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


def target(workspace: Workspace) -> EnvoyRoutes:
    """The routes file."""
    clusters = {"stable": "v2.0.0", "canary": "v2.1.0"}
    return EnvoyRoutes(workspace.root / "routes.json", clusters)


def canary_share(workspace: Workspace) -> float:
    """Percent of the traffic that the routes give to the canary."""
    return target(workspace).read().weights["canary"]
