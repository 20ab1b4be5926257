"""One scenario at work: its spec, its controller or gate, what happens meanwhile, its end."""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from flows.warehouse.connection import open_reader
from flows.warehouse.delivery_log import read_delivery
from flows.workspace.paths import Workspace
from tests.lab.lab import Lab
from tests.lab.processes import Child
from tests.lab.scenarios import Change, Scenario, expected_path

_GATE_EVERY_S = 5.0
_DECISIONS = {0: "promote", 1: "rollback", 2: "error", 3: "hold", 4: "invalid"}
_OUTCOMES = ("promoted", "rolled back", "aborted")

_SPEC = """\
experiment: {service}
service: {service}
namespace: edtech-production
mesh: {mesh}
variants:
  stable: {{version: {stable}}}
  canary: {{version: {canary}}}
metrics:
  errors: {{kind: error_share, critical: true, margin: {margin}{objective}}}
  slow: {{kind: slow_share, above: {slow_above}, quantile: 0.99{slow_objective}}}
{split}{quality}
sources:
  requests: {{prometheus: "{url}", scrape_interval: 1s}}
"""
_FIXED = """\
split: {stable: 75, canary: 25}
plan: {duration: 10m, bucket: 2s, look_every: 5s, minimum_duration: 30s}"""
_STAGED = """\
plan:
  bucket: 2s
  look_every: 5s
  minimum_duration: 30s
  stages:
{stages}
delivery:
  target:
    envoy: "{routes}"
    admin: "{admin}"
    names: {{stable: {service}-stable, canary: {service}-canary}}"""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a scenario ended, after how long, and what is wrong with that."""

    scenario: Scenario
    got: str
    after_s: float
    faults: tuple[str, ...]


class ScenarioRun:
    """Polled until it has ended; the processes that it starts die with it."""

    def __init__(self, scenario: Scenario, lab: Lab, root: Path, spec: str | None = None) -> None:
        """Writes the spec, the scenario's own if none is given, and sets how the pods behave."""
        self.scenario, self._lab, self._root = scenario, lab, root
        self._began = self._next_gate = 0.0
        self._controller: Child | None = None
        self._log = root / f"{scenario.service}.log"
        self._read = 0
        self._lines: list[str] = []
        self._to_come = sorted(scenario.changes, key=lambda one: one.after_s)
        self._late_s = 0.0
        self._first_at: dict[int, float] = {}
        self._splits: list[tuple[float, int]] = []
        self._held = ExitStack()
        self._is_holding = self._killed = False
        path = root / "experiments" / f"{scenario.service}.yaml"
        path.write_text(_spec(scenario, lab) if spec is None else spec)
        lab.set_behaviour(scenario.service, None, **scenario.normal)
        for change in scenario.changes:
            if change.after_s == 0 and change.at_percent is None:
                self._apply(change)

    def start(self) -> None:
        """Starts the controller."""
        self._began = time.monotonic()
        if self.scenario.stages:
            self._note_split()
            self._deliver()

    def poll(self) -> Ended | None:
        """Does what is due; the end, once it has come, or its time is over."""
        # One that comes late makes those after it late: a burst lasts as long as it is to.
        while self._to_come and self._is_due(self._to_come[0]):
            self._late_s = self._elapsed_s - self._to_come[0].after_s
            self._apply(self._to_come[0])
        got = self._poll_controller() if self.scenario.stages else self._poll_gate()
        late = self._elapsed_s > self.scenario.within_s
        if got is None and not late:
            return None
        self.stop()
        if self.scenario.stages:
            self._note_split()
        return Ended(self.scenario, got or "undecided", self._elapsed_s, tuple(self._faults(got)))

    def stop(self) -> None:
        """Ends the controller, if it runs."""
        self._held.close()
        if self._controller is not None:
            self._controller.kill()

    @property
    def _elapsed_s(self) -> float:
        return time.monotonic() - self._began

    def _is_due(self, change: Change) -> bool:
        since_s: float | None = self._late_s
        if change.at_percent is not None:
            since_s = self._first_at.get(change.at_percent)
        return since_s is not None and since_s + change.after_s <= self._elapsed_s

    def _apply(self, change: Change) -> None:
        if change in self._to_come:
            self._to_come.remove(change)
        if change.ends_faults:
            self._lab.end_faults(self.scenario.service)
            return
        if change.leaves:
            self._lab.take_out(self.scenario.service, str(change.pods))
            return
        self._lab.set_behaviour(self.scenario.service, change.pods, **change.behaviour)

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "flows.cli", "--root", str(self._root), *arguments]

    def _deliver(self) -> None:
        self._controller = Child(self._command("deliver", self.scenario.service), log=self._log)

    def _poll_gate(self) -> str | None:
        """Asks the gate as a pipeline does; only the expected answer ends it."""
        if self._elapsed_s < self._next_gate:
            return None
        self._next_gate = self._elapsed_s + _GATE_EVERY_S
        found = subprocess.run(
            self._command("gate", self.scenario.service),
            capture_output=True,
            text=True,
            check=False,
        )
        self._say(found.stdout or found.stderr)
        decision = _DECISIONS.get(found.returncode, "error")
        said = self.scenario.says in found.stdout
        return decision if decision == self.scenario.expected and said else None

    def _poll_controller(self) -> str | None:
        self._note_split()
        text = self._log.read_text() if self._log.exists() else ""
        self._say(text[self._read :])
        self._read = len(text)
        if self.scenario.kill_at_stage is not None and not self._killed:
            self._kill_before(self.scenario.kill_at_stage)
        if self._controller is None or self._controller.is_running:
            return None
        outcomes = [one for one in _OUTCOMES if " ended, " in text and f": {one}: " in text]
        return outcomes[0] if outcomes else "stopped"

    def _kill_before(self, stage: int) -> None:
        """Kills the controller when it has decided on a stage and can't apply it yet."""
        workspace = Workspace(self._root)
        if not workspace.warehouse.exists():
            return
        with open_reader(workspace.warehouse) as con:
            state = read_delivery(con, self.scenario.service)
        if state is None or state.stage != stage - 1:
            return
        applied = state.shifts[-1].applied_ms or 0
        if time.time() - applied / 1000 < self.scenario.stages[stage - 2][0] - 3:
            return
        if state.pending is None:
            if not self._is_holding:
                self._hold_routes()
            return
        if self._controller is not None:
            self._controller.kill()
        self._say("(killed between decision and shift; started again)\n")
        self._killed = True
        self._held.close()
        self._deliver()

    def _hold_routes(self) -> None:
        """Nobody can write the routes until the hold is closed."""
        self._is_holding = True
        routes = self._lab.gateway.envoy.files.routes
        lock = self._held.enter_context(routes.with_name(f".{routes.name}.lock").open("w"))
        fcntl.flock(lock, fcntl.LOCK_EX)

    def _note_split(self) -> None:
        """Canary's weight and the lease under which it was set, each time that they change."""
        data = json.loads(self._lab.gateway.envoy.files.routes.read_text())
        for host in data["resources"][0]["virtual_hosts"]:
            if host["name"] != self.scenario.service:
                continue
            route = host["routes"][-1]
            ours = route.get("metadata", {}).get("filter_metadata", {}).get("split-verdict", {})
            clusters = route["route"]["weighted_clusters"]["clusters"]
            weights = {entry["name"]: entry["weight"] for entry in clusters}
            split = (weights[f"{self.scenario.service}-canary"], int(ours.get("fence", 0)))
            if not self._splits or self._splits[-1] != split:
                self._splits.append(split)
                self._first_at.setdefault(split[0], self._elapsed_s)

    def _say(self, text: str) -> None:
        for line in text.splitlines():
            self._lines.append(line)
            print(f"[{self._elapsed_s:4.0f} s] {self.scenario.service}: {line}", flush=True)

    def _faults(self, got: str | None) -> Iterator[str]:
        one = self.scenario
        if got != one.expected:
            yield f"expected {one.expected}"
        if self._elapsed_s > one.within_s:
            yield f"later than {one.within_s:g} s"
        for phrase in filter(None, (one.says, one.holds)):
            if not any(phrase in line for line in self._lines):
                yield f"nothing says {phrase!r}"
        if not one.stages:
            return
        weights = [weight for weight, _ in self._splits]
        if any(one == other for one, other in pairwise(weights)):
            yield f"shifted twice: {self._splits}"
        path = expected_path(one, weights)
        if weights != path:
            yield f"canary's weights were {weights}, not {path}"
        if one.kill_at_stage is not None and not self._killed:
            yield "was never killed"


def _spec(one: Scenario, lab: Lab) -> str:
    stable, canary = one.versions
    envoy = lab.gateway.envoy
    stages = "\n".join(
        f"    - {{duration: {seconds}s, at_most: {one.longest_s}s, "
        f"weights: {{stable: {100 - percent}, canary: {percent}}}}}"
        for seconds, percent in one.stages
    )
    staged = _STAGED.format(
        stages=stages, routes=envoy.files.routes, admin=envoy.admin_url, service=one.service
    )
    return _SPEC.format(
        service=one.service,
        mesh=one.mesh,
        stable=stable,
        canary=canary,
        slow_above=one.slow_above,
        margin=one.margin,
        objective="" if one.objective is None else f", objective: {one.objective}",
        split=staged if one.stages else _FIXED,
        url=lab.prometheus_url,
        slow_objective=", objective: 0.05" if one.test_rate else "",
        quality="\nquality: {test_traffic: 50%}" if one.test_rate else "",
    )
