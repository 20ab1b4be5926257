"""The whole job on real traffic: `make live`, and all that can happen to a canary: `make live-all`.

Thirteen canaries behind a real Envoy, seen by a real Prometheus through three meshes' metrics, each
with something that can happen to a canary; and each traffic strategy, once as it should be and once
as it should not. `verdict deliver` moves traffic, `verdict gate` judges those whose split is fixed,
each in a process of its own; every outcome is checked.

`make live` plays those that a newcomer wants to see, one of each mesh, in under five minutes: a
healthy one, one with 3 % errors, and one that fails altogether. `make live KIND=NAME` plays the
scenario or strategy of that name, `make live-all` everything.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.lab.lab import Lab
from tests.lab.play import Play, of_case, of_scenario
from tests.lab.scenario_run import Ended, ScenarioRun
from tests.lab.scenarios import FIRST, SECOND, SHOWN, THIRD
from tests.lab.strategy_cases import CASES

# A source must have something to say before a delivery begins.
_WARM_UP_S = 20.0
_POLL_S = 0.5
# Cases of strategies side by side.
_AT_ONCE = 4
_WAVES = (
    *([of_scenario(one) for one in wave] for wave in (FIRST, SECOND, THIRD)),
    *(
        [of_case(one) for one in CASES[first : first + _AT_ONCE]]
        for first in range(0, len(CASES), _AT_ONCE)
    ),
)
_KINDS = tuple(dict.fromkeys(one.kind for wave in _WAVES for one in wave))


def main(arguments: Sequence[str]) -> int:
    """Runs what is named; 0 if all of it ended as it must."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(_KINDS))
    parser.add_argument("--all", action="store_true", help="all of them")
    options = parser.parse_args(arguments)
    names = _KINDS if options.all else tuple(options.names) or SHOWN
    known = {one.scenario.service for wave in _WAVES for one in wave}
    if unknown := set(names) - {*_KINDS, *known}:
        parser.error(f"there is no {', '.join(sorted(unknown))}, but {', '.join(_KINDS)}")
    began, ended = time.monotonic(), list[Ended]()
    for wave in _WAVES:
        wanted = [one for one in wave if {one.kind, one.scenario.service} & set(names)]
        if wanted:
            ended += play_together(wanted)
    return _report(ended, time.monotonic() - began)


def play_together(plays: Sequence[Play], *, warm_up_s: float = _WARM_UP_S) -> list[Ended]:
    """These side by side, in a lab of their own."""
    print(f"starting Envoy, Prometheus, pods and load for {len(plays)} services", flush=True)
    services = [one.service for one in plays]
    with tempfile.TemporaryDirectory(prefix="verdict-live-") as folder, Lab(services) as lab:
        root = Path(folder)
        (root / "experiments").mkdir()
        specs = [one.spec and one.spec(lab.prometheus_url) for one in plays]
        runs = [
            ScenarioRun(p.scenario, lab, root, spec) for p, spec in zip(plays, specs, strict=True)
        ]
        longest = max(one.scenario.within_s for one in plays)
        profiles = [profile for one in plays for profile in one.profiles]
        load = lab.start_load(longest + warm_up_s + 60, profiles=profiles)
        time.sleep(warm_up_s)
        for run in runs:
            run.start()
        ended = _watch(runs, lab)
        load.kill()
    return ended


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
    width = max((len(one.scenario.title) for one in ended), default=0)
    print(f"\n{'case':{width}}  {'expected':11}  {'obtained':11}  seconds")
    for one in ended:
        wrong = f"  WRONG: {'; '.join(one.faults)}" if one.faults else ""
        expected, got = one.scenario.expected, one.got
        print(f"{one.scenario.title:{width}}  {expected:11}  {got:11}  {one.after_s:7.0f}{wrong}")
    print(f"{len(ended)} cases in {seconds / 60:.1f} min")
    return 1 if any(one.faults for one in ended) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
