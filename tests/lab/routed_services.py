"""Services whose requests go by routes: tiers, and cohorts with splits of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.lab.load_plan import Profile
from tests.lab.strategy_services import NAMESPACE
from tests.lab.topology import RouteSpec, ServiceSpec, VariantSpec


def tiered(name: str) -> ServiceSpec:
    """Subsets by tier: premium users are hashed to a pod, the others go round."""
    return ServiceSpec(
        name,
        NAMESPACE,
        [
            VariantSpec("premium", "premium", pods=4, policy="MAGLEV"),
            VariantSpec("standard", "standard", pods=4, weight=100),
        ],
        routes=[RouteSpec("premium", {"premium": 100}, headers={"user-tier": "premium"})],
        tags=("user_tier", "user_id"),
    )


# Of the spec: versions are the tiers, whose requests nothing divides.
BY_TIER: Mapping[str, Any] = {
    "variants": {
        "stable": None,
        "canary": None,
        **{one: {"labels": {"user_tier": one}} for one in ("standard", "premium")},
    },
    "split": None,
}


def tiers(name: str, users: int) -> tuple[Profile, ...]:
    """Requests of each tier, the premium ones of so many users."""
    return tuple(
        Profile(name, 40, headers={"user-tier": tier}, users=who)
        for tier, who in (("premium", users), ("standard", 1000))
    )


def routed(name: str, region: int = 50) -> ServiceSpec:
    """The guide's routes by header, by region and by weight. region: percent of its canary."""
    weights = {"premium": 100, "region": region, "everyone": 10}
    headers = {"premium": {"user-tier": "premium"}, "region": {"x-country-code": "PH"}}
    return ServiceSpec(
        name,
        NAMESPACE,
        [VariantSpec("stable", "stable", weight=100), VariantSpec("canary", "canary")],
        routes=[
            RouteSpec(one, {"stable": 100 - part, "canary": part}, headers=headers.get(one, {}))
            for one, part in weights.items()
        ],
        tags=("split_cohort",),
    )


def clustered(name: str) -> ServiceSpec:
    """The same routes, each with clusters of its own, which Envoy's own counters tell apart."""
    weights = {"premium": {"canary": 100}, **{one: dict(pair) for one, pair in _SHARED.items()}}
    headers = {"premium": {"user-tier": "premium"}, "region": {"x-country-code": "PH"}}
    parts = {
        one: {f"{one}--{who}": part for who, part in of.items()} for one, of in weights.items()
    }
    return ServiceSpec(
        name,
        NAMESPACE,
        [
            VariantSpec(who, who, pods=1, weight=parts["everyone"].get(who, 0))
            for of in parts.values()
            for who in of
        ],
        routes=[RouteSpec(one, parts[one], headers=headers[one]) for one in headers],
    )


_SHARED = {"region": {"stable": 50, "canary": 50}, "everyone": {"stable": 90, "canary": 10}}


def by_cluster(name: str) -> dict[str, Any]:
    """Of the spec: how Envoy's tags of its clusters' names are called."""
    versions = {
        one: {"version": None, "labels": {"split_version": one}} for one in ("stable", "canary")
    }
    match = {"split_service": name}
    return {"mesh": "envoy", "reporter": None, "match": match, "variants": versions}
