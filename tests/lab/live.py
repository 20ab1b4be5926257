"""The whole job on real traffic: `make live`, and all that can happen to a canary: `make live-all`.

Twelve canaries behind a real Envoy, seen by a real Prometheus through three meshes' metrics, each
with something that can happen to a canary. `verdict deliver` moves their traffic, `verdict gate`
judges those whose split is fixed, each in a process of its own; every outcome is checked.

`make live` plays those that a newcomer wants to see, one of each mesh, in under five minutes: a
healthy one, one with 3 % errors, and one that fails altogether. `python -m tests.lab.live NAME...`
plays those that are named, `--all` the twelve.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.lab.lab import Lab
from tests.lab.load_plan import Profile
from tests.lab.scenario_run import Ended, ScenarioRun
from tests.lab.scenarios import FIRST, SECOND, SHOWN, THIRD, Scenario
from tests.lab.topology import RouteSpec, ServiceSpec, VariantSpec

# A source must have something to say before a delivery begins.
_WARM_UP_S = 20.0
_POLL_S = 0.5
_TEST = {"deployment-test": "green"}
_WAVES = (FIRST, SECOND, THIRD)
_ALL = tuple(one.service for wave in _WAVES for one in wave)


def main(arguments: Sequence[str]) -> int:
    """Runs the scenarios; 0 if every one ended as it must."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(_ALL))
    parser.add_argument("--all", action="store_true", help="all of them")
    options = parser.parse_args(arguments)
    names = _ALL if options.all else tuple(options.names) or SHOWN
    if unknown := set(names) - set(_ALL):
        parser.error(f"there is no {', '.join(sorted(unknown))}, but {', '.join(_ALL)}")
    began, ended = time.monotonic(), list[Ended]()
    for wave in _WAVES:
        wanted = [one for one in wave if one.service in names]
        if wanted:
            ended += _run(wanted)
    return _report(ended, time.monotonic() - began)


def _run(scenarios: Sequence[Scenario]) -> list[Ended]:
    """The scenarios side by side, in a lab of their own."""
    print(f"starting Envoy, Prometheus, pods and load for {len(scenarios)} services", flush=True)
    services = [_service(one) for one in scenarios]
    with tempfile.TemporaryDirectory(prefix="verdict-live-") as folder, Lab(services) as lab:
        root = Path(folder)
        (root / "experiments").mkdir()
        runs = [ScenarioRun(one, lab, root) for one in scenarios]
        longest = max(one.within_s for one in scenarios)
        profiles = [Profile(one.service, one.rate) for one in scenarios]
        profiles += [
            Profile(one.service, one.test_rate, headers=_TEST) for one in scenarios if one.test_rate
        ]
        load = lab.start_load(longest + _WARM_UP_S + 60, profiles=profiles)
        time.sleep(_WARM_UP_S)
        for run in runs:
            run.start()
        ended = _watch(runs, lab)
        load.kill()
    return ended


def _service(one: Scenario) -> ServiceSpec:
    canary = 0 if one.stages else one.applied
    return ServiceSpec(
        one.service,
        "edtech-production",
        [
            VariantSpec("stable", "v1", pods=one.pods, weight=100 - canary),
            VariantSpec("canary", "v2", pods=one.pods, weight=canary),
        ],
        routes=[RouteSpec("test", {"canary": 100}, headers=_TEST)] if one.test_rate else [],
    )


def _watch(runs: Sequence[ScenarioRun], lab: Lab) -> list[Ended]:
    began = time.monotonic()
    down = [one.scenario.prometheus_down for one in runs if one.scenario.prometheus_down]
    outages = [(at, do) for off, on in down for at, do in ((off, "stop"), (on, "start"))]
    going, ended = list(runs), list[Ended]()
    try:
        while going:
            time.sleep(_POLL_S)
            while outages and time.monotonic() - began >= outages[0][0]:
                _, do = outages.pop(0)
                print(f"[{time.monotonic() - began:4.0f} s] Prometheus: {do}", flush=True)
                (lab.prometheus.stop if do == "stop" else lab.prometheus.start)()
            for run in tuple(going):
                end = run.poll()
                if end is not None:
                    going.remove(run)
                    ended.append(end)
    finally:
        for run in going:
            run.stop()
    return ended


def _report(ended: Sequence[Ended], seconds: float) -> int:
    print()
    for one in ended:
        verdict = "as it should" if not one.faults else f"WRONG: {'; '.join(one.faults)}"
        print(f"{one.scenario.title}: {one.got} after {one.after_s:.0f} s, {verdict}")
    print(f"{len(ended)} canaries in {seconds / 60:.1f} min")
    return 1 if any(one.faults for one in ended) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
