"""The traffic strategies that manifests configure: their settings as fields of `strategy`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flows.manifests.envoy_filters import envoy_filter_strategies
from flows.manifests.found_strategy import FoundStrategy, settings_of
from flows.manifests.kinds.virtual_service import injected_percents
from flows.manifests.objects import Manifest, ManifestSet
from flows.manifests.values import fields_of, items_of, number_of, seconds_of, text_of
from flows.manifests.variant_names import baseline_among, variant_keys
from flows.spec.fields import NAME_PATTERN


def strategies_in(objects: Sequence[Manifest]) -> list[FoundStrategy]:
    """Every strategy of the objects, in their order."""
    around = ManifestSet(tuple(objects))
    found: list[FoundStrategy] = []
    for one in objects:
        if one.kind == "DestinationRule":
            found += _destination_rule(one, around)
        elif one.kind == "VirtualService":
            found += _virtual_service(one, around)
        elif one.kind == "ServiceProfile":
            found += _service_profile(one)
        elif one.kind == "EnvoyFilter":
            found += envoy_filter_strategies(one, objects)
    return found


def _destination_rule(rule: Manifest, around: ManifestSet) -> Iterator[FoundStrategy]:
    host = text_of(rule.spec.get("host")) or "(no host)"
    service, _ = around.service_of(host, rule.namespace)
    subsets = [fields_of(item) for item in items_of(rule.spec.get("subsets"))]
    names = _by_subset(rule)
    whole = fields_of(rule.spec.get("trafficPolicy"))
    policies = {"all": whole} | {
        str(one.get("name")): fields_of(one.get("trafficPolicy")) for one in subsets
    }

    def said(*sections: str) -> tuple[str, ...]:
        return tuple(
            f"{name}: {', '.join(settings_of({s: policy[s] for s in sections if policy.get(s)}))}"
            for name, policy in policies.items()
            if any(policy.get(section) for section in sections)
        )

    ejects = [p for policy in policies.values() if (p := fields_of(policy.get("outlierDetection")))]
    ejected = [s for one in ejects if (s := seconds_of(one.get("baseEjectionTime")))]
    times = {"recovery": f"{max(ejected):g}s"} if ejected else {}
    if said("outlierDetection"):
        settings = said("connectionPool", "outlierDetection")
        yield FoundStrategy("pools-and-outliers", rule, service, {}, settings, subsets=names)
    if said("connectionPool"):
        settings = said("connectionPool", "outlierDetection")
        yield FoundStrategy("circuit-breaking", rule, service, times, settings, subsets=names)
    if said("loadBalancer"):
        sticky = any("consistentHash" in text for text in said("loadBalancer"))
        note = ("consistent hashing: keys stay with their endpoint, shares may differ",)
        settings = (*said("loadBalancer"), *(note if sticky else ()))
        by_version, doubts = _by_version(rule)
        yield FoundStrategy(
            "load-balancing", rule, service, {}, settings, doubts, subsets=by_version
        )


def _by_subset(rule: Manifest) -> dict[str, str]:
    """The subsets by the names that variants can have, the baseline's first."""
    items = map(fields_of, items_of(rule.spec.get("subsets")))
    names = [str(item["name"]) for item in items if item.get("name")]
    first = baseline_among(names)
    names.sort(key=lambda name: name != first)
    return dict(zip(variant_keys(names), names, strict=True))


def _by_version(rule: Manifest) -> tuple[dict[str, str], tuple[str, ...]]:
    """The subsets by their pods' versions, by which arrivals are counted; doubts where it can't."""
    versions = {
        str(fields_of(item).get("name")): dict(rule.labels("spec", "subsets", place, "labels")).get(
            "version"
        )
        for place, item in enumerate(items_of(rule.spec.get("subsets")))
    }
    of_subset = _by_subset(rule)
    found = {versions[subset] or key: subset for key, subset in of_subset.items()}
    if len(found) == len(of_subset) and all(re.fullmatch(NAME_PATTERN, name) for name in found):
        return found, ()
    return of_subset, tuple(
        f"pods of {key} have version {versions[subset]}: write `arrivals`, which takes {key} for it"
        for key, subset in of_subset.items()
        if versions[subset] not in (None, key)
    )


