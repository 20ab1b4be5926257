"""Istio's EnvoyFilters: local rate limits, and rules of feature flags in Lua."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from flows.manifests.found_strategy import FoundStrategy, label_of, settings_of
from flows.manifests.lua_flags import LuaFlag, lua_flag
from flows.manifests.objects import Manifest
from flows.manifests.values import fields_of, items_of, number_of, seconds_of

_LOCAL_LIMIT = ("http.local_ratelimit.", "LocalRateLimit")
_GLOBAL_LIMIT = ("http.ratelimit.", "http.rate_limit.")


def envoy_filter_strategies(
    manifest: Manifest, objects: Sequence[Manifest]
) -> Iterator[FoundStrategy]:
    selector = fields_of(fields_of(manifest.spec.get("workloadSelector")).get("labels"))
    service = str(selector.get("app") or selector.get("istio") or manifest.name)
    for found in _patches(manifest, service, objects):
        unknown = () if selector else ("which service has the filter? it selects no workload",)
        yield replace(found, doubts=(*found.doubts, *unknown))


def _patches(
    manifest: Manifest, service: str, objects: Sequence[Manifest]
) -> Iterator[FoundStrategy]:
    for item in items_of(manifest.spec.get("configPatches")):
        value = fields_of(fields_of(fields_of(item).get("patch")).get("value"))
        typed = fields_of(value.get("typed_config") or value.get("typedConfig"))
        url = str(typed.get("type_url") or typed.get("typeUrl") or typed.get("@type") or "")
        config = fields_of(typed.get("value")) or typed
        if any(name in url for name in _LOCAL_LIMIT):
            yield _rate_limit(manifest, service, config, objects)
        elif any(name in url for name in _GLOBAL_LIMIT):
            doubt = "the limits are set in the rate limit service: set tokens and fill by them"
            yield FoundStrategy("rate-limiting", manifest, service, doubts=(doubt,))
        elif "http.lua." in url:
            yield _flag(manifest, service, lua_flag(_code(config)))


def _code(config: Mapping[str, Any]) -> str:
    source = fields_of(config.get("default_source_code") or config.get("defaultSourceCode"))
    code = config.get("inline_code") or config.get("inlineCode")
    return str(code or source.get("inline_string") or source.get("inlineString") or "")


def _flag(manifest: Manifest, service: str, flag: LuaFlag) -> FoundStrategy:
    return FoundStrategy(
        "feature-flags",
        manifest,
        service,
        flag.fields,
        flag.settings,
        flag.doubts,
        flag.headers,
        arms=("without", "with"),
    )


def _rate_limit(
    manifest: Manifest, service: str, config: Mapping[str, Any], objects: Sequence[Manifest]
) -> FoundStrategy:
    bucket = fields_of(config.get("token_bucket") or config.get("tokenBucket"))
    most, each = (
        number_of(bucket.get(snake, bucket.get(camel)))
        for snake, camel in (("max_tokens", "maxTokens"), ("tokens_per_fill", "tokensPerFill"))
    )
    each = 1.0 if each is None else each  # Envoy's own default
    fill = seconds_of(bucket.get("fill_interval") or bucket.get("fillInterval"))
    fields: dict[str, Any] = {}
    doubts = []
    if most is None or not fill:
        doubts.append("its token_bucket can't be read: set tokens and fill")
    else:
        fields = {"tokens": each, "fill": f"{fill:g}s"}
        if most != each:
            doubts.append(f"bursts of max_tokens {most:g} pass, {each:g} come back in {fill:g} s")
    for name, snake in (("enabled", "filter_enabled"), ("enforced", "filter_enforced")):
        share = _share(config.get(snake))
        if share < 1:
            doubts.append(
                f"the limit is {name} for {100 * share:g}% of the requests only ({snake})"
            )
    groups = list(dict.fromkeys(_header_groups(objects)))
    if groups:
        tiers = [value for _, value in groups]
        fields |= {"label": label_of(groups[0][0]), "tiers": tiers}
        if not items_of(config.get("descriptors")):
            doubts.append(
                f"{', '.join(tiers)} share one bucket: no descriptor has a token_bucket of its own"
            )
        doubts.append("tiers must be in order, the one that is to be refused least first")
    elif items_of(config.get("descriptors")):
        doubts.append("descriptors have buckets of their own, which `tokens` doesn't say")
    doubts.append("how many proxies have a bucket each? (proxies)")
    headers = {groups[0][0]: ""} if groups else {}
    return FoundStrategy(
        "rate-limiting",
        manifest,
        service,
        fields,
        tuple(settings_of(bucket)),
        tuple(doubts),
        headers,
    )


def _share(value: Any) -> float:
    """A runtime fraction; Envoy's default for both is 0 %."""
    default = fields_of(fields_of(value).get("default_value"))
    scale = {"HUNDRED": 100, "TEN_THOUSAND": 10_000, "MILLION": 1_000_000}
    of = scale.get(str(default.get("denominator") or "HUNDRED"), 100)
    return (number_of(default.get("numerator")) or 0.0) / of


def _header_groups(objects: Sequence[Manifest]) -> Iterator[tuple[str, str]]:
    """Header and value of each descriptor that routes give to requests of a tier."""
    for one in objects:
        if one.kind == "EnvoyFilter":
            yield from _matches(one.spec)


def _matches(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, list):
        for item in value:
            yield from _matches(item)
    for name, item in fields_of(value).items():
        if name != "header_value_match":
            yield from _matches(item)
            continue
        for header in map(fields_of, items_of(fields_of(item).get("headers"))):
            exact = header.get("exact_match") or fields_of(header.get("string_match")).get("exact")
            if exact and re.fullmatch(r"[A-Za-z0-9-]+", str(header.get("name"))):
                yield str(header["name"]), str(exact)
