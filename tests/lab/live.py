"""The whole job on real traffic: `make live`.

Three canaries behind one Envoy, each seen through another mesh's metrics. Two are healthy and
must be promoted, one fails 3 % of its requests and must be rolled back. Every look is the real
`verdict gate` in a process of its own, as a pipeline would call it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.lab.lab import Lab
from tests.lab.load_plan import Profile
from tests.lab.topology import ServiceSpec, VariantSpec

_LIMIT_S = 240
_RATE = 100.0
_DECISIONS = {0: "promote", 1: "rollback", 2: "error", 3: "hold", 4: "invalid"}


@dataclass(frozen=True, slots=True)
class Scenario:
    """A canary, how the mesh names its versions, and what the verdict must be."""

    service: str
    mesh: str
    versions: tuple[str, str]
    error_share: float
    expected: str


SCENARIOS = (
    Scenario("exam-service", "istio", ("v1", "v2"), 0.003, "promote"),
    Scenario(
        "progress-service",
        "linkerd",
        ("progress-service-stable", "progress-service-canary"),
        0.03,
        "rollback",
    ),
    Scenario(
        "payment-service",
        "envoy",
        ("payment-service-stable", "payment-service-canary"),
        0.003,
        "promote",
    ),
)

_SPEC = """\
experiment: {service}
service: {service}
namespace: edtech-production
mesh: {mesh}
variants:
  stable: {{version: {stable}}}
  canary: {{version: {canary}}}
split: {{stable: 75, canary: 25}}
plan: {{duration: 4m, bucket: 2s, look_every: 10s, minimum_duration: 30s}}
sources:
  requests: {{prometheus: "{url}", scrape_interval: 1s}}
"""


def main() -> int:
    """Runs the scenarios; 0 if every canary got the verdict that it deserves."""
    services = [
        ServiceSpec(
            one.service,
            "edtech-production",
            [VariantSpec("stable", "v1", weight=75), VariantSpec("canary", "v2", weight=25)],
        )
        for one in SCENARIOS
    ]
    print("starting Envoy, Prometheus, pods and load", flush=True)
    with tempfile.TemporaryDirectory(prefix="verdict-live-") as folder, Lab(services) as lab:
        for one in SCENARIOS:
            _write_spec(Path(folder), one, lab.prometheus_url)
            lab.set_behaviour(one.service, "stable", error_share=0.003)
            lab.set_behaviour(one.service, "canary", error_share=one.error_share)
        profiles = [Profile(one.service, _RATE) for one in SCENARIOS]
        load = lab.start_load(_LIMIT_S + 60, profiles=profiles)
        decided = _watch(Path(folder))
        load.kill()
    return _report(decided)


def _write_spec(root: Path, one: Scenario, url: str) -> None:
    path = root / "experiments" / f"{one.service}.yaml"
    path.parent.mkdir(exist_ok=True)
    stable, canary = one.versions
    path.write_text(
        _SPEC.format(service=one.service, mesh=one.mesh, stable=stable, canary=canary, url=url)
    )


def _watch(root: Path) -> dict[str, str]:
    """Asks the gate again and again until each canary is decided or time is up."""
    began = time.monotonic()
    decided: dict[str, str] = {}
    time.sleep(30)
    while len(decided) < len(SCENARIOS) and time.monotonic() - began < _LIMIT_S:
        for one in SCENARIOS:
            if one.service not in decided:
                decision = _gate(root, one.service, time.monotonic() - began)
                if decision in ("promote", "rollback"):
                    decided[one.service] = decision
        time.sleep(5)
    return decided


def _gate(root: Path, experiment: str, elapsed_s: float) -> str:
    command = [sys.executable, "-m", "flows.cli", "--root", str(root), "gate", experiment]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    print(f"[{elapsed_s:4.0f} s] {found.stdout or found.stderr}", end="", flush=True)
    return _DECISIONS.get(found.returncode, "error")


def _report(decided: dict[str, str]) -> int:
    wrong = 0
    print()
    for one in SCENARIOS:
        got = decided.get(one.service, "undecided")
        wrong += got != one.expected
        mark = "as it should" if got == one.expected else f"WRONG, expected {one.expected}"
        print(f"{one.service} ({one.mesh}): {got}, {mark}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
