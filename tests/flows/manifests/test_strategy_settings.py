"""Strategies that manifests configure, from the files to the spec.

Of flows.manifests.strategy_spec, flows.manifests.found_strategy, flows.manifests.envoy_filters,
flows.manifests.lua_flags and flows.manifests.telemetry.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.cli.main import main
from flows.ingest.requests.pull_requests import pull_requests
from flows.manifests.lua_flags import lua_flag
from flows.manifests.spec_split import manifests_of_spec
from flows.manifests.strategy_spec import differing_settings
from flows.spec.placeholders import rendered
from flows.workspace.experiments import load_spec
from tests.builders.scraped_source import ScrapedSource

ISTIO = "networking.istio.io/v1"
LIMIT = "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"
ALL_OF_THEM = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
LUA = """
function envoy_on_request(handle)
  local user_id = handle:headers():get("user-id")
  local country = handle:headers():get("x-country-code")
  -- 50 % of nobody: hash % 10 < 5
  if user_id and country == "PH" then
    local hash = string.byte(user_id, -1) or 0
    if hash % 10 < 3 then
      handle:headers():add("x-feature-beta", "enabled")
    end
  end
end
"""


def one(kind: str, spec: dict[str, Any], version: str = ISTIO) -> dict[str, Any]:
    metadata = {"name": "exam", "namespace": "school"}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


def http(**route: Any) -> dict[str, Any]:
    target = [{"destination": {"host": "exam"}}]
    return one("VirtualService", {"hosts": ["exam"], "http": [{"route": target, **route}]})


def envoy_filter(config: dict[str, Any], *more: dict[str, Any]) -> dict[str, Any]:
    patches = [{"applyTo": "HTTP_FILTER", "patch": {"value": {"typed_config": config}}}, *more]
    selector = {"labels": {"app": "exam"}}
    spec = {"workloadSelector": selector, "configPatches": patches}
    return one("EnvoyFilter", spec, "networking.istio.io/v1alpha3")


def limit(**more: Any) -> dict[str, Any]:
    bucket = {"max_tokens": 100, "tokens_per_fill": 100, "fill_interval": "60s"}
    enforced = {"filter_enabled": ALL_OF_THEM, "filter_enforced": ALL_OF_THEM}
    return {"@type": LIMIT, "token_bucket": bucket, **enforced, **more}


TIERS = {
    "applyTo": "HTTP_ROUTE",
    "patch": {
        "value": {
            "route": {
                "rate_limits": [
                    {
                        "actions": [
                            {
                                "header_value_match": {
                                    "descriptor_value": tier,
                                    "headers": [{"name": "user-tier", "exact_match": tier}],
                                }
                            }
                        ]
                    }
                    for tier in ("premium", "standard")
                ]
            }
        }
    },
}
FAULT = {
    "delay": {"percentage": {"value": 10.0}, "fixedDelay": "5s"},
    "abort": {"percentage": {"value": 5.0}, "httpStatus": 503},
}
POOL = {"connectionPool": {"tcp": {"maxConnections": 50}}}
OUTLIERS = {"outlierDetection": {"consecutive5xxErrors": 3, "baseEjectionTime": "45s"}}


@pytest.mark.parametrize(
    ("manifest", "kind", "wanted", "says"),
    [
        (
            envoy_filter(limit(), TIERS),
            "rate-limiting",
            {"tokens": 100, "tiers": ("premium", "standard"), "label": "user_tier"},
            "share one bucket",
        ),
        (
            envoy_filter({"@type": "TypedStruct", "type_url": LIMIT, "value": limit()}),
            "rate-limiting",
            {"tokens": 100, "tiers": ()},
            "how many proxies",
        ),
        (
            envoy_filter(limit(filter_enforced={"default_value": {"numerator": 50}})),
            "rate-limiting",
            {},
            "is enforced for 50% of the requests only",
        ),
        (envoy_filter(limit(token_bucket={})), "rate-limiting", {}, "token_bucket can't be read"),
        (
            envoy_filter({"@type": "x/envoy.extensions.filters.http.ratelimit.v3.RateLimit"}),
            "rate-limiting",
            {},
            "the limits are set in the rate limit service",
        ),
        (
            envoy_filter({"@type": "x.filters.http.lua.v3.Lua", "inline_code": LUA}),
            "feature-flags",
            {"enabled": 0.3, "groups": ("PH",), "label": "x_country_code"},
            "end in digits that is 30.0%, of UUIDs 37.5%",
        ),
        (
            envoy_filter({"@type": "x.filters.http.lua.v3.Lua", "inlineCode": "return 1"}),
            "feature-flags",
            {},
            "its Lua isn't of the form",
        ),
        (
            http(fault=FAULT, match=[{"headers": {"chaos-test": {"exact": "enabled"}}}]),
            "chaos",
            {"delayed": 0.1, "aborted": 0.05},
            "chaos: {labels: {chaos_test: enabled}}",
        ),
        (http(fault=FAULT), "chaos", {"delayed": 0.1}, "no header tells from others"),
        (
            http(timeout="2s", retries={"attempts": 2, "perTryTimeout": "1s"}),
            "timeouts-and-retries",
            {"once": ("POST",)},
            "http[0] retries whatever the method is",
        ),
        (
            http(timeout="2s", retries={"attempts": 0}),
            "timeouts-and-retries",
            {"label": "request_method"},
            "timeout 2s, retries.attempts 0",
        ),
        (
            one(
                "ServiceProfile",
                {
                    "routes": [
                        {"name": "ask", "isRetryable": True, "timeout": "3s"},
                        {"name": "pay", "condition": {"method": "POST"}},
                    ],
                    "retryBudget": {"retryRatio": 0.1, "minRetriesPerSecond": 2, "ttl": "10s"},
                },
                "linkerd.io/v1alpha2",
            ),
            "timeouts-and-retries",
            {"retry_ratio": 0.1, "once": ("pay",), "label": "rt_route"},
            "route ask: timeout 3s",
        ),
        (
            one("DestinationRule", {"host": "exam", "trafficPolicy": {**POOL, **OUTLIERS}}),
            "circuit-breaking",
            {"recovery": 45},
            "connectionPool.tcp.maxConnections 50",
        ),
        (
            one("DestinationRule", {"host": "exam", "trafficPolicy": OUTLIERS}),
            "pools-and-outliers",
            {},
            "outlierDetection.consecutive5xxErrors 3",
        ),
        (
            one(
                "DestinationRule",
                {
                    "host": "exam",
                    "subsets": [
                        {
                            "name": tier,
                            "labels": {"tier": tier},
                            "trafficPolicy": {"loadBalancer": {"simple": policy}},
                        }
                        for tier, policy in (("premium", "RANDOM"), ("standard", "ROUND_ROBIN"))
                    ],
                },
            ),
            "load-balancing",
            {},
            "outbound|80|premium|exam.school.svc.cluster.local",
        ),
    ],
)
def test_settings_become_a_strategy_and_what_is_not_known_is_said(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    manifest: dict[str, Any],
    kind: str,
    wanted: dict[str, Any],
    says: str,
) -> None:
    file = tmp_path / "m.yaml"
    file.write_text(yaml.safe_dump(manifest))
    command = ["--root", str(tmp_path), "init", "--from", str(file), "--strategy", kind]
    assert main(command) == 0
    spec = load_spec(tmp_path / "experiments" / "exam.yaml")
    assert spec.strategy is not None
    found = spec.strategy.strategy
    assert (found.kind, spec.service) == (kind, "exam")
    assert {name: getattr(found, name) for name in wanted} == wanted
    assert says in capsys.readouterr().out
    assert not list(differing_settings(spec, manifests_of_spec(spec, tmp_path / "experiments")))


@pytest.mark.parametrize(
    ("rule", "share"),
    [
        ("tonumber(id) % 100 < 25", "25%"),
        ("n % 100 <= 24", "25%"),
        ("n % 10 < 10", "100%"),
        ("n % 10 < 0", None),
        ("n % 10 < 3 or m % 10 < 3", None),
        ("math.random() < 0.3", None),
    ],
)
def test_only_a_plain_rule_is_read(rule: str, share: str | None) -> None:
    found = lua_flag(f'if {rule} then h:headers():add("x-flag", "on") end')
    assert found.fields.get("enabled") == share
    assert bool(found.doubts) is (share is None)
    assert dict(found.headers) == ({} if share is None else {"x-flag": "on"})


def test_of_several_strategies_one_must_be_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "m.yaml"
    rule = one("DestinationRule", {"host": "exam", "trafficPolicy": {**POOL, **OUTLIERS}})
    file.write_text(yaml.safe_dump(rule))
    command = ["--root", str(tmp_path), "init", "--from", str(file)]
    assert main(command) == 2
    assert "2 strategies are configured, say which with --strategy" in capsys.readouterr().err
    assert main([*command, "--strategy", "chaos"]) == 2
    assert "configure no strategy chaos" in capsys.readouterr().err
    assert not (tmp_path / "experiments").exists()


def test_beside_a_split_a_strategy_is_judged_where_it_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "m.yaml"
    targets = [
        {"destination": {"host": "exam", "subset": name}, "weight": 50} for name in ("v1", "v2")
    ]
    file.write_text(
        yaml.safe_dump_all(
            [
                http(route=targets),
                one("DestinationRule", {"host": "exam"} | {"trafficPolicy": POOL}),
            ]
        )
    )
    command = ["--root", str(tmp_path), "init", "--force", "--from", str(file)]
    spec = tmp_path / "experiments" / "exam.yaml"
    assert main(command) == 0
    assert load_spec(spec).strategy is None
    assert "`verdict init --strategy circuit-breaking` judges that" in capsys.readouterr().out
    assert main([*command, "--strategy", "circuit-breaking"]) == 0
    assert load_spec(spec).strategy is not None


def test_a_spec_that_differs_from_its_manifest_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "m.yaml"
    file.write_text(yaml.safe_dump(envoy_filter(limit())))
    assert main(["--root", str(tmp_path), "init", "--from", str(file)]) == 0
    file.write_text(file.read_text().replace("fill_interval: 60s", "fill_interval: 1s"))
    assert main(["--root", str(tmp_path), "validate", "exam"]) == 0
    assert "has fill 1s, the spec's strategy has another" in capsys.readouterr().out


def test_the_spec_of_a_service_profile_counts_both_of_its_services(tmp_path: Path) -> None:
    profile = one("ServiceProfile", {"routes": [{"name": "ask", "timeout": "3s"}]})
    profile["apiVersion"] = "linkerd.io/v1alpha2"
    (tmp_path / "m.yaml").write_text(yaml.safe_dump(profile))
    assert main(["--root", str(tmp_path), "init", "--from", str(tmp_path / "m.yaml")]) == 0
    spec = load_spec(tmp_path / "experiments" / "exam.yaml")
    source, start = ScrapedSource(), 1_767_268_800_000
    times = range(start, start + 600_000, 15_000)
    target = {"job": "linkerd-proxy", "instance": "gateway:4191"}
    source.add({"__name__": "up", **target}, dict.fromkeys(times, 1.0))
    for service in ("exam", "exam-canary", "other"):
        labels = {
            "__name__": "route_response_total",
            "direction": "outbound",
            "dst": f"{service}.school.svc.cluster.local:80",
            "rt_route": "ask",
            "classification": "success",
            "status_code": "200",
        }
        source.add({**labels, **target}, {t: 10.0 * i for i, t in enumerate(times)})
    pulled = pull_requests(spec, source, tmp_path / "w.duckdb", until_ms=times[-1])
    assert set(pulled.requests) == {"stable", "canary"}
    strategy = spec.strategy
    assert strategy is not None
    attempts = strategy.counters["attempts"].of
    assert 'dst="exam-canary.school' in rendered(attempts, spec, "canary")


@pytest.mark.parametrize(
    ("fault", "shares"),
    [
        ({"delay": {"fixedDelay": "5s"}}, (0.0, 0.0)),
        ({"delay": {"fixedDelay": "5s", "percentage": {}}}, (0.0, 0.0)),
        ({"delay": {"fixedDelay": "5s", "percent": 10}}, (0.1, 0.0)),
        ({"abort": {"httpStatus": 503}}, (0.0, 0.0)),
        ({"abort": {"httpStatus": 503, "percent": 10}}, (0.0, 0.0)),  # Istio doesn't read it
        ({"abort": {"httpStatus": 503, "percentage": {"value": "10"}}}, (0.0, 0.1)),
        ({"abort": {"httpStatus": 503, "percentage": {"value": 0.1}}}, (0.0, 0.001)),
    ],
)
def test_a_fault_without_a_percentage_is_injected_into_no_request(
    tmp_path: Path, fault: dict[str, Any], shares: tuple[float, float]
) -> None:
    match = [{"headers": {"chaos-test": {"exact": "enabled"}}}]
    (tmp_path / "m.yaml").write_text(yaml.safe_dump(http(fault=fault, match=match)))
    assert main(["--root", str(tmp_path), "init", "--from", str(tmp_path / "m.yaml")]) == 0
    spec = load_spec(tmp_path / "experiments" / "exam.yaml")
    assert spec.strategy is not None
    strategy = spec.strategy.model_dump()
    assert (strategy["delayed"], strategy["aborted"]) == shares
    assert spec.quality.injected_faults < 0.2
    found = manifests_of_spec(spec, tmp_path / "experiments").findings
    is_said = any("injected into no request" in one.message for one in found)
    assert is_said == (shares == (0.0, 0.0))


CHAOS, RETRIES = "chaos, aborted: 10%", "timeouts-and-retries, retry_ratio: 20%"
LIMITS = "rate-limiting, tokens: 100, fill: 60s"


@pytest.mark.parametrize(
    ("strategy", "manifest", "says"),
    [
        (CHAOS, http(fault={"abort": {"percentage": {"value": 150}}}), "aborted 150%"),
        (CHAOS, http(fault={"abort": {"percentage": {"value": -5}}}), "aborted 0%"),
        (
            RETRIES,
            one("ServiceProfile", {"retryBudget": {"retryRatio": 1.5}}, "linkerd.io/v1alpha2"),
            "retry_ratio 150%",
        ),
        (
            RETRIES,
            one("ServiceProfile", {"retryBudget": {"retryRatio": -1}}, "linkerd.io/v1alpha2"),
            "retry_ratio -100%",
        ),
        (
            LIMITS,
            envoy_filter(
                limit(token_bucket={"max_tokens": 0, "tokens_per_fill": 0, "fill_interval": "60s"})
            ),
            "tokens 0",
        ),
    ],
)
def test_a_setting_that_a_spec_cannot_have_is_said(
    tmp_path: Path, strategy: str, manifest: dict[str, Any], says: str
) -> None:
    (tmp_path / "m.yaml").write_text(yaml.safe_dump(manifest))
    path = tmp_path / "exam.yaml"
    path.write_text(
        "{experiment: exam, service: exam, namespace: school, mesh: istio, manifests: [m.yaml],"
        f"variants: {{a: {{version: a}}, b: {{version: b}}}}, strategy: {{kind: {strategy}}},"
        "sources: {requests: {prometheus: 'http://p'}}}"
    )
    spec = load_spec(path)
    found = list(differing_settings(spec, manifests_of_spec(spec, tmp_path)))
    assert any(says in one for one in found), found


BY_PLACE = {"distribute": [{"from": "a/*", "to": {"a/*": 80, "b/*": 20}}]}
BALANCER = {"loadBalancer": {"localityLbSetting": BY_PLACE}}
FEW = {"default_value": {"numerator": 50, "denominator": "MILLION"}}


@pytest.mark.parametrize(
    ("manifest", "says"),
    [
        (
            one("DestinationRule", {"host": "exam", "trafficPolicy": BALANCER}),
            "distribute[0].to.b/* 20",
        ),
        (
            http(fault=FAULT, match=[{"headers": {"x.chaos/a": {"exact": "1"}}}]),
            "x_chaos_a: unknown",
        ),
        (envoy_filter(limit(filter_enforced=FEW)), "is enforced for 0.005% of the requests"),
    ],
)
def test_what_is_configured_is_said_whole(
    tmp_path: Path, manifest: dict[str, Any], says: str
) -> None:
    (tmp_path / "m.yaml").write_text(yaml.safe_dump(manifest))
    assert main(["--root", str(tmp_path), "init", "--from", str(tmp_path / "m.yaml")]) == 0
    assert says in (tmp_path / "experiments" / "exam.yaml").read_text()


@pytest.mark.parametrize(
    ("labels", "variants", "says"),
    [
        ({"stable": "stable", "canary": "canary"}, ["stable", "canary"], ""),
        ({"canary": "canary", "stable": "stable"}, ["stable", "canary"], ""),
        ({"canary": "v2", "stable": "v1"}, ["v1", "v2"], ""),
        ({"canary": "2.0", "stable": "1.0"}, ["stable", "canary"], "write `arrivals`"),
        ({"red": "red", "orange": "orange"}, ["red", "orange"], "which is the baseline?"),
    ],
)
def test_subsets_with_policies_are_variants_by_their_pods_versions(
    tmp_path: Path, labels: dict[str, str], variants: list[str], says: str
) -> None:
    """Arrivals are counted by the pods' version; the candidate may stand first in the rule."""
    subsets = [{"name": name, "labels": {"version": one}} for name, one in labels.items()]
    policy = {"loadBalancer": {"simple": "LEAST_REQUEST"}}
    rule = one("DestinationRule", {"host": "exam", "trafficPolicy": policy, "subsets": subsets})
    (tmp_path / "m.yaml").write_text(yaml.safe_dump(rule))
    assert main(["--root", str(tmp_path), "init", "--from", str(tmp_path / "m.yaml")]) == 0
    path = tmp_path / "experiments" / "exam.yaml"
    spec = load_spec(path)
    assert ([*spec.variants], spec.baseline) == (variants, variants[0])
    assert {item.labels["upstream_cluster"].split("|")[2] for item in spec.variants.values()} == {
        *labels
    }
    assert says in path.read_text()
    assert path.read_text().count("CHECK: pods of") == 2 * (says == "write `arrivals`")


@pytest.mark.parametrize(
    "route",
    ["/books/{id}", "{id}", "[ab]", "*", "a, b", "yes", "9", "# x", "- x", "a: b", "'", '"'],
)
def test_routes_may_have_any_name(tmp_path: Path, route: str) -> None:
    named = {"name": route, "condition": {"method": "POST"}, "timeout": "1s"}
    profile = one("ServiceProfile", {"routes": [named]}, "linkerd.io/v1alpha2")
    profile["metadata"]["name"] = "exam\u2028.school.svc.cluster.local"
    (tmp_path / "m.yaml").write_text(yaml.safe_dump(profile))
    init = ["init", "--from", str(tmp_path / "m.yaml"), "--name", "exam"]
    assert main(["--root", str(tmp_path), *init]) == 0
    spec = load_spec(tmp_path / "experiments" / "exam.yaml")
    assert spec.strategy is not None
    assert spec.strategy.model_dump()["once"] == (route,)
