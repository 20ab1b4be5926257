"""The services and the traffic that strategies are tried on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.lab.load_plan import Profile
from tests.lab.scenarios import Change
from tests.lab.topology import FaultSpec, RetrySpec, RouteSpec, ServiceSpec, VariantSpec

NAMESPACE = "edtech-production"
_TAGS = ("upstream_cluster", "user_tier", "country", "request_method", "experiment_group")


def two(
    name: str, stable: VariantSpec, canary: VariantSpec, *tags: str, **more: Any
) -> ServiceSpec:
    return ServiceSpec(name, NAMESPACE, [stable, canary], tags=(*_TAGS, *tags), **more)


def limited(name: str, tokens: int, enforced: int = 100, *, free: str = "") -> ServiceSpec:
    """free: a tier that has no limit."""
    weights = {"stable": 50, "canary": 50}
    free_route = RouteSpec("free", weights, headers={"user-tier": free}, is_limited=False)
    return two(
        name,
        VariantSpec("stable", "stable", weight=50, tokens=30),
        VariantSpec("canary", "canary", weight=50, tokens=tokens, enforced=enforced),
        routes=[free_route] if free else [],
    )


def faulty(name: str, delayed: float, aborted: float, everywhere: bool = False) -> ServiceSpec:
    fault = FaultSpec(abort_share=aborted, delay_share=delayed, delay_ms=500)
    return two(
        name,
        VariantSpec("steady", "steady", weight=100),
        VariantSpec("chaos", "chaos"),
        routes=[RouteSpec("chaos", {"chaos": 100}, headers=CHAOS, fault=fault)],
        fault=fault if everywhere else FaultSpec(),
    )


def with_chaos(name: str, rate: float) -> tuple[Profile, ...]:
    return Profile(name, rate), Profile(name, rate, headers=CHAOS)


def breaking(name: str, limit: int | None) -> ServiceSpec:
    return two(
        name,
        VariantSpec("stable", "stable", weight=50, max_requests=10),
        VariantSpec("canary", "canary", weight=50, max_requests=limit),
    )


def burst(at_s: float, until_s: float) -> tuple[Change, ...]:
    """Slow answers make a burst of requests at once: both versions, for so long."""
    return Change(at_s, None, {"base_ms": 600.0}), Change(until_s, None, {"base_ms": 8.0})


def trying(name: str, first: RetrySpec, second: RetrySpec, /, **posts: RetrySpec) -> ServiceSpec:
    """Half and half by chance, each with retries of its own; GETs and, if said, POSTs apart."""
    post = {":method": "POST"}
    routes = [
        RouteSpec(f"post-{variant}", {variant: 100}, headers=post, percent=percent, retry=retry)
        for (variant, retry), percent in zip(posts.items(), (50, 100), strict=False)
    ]
    routes += [
        RouteSpec("to-stable", {"stable": 100}, percent=50, retry=first),
        RouteSpec("to-canary", {"canary": 100}, retry=second),
    ]
    variants = (
        VariantSpec("stable", "stable", weight=50),
        VariantSpec("canary", "canary", weight=50),
    )
    return two(name, *variants, routes=routes)


def by_linkerd_route(name: str) -> dict[str, Any]:
    """Of the spec: versions that are Services of their own, seen by Linkerd's ServiceProfile."""
    host = f"{name}-{{}}.{NAMESPACE}.svc.cluster.local:80"
    variants = ("stable", "canary")
    actual = 'route_actual_request_total{direction="outbound",dst="%s"}'
    return {
        "mesh": "linkerd-route",
        "variants": {
            one: {"labels": {"upstream_cluster": None, "dst": host.format(one)}} for one in variants
        },
        "strategy": {
            "label": "rt_route",
            "once": [f"{name}-post-canary"],
            "attempts": actual % host.format("{{variant}}"),
        },
    }


def balanced(name: str, policy: str) -> ServiceSpec:
    return two(
        name,
        VariantSpec("stable", "stable", pods=4, weight=50),
        VariantSpec("canary", "canary", pods=4, weight=50, policy=policy),
    )


def hashed(name: str, policy: str) -> ServiceSpec:
    """Users are to reach one pod each."""
    return two(
        name,
        VariantSpec("stable", "stable", weight=50),
        VariantSpec("canary", "canary", pods=4, weight=50, policy=policy),
        "user_id",
    )


