"""Three strategies that end badly, on a real Envoy at once: what `make live-all` plays, shortened.

By way of tests.lab.live: rate limiting, chaos, and the guide's blue-green with its switch back.
"""

from __future__ import annotations

from dataclasses import replace

from tests.lab import needs_prometheus
from tests.lab.live import play_together
from tests.lab.play import of_case, of_scenario
from tests.lab.scenarios import Change, Scenario
from tests.lab.strategy_cases import CASES
from tests.places import PATIENCE_S

_BLUE_GREEN = Scenario(
    "blue-green",
    "green fails when it has the traffic",
    "rolled back",
    "failed",
    PATIENCE_S,
    stages=((4, 0), (60, 100)),
    rate=40,
    test_rate=20,
    # As in live-all: half a point takes longer than the test's time in nine of ten simulated runs.
    margin=0.02,
    changes=(Change(4, "canary", {"error_share": 0.5}, at_percent=100),),
)


def test_a_limit_a_fault_and_a_switch_that_are_wrong_are_found() -> None:
    needs_prometheus()
    cases = {case.scenario.service: case for case in CASES}
    plays = [of_case(cases[name]) for name in ("limit-open", "chaos-leaks")]
    plays = [replace(p, scenario=replace(p.scenario, within_s=PATIENCE_S)) for p in plays]

    ended = play_together([*plays, of_scenario(_BLUE_GREEN)], warm_up_s=8)

    assert {one.scenario.service: (one.got, one.faults) for one in ended} == {
        "limit-open": ("rollback", ()),
        "chaos-leaks": ("invalid", ()),
        "blue-green": ("rolled back", ()),
    }
