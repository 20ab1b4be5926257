"""What can happen to a canary on real traffic, and what must come of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

STAGED = ((30, 5), (30, 25), (30, 50))
# What `make live` plays: a promote and two rollbacks, seen through Istio, Linkerd and Envoy.
SHOWN = ("healthy", "faulty", "broken")


@dataclass(frozen=True, slots=True)
class Change:
    """From so many seconds after the start on, these pods behave so. pods: as Lab names them.

    leaves: the pod leaves the endpoints instead. at_percent: after the canary had so much traffic
    first, instead of after the start. ends_faults: no route injects any from then on.
    """

    after_s: float
    pods: str | None
    behaviour: Mapping[str, float]
    leaves: bool = False
    at_percent: int | None = None
    ends_faults: bool = False


@dataclass(frozen=True, slots=True)
class Scenario:
    """One service with a canary, how the mesh names its versions, and what the verdict must be.

    stages: shortest seconds and percent of the canary; delivered by `verdict deliver`. longest_s:
    of each; the tests are tuned to their sum, so a short one is decided sooner. Without stages, the
    split is fixed at 75/25 and `verdict gate` is asked. applied: percent that the canary really
    gets then. test_rate: requests a second that a header sends to the canary, whatever the split.
    expected: outcome of the delivery or decision of the gate; within_s: of the start.
    says: what a line of the output must contain.
    """

    service: str
    title: str
    expected: str
    says: str
    within_s: float
    mesh: str = "istio"
    rate: float = 60.0
    stages: tuple[tuple[int, int], ...] = ()
    longest_s: int = 600
    applied: int = 25
    test_rate: float = 0.0
    pods: int = 2
    slow_above: str = "1s"
    margin: float = 0.005
    objective: float | None = 0.05
    changes: tuple[Change, ...] = ()
    holds: str = ""
    at_stage: int | None = None
    kill_at_stage: int | None = None
    prometheus_down: tuple[float, float] | None = None
    normal: Mapping[str, float] = field(default_factory=lambda: {"error_share": 0.003})

    @property
    def versions(self) -> tuple[str, str]:
        """What the mesh calls stable and canary."""
        if self.mesh == "istio":
            return "v1", "v2"
        return f"{self.service}-stable", f"{self.service}-canary"


def expected_path(one: Scenario, weights: Sequence[float]) -> list[float]:
    """The weights that canary must have had: none skipped, none twice, and the end applied.

    Where it may be rolled back at any stage, the highest that was seen says at which.
    """
    planned: list[float] = [percent for _, percent in one.stages]
    if one.expected == "promoted":
        steps = [0, *planned, 100]
    else:
        highest = max(weights, default=0)
        seen = planned.index(highest) + 1 if highest in planned else len(planned)
        steps = [0, *planned[: one.at_stage or seen], 0]
    return steps[:1] + [after for before, after in pairwise(steps) if after != before]


FIRST = (
    Scenario(
        "healthy",
        "healthy canary: promoted through all stages",
        "promoted",
        "promoted: stable 0, canary 100",
        600,
        stages=STAGED,
        longest_s=180,
        rate=120,
    ),
    Scenario(
        "faulty",
        "3 % errors: rolled back at 5 %",
        "rolled back",
        "of requests failed",
        420,
        mesh="linkerd",
        stages=((30, 5), (30, 25)),
        longest_s=240,
        rate=250,
        at_stage=1,
        changes=(Change(0, "canary", {"error_share": 0.03}),),
    ),
    Scenario(
        "broken",
        "total failure: rolled back within a minute",
        "rolled back",
        "of requests failed",
        60,
        mesh="envoy",
        stages=STAGED,
        rate=40,
        at_stage=1,
        changes=(Change(0, "canary", {"error_share": 1.0}),),
    ),
    Scenario(
        "tail",
        "slow p99, the tail only: rolled back",
        "rolled back",
        "slower than 1000 ms",
        240,
        stages=((30, 25), (30, 50)),
        changes=(Change(0, "canary", {"slow_share": 0.05, "slow_ms": 1500}),),
    ),
    Scenario(
        "one-bad-pod",
        "one bad pod out of five: named",
        "rolled back",
        "one-bad-pod-canary-3",
        240,
        stages=((60, 50),),
        pods=5,
        rate=80,
        changes=(Change(0, "one-bad-pod-canary-3", {"error_share": 0.6}),),
    ),
)
SECOND = (
    Scenario(
        "spread",
        "spread grows, the median stays: rolled back",
        "rolled back",
        "slower than 50 ms",
        240,
        stages=((30, 25), (30, 50)),
        slow_above="50ms",
        changes=(Change(0, "canary", {"jitter": 1.2}),),
    ),
    Scenario(
        "outage",
        "an outage of both versions: held, then promoted",
        "promoted",
        "promoted: stable 0, canary 100",
        600,
        stages=((30, 25), (60, 50)),
        rate=100,
        # The outage widens the interval (a margin of half a point would take a quarter of an hour)
        # and is part of the canary's own success rate (an objective would take half an hour).
        margin=0.01,
        objective=None,
        holds=": hold; errors: ",
        changes=(
            Change(45, None, {"error_share": 0.4}),
            Change(55, None, {"error_share": 0.003}),
        ),
    ),
    Scenario(
        "blue-green",
        "green fit on its test traffic, not on all: switched, and switched back",
        "rolled back",
        "since it has the traffic alone",
        240,
        stages=((30, 0), (90, 100)),
        test_rate=30,
        margin=0.02,
        changes=(Change(20, "canary", {"error_share": 0.3}, at_percent=100),),
    ),
    Scenario(
        "blue-green-fit",
        "green fit on its test traffic and on all: switched, and stays",
        "promoted",
        "promoted: stable 0, canary 100",
        420,
        stages=((30, 0), (60, 100)),
        test_rate=30,
        margin=0.02,
    ),
    Scenario(
        "idle",
        "canary without traffic: invalid",
        "invalid",
        "no requests of canary up to the look",
        60,
        applied=0,
    ),
    Scenario(
        "unapplied",
        "weights not applied: invalid",
        "invalid",
        "not split as configured",
        90,
        applied=5,
    ),
    Scenario(
        "killed",
        "controller killed before a shift: resumed without a double shift",
        "promoted",
        "promoted: stable 0, canary 100",
        600,
        stages=((25, 25), (25, 50)),
        rate=100,
        margin=0.01,
        kill_at_stage=2,
    ),
)
THIRD = (
    Scenario(
        "unseen",
        "Prometheus down for two minutes: held, then decided",
        "promoted",
        "promoted: stable 0, canary 100",
        900,
        stages=((30, 25), (60, 50)),
        rate=100,
        holds="nothing is shifted: ",
        prometheus_down=(40, 160),
    ),
)