POLICIES = {"least": "LEAST_REQUEST", "random": "RANDOM", "ring": "RING_HASH", "maglev": "MAGLEV"}


def policies(name: str) -> ServiceSpec:
    """Round robin and four others beside each other."""
    variants = [VariantSpec("stable", "stable", weight=20)]
    variants += [
        VariantSpec(one, one, weight=20, policy=policy) for one, policy in POLICIES.items()
    ]
    return ServiceSpec(name, NAMESPACE, variants, tags=_TAGS)


def ejecting(name: str, pool: int | None = None, *, istio: bool = False) -> ServiceSpec:
    """istio: whether statistics call the clusters as Istio's proxies do."""
    named = "outbound|80|{}|" + f"{name}.{NAMESPACE}.svc.cluster.local" if istio else ""
    return two(
        name,
        VariantSpec("stable", "stable", weight=50, ejects_after=3, stats_as=named.format("stable")),
        VariantSpec(
            "canary",
            "canary",
            weight=50,
            ejects_after=3,
            max_requests=pool,
            stats_as=named.format("canary"),
        ),
    )


def shared(name: str, group_b: int) -> ServiceSpec:
    """Half and half, but so many percent of another experiment's group b get the canary."""
    weights = {"stable": 100 - group_b, "canary": group_b}
    return two(
        name,
        VariantSpec("stable", "stable", weight=50),
        VariantSpec("canary", "canary", weight=50),
        "user_id",
        routes=[RouteSpec("b", weights, headers={"experiment-group": "b"})],
    )


def interacting(name: str) -> ServiceSpec:
    """The other experiment's group b reaches pods of its own of the canary."""
    return ServiceSpec(
        name,
        NAMESPACE,
        [
            VariantSpec("stable", "stable", weight=50),
            VariantSpec("canary", "canary", weight=50),
            VariantSpec("canary-b", "canary"),
        ],
        tags=_TAGS,
        routes=[RouteSpec("b", {"stable": 50, "canary-b": 50}, headers={"experiment-group": "b"})],
    )


BY_VERSION: Mapping[str, Any] = {
    "variants": {
        one: {"labels": {"upstream_cluster": None, "destination_version": one}}
        for one in ("stable", "canary")
    },
}
# On average both fail alike.
INTERACTION = (
    Change(0, "stable", {"error_share": 0.05}),
    Change(0, "canary", {"error_share": 0}),
    Change(0, "canary-b", {"error_share": 0.1}),
)


def groups(name: str, rate: float) -> tuple[Profile, ...]:
    """Users of both groups of the other experiment."""
    return tuple(
        Profile(name, rate, headers={"experiment-group": one}, users=40) for one in ("a", "b")
    )


def countries(name: str, *, uuids: bool = False) -> tuple[Profile, ...]:
    """Users of the Philippines, and others, each with ids of all endings."""
    return tuple(
        Profile(name, rate, headers={"x-country-code": country}, uuids=uuids)
        for country, rate in (("PH", 90), ("ID", 30))
    )


def flagged(name: str) -> ServiceSpec:
    """The guide's rule, which sends its 30 % on to the beta."""
    return two(
        name,
        VariantSpec("without", "without", weight=100),
        VariantSpec("beta", "beta"),
        routes=[
            RouteSpec("beta", {"beta": 100}, headers={"x-feature-beta": "enabled"}),
            RouteSpec("all", {"without": 100}, lua=GUIDES_RULE),
        ],
    )


GUIDES_RULE = """
function envoy_on_request(request_handle)
  local headers = request_handle:headers()
  local user_id, country = headers:get("x-user-id"), headers:get("x-country-code")
  if user_id and country == "PH" then
    local hash = string.byte(user_id, -1) or 0
    if hash % 10 < 3 then
      headers:add("x-feature-beta", "enabled")
      request_handle:clearRouteCache()
    end
  end
end
"""


def get_and_post(name: str, rate: float) -> tuple[Profile, ...]:
    return Profile(name, rate), Profile(name, rate / 3, method="POST")


NONE = RetrySpec()
TWICE = RetrySpec(retries=1)
HEDGED = RetrySpec(retries=1, per_try_s=0.1, hedges=True)
FLAKY = (Change(0, None, {"error_share": 0.08}),)
TAIL = (Change(0, None, {"slow_share": 0.1, "slow_ms": 600.0}),)
CHAOS = {"chaos-test": "enabled"}
BUCKET = {"tokens": 30, "fill": "1s"}