def _virtual_service(manifest: Manifest, around: ManifestSet) -> Iterator[FoundStrategy]:
    for index, item in enumerate(items_of(manifest.spec.get("http"))):
        route = fields_of(item)
        targets = [fields_of(fields_of(one).get("destination")) for one in _route(route)]
        host = text_of(targets[0].get("host")) if targets else None
        service, _ = around.service_of(host or manifest.name, manifest.namespace)
        where = f"http[{index}]"
        if fields_of(route.get("fault")):
            yield _chaos(manifest, service, route, where)
        retries = fields_of(route.get("retries"))
        if retries or route.get("timeout"):
            settings = ", ".join(
                settings_of({k: route[k] for k in ("timeout", "retries") if k in route})
            )
            tried = number_of(retries.get("attempts"))
            never = tried == 0
            doubts = [] if never or not retries else [_retried_methods(route, where)]
            if tried:
                doubts.append(
                    f"{where} allows {tried:g} retries of each request and no budget: "
                    "retry_ratio is how many you bear"
                )
            yield FoundStrategy(
                "timeouts-and-retries",
                manifest,
                service,
                {"label": "request_method", "once": ["POST"]},
                (f"{where}: {settings}",),
                tuple(one for one in doubts if one),
                headers={},
            )


def _route(route: Mapping[str, Any]) -> list[Any]:
    return items_of(route.get("route"))


def _retried_methods(route: Mapping[str, Any], where: str) -> str:
    methods = [fields_of(fields_of(one).get("method")) for one in items_of(route.get("match"))]
    safe = methods and all(one.get("exact") in ("GET", "HEAD", "OPTIONS") for one in methods)
    return "" if safe else f"{where} retries whatever the method is: POST as well"


def _chaos(manifest: Manifest, service: str, route: Mapping[str, Any], where: str) -> FoundStrategy:
    fault = fields_of(route.get("fault"))
    percents = injected_percents(fault)
    shares = {"delayed": percents["delay"], "aborted": percents["abort"]}
    matched = [fields_of(fields_of(one).get("headers")) for one in items_of(route.get("match"))]
    headers = {
        name: str(fields_of(rule).get("exact"))
        for one in matched
        for name, rule in one.items()
        if fields_of(rule).get("exact") is not None
    }
    settings = (f"{where}: {', '.join(settings_of({'fault': fault}))}",)
    untold = f"{where} injects faults into requests that no header tells from others"
    return FoundStrategy(
        "chaos",
        manifest,
        service,
        {name: f"{percent:g}%" for name, percent in shares.items()},
        settings,
        () if headers else (untold,),
        dict(list(headers.items())[:1]),
        injected=sum(shares.values()),
        arms=("steady", "chaos"),
    )


def _service_profile(profile: Manifest) -> Iterator[FoundStrategy]:
    routes = [fields_of(item) for item in items_of(profile.spec.get("routes"))]
    whole = fields_of(profile.spec.get("retryBudget"))
    # Linkerd has one budget for all routes; a route's own is what its author means.
    budgets = [fields_of(one.get("retryBudget")) for one in routes if one.get("retryBudget")]
    ratios = [r for b in (whole, *budgets) if (r := number_of(b.get("retryRatio"))) is not None]
    timed = {str(one.get("name")): one["timeout"] for one in routes if one.get("timeout")}
    if not ratios and not timed:
        return
    retried = [one for one in routes if one.get("isRetryable") is True or one.get("retryBudget")]
    once = [str(one.get("name")) for one in routes if one not in retried]
    doubts = []
    if len(set(ratios)) > 1:
        doubts.append(f"routes have budgets of {', '.join(f'{r:g}' for r in ratios)}: least taken")
    doubts += [
        f"route {one.get('name')} is a POST and has retries: put it into `once` if it isn't "
        "idempotent"
        for one in retried
        if fields_of(one.get("condition")).get("method") == "POST"
    ]
    fields = {
        "label": "rt_route",
        **({"retry_ratio": f"{100 * min(ratios):g}%"} if ratios else {}),
        **({"once": once} if once else {}),
        "attempts": 'route_actual_response_total{direction="outbound",dst="{{labels.dst}}"}',
    }
    settings = tuple(f"route {name}: timeout {value}" for name, value in timed.items())
    service = profile.name.split(".")[0]
    yield FoundStrategy("timeouts-and-retries", profile, service, fields, settings, tuple(doubts))
