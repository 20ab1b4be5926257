"""Each traffic strategy on real traffic, once as it should be and once as it should not.

Both are judged by the spec in a folder of experiments, and must end in different verdicts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tests.lab.load_plan import Profile
from tests.lab.routed_services import BY_TIER, by_cluster, clustered, routed, tiered, tiers
from tests.lab.scenarios import Change, Scenario
from tests.lab.strategy_services import (
    BUCKET,
    BY_VERSION,
    FLAKY,
    HEDGED,
    INTERACTION,
    NONE,
    POLICIES,
    TAIL,
    TWICE,
    balanced,
    breaking,
    burst,
    by_linkerd_route,
    countries,
    ejecting,
    faulty,
    flagged,
    get_and_post,
    groups,
    hashed,
    interacting,
    limited,
    policies,
    shared,
    trying,
    with_chaos,
)
from tests.lab.topology import RetrySpec, ServiceSpec

# Times and margins of the lab, where the specs have those of a service's real traffic.
FITTED: Mapping[str, Any] = {
    "plan": {
        "duration": "200s",
        "bucket": "2s",
        "look_every": "4s",
        "minimum_duration": "24s",
        "warm_up": "4s",
    },
    "metrics": {"errors": {"margin": 0.03}},
}


@dataclass(frozen=True, slots=True)
class Case:
    """A strategy and what it is tried on.

    scenario: whose service is the topology's. spec: fields that replace those of the strategy's
    spec in experiments/strategies, section by section.
    """

    strategy: str
    scenario: Scenario
    topology: ServiceSpec
    profiles: tuple[Profile, ...]
    spec: Mapping[str, Any]


def _case(
    strategy: str,
    ends_in: str,
    says: str,
    topology: ServiceSpec,
    *profiles: Profile,
    changes: tuple[Change, ...] = (),
    within_s: float = 240,
    spec: Mapping[str, Any] | None = None,
    note: str = "",
) -> Case:
    title = f"{strategy}: {ends_in}"
    scenario = Scenario(topology.name, title, ends_in, says, within_s, changes=changes, holds=note)
    return Case(strategy, scenario, topology, profiles, spec or {})


CASES = (
    _case(
        "rate-limiting",
        "promote",
        "refused",
        limited("limit-kept", 30),
        Profile("limit-kept", 80),
        spec={"strategy": {**BUCKET, "at_most": 0.7}, "metrics": {"refused": {"margin": 0.12}}},
    ),
    _case(
        "rate-limiting",
        "hold",
        "no request reached the limit",
        limited("limit-wide", 200),
        Profile("limit-wide", 60),
        spec={"strategy": {**BUCKET, "tokens": 200}},
    ),
    _case(
        "rate-limiting",
        "rollback",
        "the limit is unfair",
        limited("limit-unfair", 5, free="standard"),
        Profile("limit-unfair", 80),
        spec={"strategy": {**BUCKET, "tokens": 34, "at_most": 0.9}},
    ),
    _case(
        "rate-limiting",
        "rollback",
        "the limit refuses too much",
        limited("limit-narrow", 10),
        Profile("limit-narrow", 80),
        spec={"strategy": {**BUCKET, "at_most": 0.9}},
    ),
    _case(
        "rate-limiting",
        "rollback",
        "the limit refuses nearly everybody",
        limited("limit-all", 1),
        Profile("limit-all", 80),
        spec={"strategy": {**BUCKET, "at_most": 0.999}},
    ),
    _case(
        "rate-limiting",
        "rollback",
        "the limit is not kept",
        limited("limit-open", 30, enforced=0),
        Profile("limit-open", 100),
        spec={"strategy": BUCKET},
    ),
    _case(
        "chaos",
        "promote",
        "errors",
        faulty("chaos-borne", 0.1, 0.05),
        *with_chaos("chaos-borne", 60),
        spec={"strategy": {"tolerance": 0.8}},
    ),
    _case(
        "chaos",
        "rollback",
        "errors: ",
        faulty("chaos-suffered", 0.1, 0.05),
        *with_chaos("chaos-suffered", 60),
        changes=(Change(0, "chaos", {"error_share": 0.15}),),
    ),
    _case(
        "chaos",
        "invalid",
        "faults are off",
        faulty("chaos-misset", 0.1, 0.2),
        *with_chaos("chaos-misset", 60),
        spec={"quality": {"injected_faults": 0.5}},
    ),
    _case(
        "chaos",
        "invalid",
        "which should have none, had a fault",
        faulty("chaos-leaks", 0.1, 0.05, everywhere=True),
        *with_chaos("chaos-leaks", 60),
    ),
    _case(
        "chaos",
        "promote",
        "errors",
        faulty("chaos-ends", 0.1, 0.05),
        *with_chaos("chaos-ends", 50),
        changes=(Change(40, None, {}, ends_faults=True),),
        spec={
            "strategy": {"tolerance": 0.8, "recovery": "10s"},
            "plan": {"minimum_duration": "80s"},
        },
    ),
    _case(
        "chaos",
        "rollback",
        "no recovery",
        faulty("chaos-lingers", 0.1, 0.05),
        *with_chaos("chaos-lingers", 50),
        changes=(
            Change(40, None, {}, ends_faults=True),
            Change(42, "chaos", {"error_share": 0.15}),
        ),
        spec={
            "strategy": {"tolerance": 0.8, "recovery": "10s"},
            "plan": {"minimum_duration": "80s"},
        },
    ),
    _case(
        "circuit-breaking",
        "promote",
        "refused",
        breaking("breaker-fits", 10),
        Profile("breaker-fits", 80),
        changes=burst(30, 36),
    ),
    _case(
        "circuit-breaking",
        "rollback",
        "refused: ",
        breaking("breaker-narrow", 1),
        Profile("breaker-narrow", 120),
        changes=burst(30, 36),
    ),
    _case(
        "circuit-breaking",
        "hold",
        "never opened: send a burst",
        breaking("breaker-idle", 1024),
        Profile("breaker-idle", 60),
    ),
    _case(
        "timeouts-and-retries",
        "rollback",
        "more attempts than requests on GET",
        trying("retry-budget", TWICE, TWICE, stable=NONE, canary=NONE),
        *get_and_post("retry-budget", 60),
        changes=(Change(0, None, {"error_share": 0.4}),),
    ),
    _case(
        "timeouts-and-retries",
        "promote",
        "errors",
        trying("retry-kept", TWICE, TWICE, stable=NONE, canary=NONE),
        *get_and_post("retry-kept", 80),
        changes=(Change(0, None, {"error_share": 0.02}),),
    ),
    _case(
        "timeouts-and-retries",
        "rollback",
        "canary retried POST",
        trying("retry-post", TWICE, TWICE),
        *get_and_post("retry-post", 80),
        changes=FLAKY,
    ),
    _case(
        "timeouts-and-retries",
        "rollback",
        "canary retried retry-linkerd-post-canary",
        replace(trying("retry-linkerd", NONE, NONE, stable=NONE, canary=TWICE), own_services=True),
        *get_and_post("retry-linkerd", 60),
        changes=FLAKY,
        spec=by_linkerd_route("retry-linkerd"),
    ),
    _case(
        "timeouts-and-retries",
        "rollback",
        "timeouts: ",
        trying("retry-timeout", NONE, RetrySpec(timeout_s=0.3)),
        Profile("retry-timeout", 80),
        changes=TAIL,
    ),
    _case(
        "hedging",
        "promote",
        "tail",
        trying("hedge-gains", NONE, HEDGED, stable=NONE, canary=NONE),
        *get_and_post("hedge-gains", 80),
        changes=TAIL,
    ),
    _case(
        "hedging",
        "rollback",
        "canary hedged POST",
        trying("hedge-post", NONE, HEDGED),
        *get_and_post("hedge-post", 80),
        changes=TAIL,
    ),
    _case(
        "load-balancing",
        "promote",
        "errors",
        balanced("balance-least", "LEAST_REQUEST"),
        Profile("balance-least", 80),
    ),
    _case(
        "load-balancing",
        "rollback",
        "an endpoint has too much",
        balanced("balance-hashed", "MAGLEV"),
        Profile("balance-hashed", 80, users=2),
    ),
    _case(
        "load-balancing",
        "promote",
        "errors",
        hashed("balance-sticky", "RING_HASH"),
        Profile("balance-sticky", 80, users=40),
        changes=(Change(30, "balance-sticky-canary-0", {}, leaves=True),),
        spec={"strategy": {"key": "user_id", "largest": 3, "variation": 1}},
    ),
    _case(
        "load-balancing",
        "rollback",
        "hashing is not sticky",
        hashed("balance-loose", "RANDOM"),
        Profile("balance-loose", 80, users=40),
        spec={"strategy": {"key": "user_id"}},
    ),
    _case(
        "load-balancing",
        "promote",
        "errors",
        policies("balance-five"),
        Profile("balance-five", 100, users=200),
        spec={
            "variants": {
                "canary": None,
                **{
                    one: {"labels": {"upstream_cluster": f"balance-five-{one}"}} for one in POLICIES
                },
            },
            "split": {"canary": None, **dict.fromkeys(["stable", *POLICIES], 20)},
            "metrics": {"errors": {"margin": 0.05}, "tail": {"margin": 0.05}},
        },
    ),
    _case(
        "load-balancing",
        "promote",
        "errors",
        tiered("tier-many"),
        *tiers("tier-many", 400),
        spec={**BY_TIER, "metrics": {"tail": {"margin": 0.05}}},
    ),
    _case(
        "load-balancing",
        "rollback",
        "of 4 endpoints of premium",
        tiered("tier-few"),
        *tiers("tier-few", 2),
        spec=BY_TIER,
    ),
    _case(
        "pools-and-outliers",
        "rollback",
        "found the pool full (UO)",
        ejecting("pool-narrow", 1),
        Profile("pool-narrow", 120),
    ),
    _case(
        "pools-and-outliers",
        "promote",
        "errors",
        ejecting("outliers-none", istio=True),
        Profile("outliers-none", 80),
        spec={"strategy": {"clusters": None}},
    ),
    _case(
        "pools-and-outliers",
        "rollback",
        "found no healthy endpoint (UH)",
        ejecting("outliers-all", istio=True),
        Profile("outliers-all", 80),
        spec={"strategy": {"clusters": None}},
        changes=(Change(0, "canary", {"error_share": 0.7}),),
    ),
    _case(
        "feature-flags",
        "promote",
        "errors",
        flagged("flag-digits"),
        *countries("flag-digits"),
        spec={"strategy": {"off_by": 0.2}},
    ),
    _case(
        "feature-flags",
        "invalid",
        "the assignment is off",
        flagged("flag-uuids"),
        *countries("flag-uuids", uuids=True),
    ),
    _case(
        "several-experiments",
        "promote",
        "errors",
        shared("shared-alike", 50),
        *groups("shared-alike", 50),
        spec={"strategy": {"interaction": 0.05, "user": "user_id"}},
        note="the weights are not sticky per user",
    ),
    _case(
        "several-experiments",
        "hold",
        "the experiments interact: failures of canary",
        interacting("shared-interacts"),
        *groups("shared-interacts", 60),
        changes=INTERACTION,
        spec=BY_VERSION,
    ),
    _case(
        "several-experiments",
        "invalid",
        "the experiments depend on each other",
        shared("shared-skewed", 80),
        *groups("shared-skewed", 50),
        spec={"split": {"stable": 35, "canary": 65}},
    ),
    _case(
        "cohorts", "promote", "errors@region", routed("routes-alike"), Profile("routes-alike", 120)
    ),
    _case(
        "cohorts",
        "rollback",
        "errors@premium: canary",
        routed("routes-harmed"),
        Profile("routes-harmed", 120),
        changes=(Change(0, "canary", {"error_share": 0.15}),),
    ),
    _case(
        "cohorts",
        "invalid",
        "cohort region: ",
        routed("routes-skewed", 30),
        Profile("routes-skewed", 120),
    ),
    _case(
        "cohorts",
        "promote",
        "errors@region",
        clustered("clusters-alike"),
        Profile("clusters-alike", 120),
        spec=by_cluster("clusters-alike"),
    ),
    _case(
        "cohorts",
        "rollback",
        "errors@region: canary",
        clustered("clusters-harmed"),
        Profile("clusters-harmed", 120),
        changes=(Change(0, "region--canary", {"error_share": 0.15}),),
        spec=by_cluster("clusters-harmed"),
    ),
)
