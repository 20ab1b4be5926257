"""Metrics of Flagger, Argo Rollouts and Kayenta as ours: also flows.manifests.metric_queries,
flows.manifests.flagger_metrics and flows.manifests.new_metrics."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.cli.main import main
from flows.manifests.metric_manifests import metrics_in
from flows.manifests.metric_queries import ConvertedMetric, said_of
from flows.spec.metrics import SlowShare
from flows.workspace.experiments import load_spec

RATE = 'sum(rate(grpc_total{code%s"OK",pod=~"{{ target }}-[0-9a-z]+(-[0-9a-z]+)"}[{{ interval }}]))'
ALL = 'sum(rate(grpc_total{pod=~"{{ target }}-[0-9a-z]+(-[0-9a-z]+)"}[1m]))'


def flagger(query: str, provider: str = "prometheus") -> dict[str, Any]:
    spec = {"provider": {"type": provider, "address": "http://p:9090"}, "query": query}
    metadata = {"name": "m", "namespace": "test"}
    return {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "MetricTemplate",
        "metadata": metadata,
        "spec": spec,
    }


def canary(**wanted: float) -> dict[str, Any]:
    metric = {"name": "m", "templateRef": {"name": "m"}, "thresholdRange": wanted}
    metrics = [{**metric, "templateVariables": {"d": "inbound"}}]
    spec = {
        "routeRef": {"name": "podinfo-route"},
        "targetRef": {"kind": "Deployment", "name": "podinfo", "apiVersion": "apps/v1"},
        "service": {"port": 80},
        "analysis": {"interval": "1m", "threshold": 5, "maxWeight": 50, "stepWeight": 10},
    }
    spec["analysis"]["metrics"] = metrics  # type: ignore[index]
    return {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": {"name": "podinfo", "namespace": "test"},
        "spec": spec,
    }


def argo(query: str, **more: Any) -> dict[str, Any]:
    args = [{"name": "service-name"}, {"name": "port", "value": 9090}, {"name": "what"}]
    metric = {"name": "m", "provider": {"prometheus": {"query": query}}, **more}
    dry = [{"metricName": "m"}] if more.pop("dry", False) else []
    metric.pop("dry", None)
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AnalysisTemplate",
        "metadata": {"name": "a"},
        "spec": {"args": args, "metrics": [metric], "dryRun": dry},
    }


def kayenta(query: dict[str, Any], **canary: Any) -> dict[str, Any]:
    metric = {"name": "m", "query": query, "analysisConfigurations": {"canary": canary}}
    return {"name": "c", "judge": {"name": "NetflixACAJudge-v1.0"}, "metrics": [metric]}


def convert(folder: Path, *documents: dict[str, Any]) -> ConvertedMetric | str:
    file = folder / "m.yaml"
    file.write_text("---\n".join(map(json.dumps, documents)).replace("}---", "}\n---"))
    (found,) = said_of(metrics_in([file], "version"))
    return found


@pytest.mark.parametrize(
    ("documents", "wanted"),
    [
        (
            [flagger(f"{RATE % '!='} / {ALL} * 100"), canary(max=5)],
            {"kind": "ratio", "bad": 'code!="OK"', "objective": "0.05"},
        ),
        (
            [flagger(f"{RATE % '='} / {ALL} * 100"), canary(min=99)],
            {"kind": "ratio", "good": 'code="OK"', "objective": "0.01"},
        ),
        (
            [flagger(f"100 - {RATE % '='} / {ALL} * 100"), canary(max=5)],
            {"kind": "ratio", "good": 'code="OK"', "objective": "0.05"},
        ),
        (
            [flagger(f"1 - {RATE % '!='} / {ALL}"), canary(min=0.9)],
            {"kind": "ratio", "bad": 'code!="OK"', "objective": "0.1"},
        ),
        ([flagger(f"100 - {RATE % '!='} / {ALL} * 100")], {"bad": 'code!="OK"'}),
        ([flagger(f"{RATE % '='} / {ALL}")], {"good": 'code="OK"'}),
        (
            [flagger(f"{RATE % '='} / {ALL}".replace("_total", "_seconds_bucket"))],
            {"good": "grpc_seconds_count{", "of": "grpc_seconds_count{"},
        ),
        (
            [flagger('x{v="{{ target }}",d="{{ variables.d }}",r="{{route}}"}'), canary(max=1)],
            {"query": 'd="inbound",r="podinfo-route"'},
        ),
        (
            [flagger(f"max({ALL})"), canary(max=7)],
            {"kind": "gauge", "better": "lower", "objective": "7", "query": "{{version}}"},
        ),
        (
            [flagger('max(x{job="{{ target }}-canary"})')],
            {"query": "max(x{job={{service}}})"},
        ),
        (
            [argo('x{s="{{args.service-name}}",p="{{args.port}}"}', successCondition="result < 5")],
            {"query": "9090", "better": "lower", "objective": "5"},
        ),
        (
            [argo('x{s="{{args.service-name}}"}', failureCondition="result[0] < 5", dry=True)],
            {"better": "higher", "role": "info"},
        ),
        (
            [
                kayenta(
                    {
                        "type": "prometheus",
                        "customInlineTemplate": 'PromQL:avg(m{p=~".+${scope}"})',
                    },
                    direction="decrease",
                    critical=True,
                    effectSize={"allowedDecrease": 0.8},
                )
            ],
            {"better": "higher", "margin": "20%", "critical": "true", "query": "{{version}}"},
        ),
        (
            [
                kayenta(
                    {"type": "prometheus", "metricName": "cpu"}, direction="increase", muted=True
                )
            ],
            {"query": "cpu{version=", "role": "info", "better": "lower"},
        ),
        (
            [
                kayenta(
                    {
                        "type": "prometheus",
                        "metricName": "cpu",
                        "labelBindings": ['pod=~"${scope}-.*"', 'ns="${location}"'],
                    },
                    direction="increase",
                )
            ],
            {"query": 'avg(cpu{pod=~"{{version}}-.*",ns="{{namespace}}"})'},
        ),
    ],
)
def test_query_becomes_a_metric(
    tmp_path: Path, documents: list[dict[str, Any]], wanted: dict[str, str]
) -> None:
    found = convert(tmp_path, *documents)
    assert isinstance(found, ConvertedMetric), found
    for name, part in wanted.items():
        assert part.replace('"', "") in found.fields[name].replace("\\", "").replace('"', "")


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (flagger("x", "datadog"), "datadog answers no PromQL; have Prometheus scrape"),
        (flagger('x{a="{{ variables.b }}"}'), "what variables.b stands for is not known; add the"),
        (flagger("sum(x)"), "nothing in the query names a version"),
        (flagger(""), "no query"),
        (flagger(f"{RATE.replace(',', ' ') % '='} / {ALL}"), "its selector needs a comma before"),
        (argo('x{a="{{args.what}}"}'), "what args.what stands for"),
        (kayenta({"type": "atlas", "q": "name,cpu,:eq"}), "atlas answers no PromQL"),
        (kayenta({"type": "prometheus", "customFilterTemplate": "t"}), "template is not in"),
    ],
)
def test_what_cannot_be_converted_is_said(
    tmp_path: Path, document: dict[str, Any], why: str
) -> None:
    found = convert(tmp_path, document)
    assert isinstance(found, str)
    assert why in found


def _share(which: str) -> str:
    return RATE % which + f" / {ALL}"


@pytest.mark.parametrize(
    ("query", "conditions", "better", "objective", "check"),
    [
        (
            "max(x)",
            {"successCondition": "result[0] >= 1 && result[0] <= 5"},
            "lower",
            "5",
            "above 1",
        ),
        (_share("="), {"successCondition": "result >= 0.9 and result <= 1"}, "", "0.1", "below 1"),
        (
            _share("="),
            {"failureCondition": "result[0] < 0.9 || isNaN(result[0])"},
            "",
            "0.1",
            "no va",
        ),
        (
            "max(x)",
            {"successCondition": "len(result) == 0 || result[0] < 1e3"},
            "lower",
            "1000",
            "no ",
        ),
        (
            "max(x)",
            {"successCondition": "default(asFloat(result), 0) <= 7"},
            "lower",
            "7",
            "no value",
        ),
        ("max(x)", {"successCondition": "(7.5 > result[0])"}, "lower", "7.5", ""),
        ("max(x)", {"failureCondition": "result > 9 || result < 2"}, "lower", "9", "above 2"),
        ("max(x)", {"successCondition": "", "failureCondition": "result >= 9"}, "lower", "9", ""),
        (
            "max(x)",
            {"successCondition": "result < 9", "failureCondition": "result > 12"},
            "lower",
            "9",
            "",
        ),
        # Neither is one limit: a person sets it.
        (
            "max(x)",
            {"successCondition": "result > 9 || result < 2"},
            "lower",
            None,
            "set `objective`",
        ),
        (
            "max(x)",
            {"failureCondition": "result > 9 && result < 12"},
            "lower",
            None,
            "set `objective`",
        ),
        ("max(x)", {"successCondition": "all(result, {# < 5})"}, "lower", None, "set `objective`"),
        ("max(x)", {"successCondition": "!(result[0] < 5)"}, "lower", None, "set `objective`"),
        ("max(x)", {"successCondition": "result[1] < 5"}, "lower", None, "set `objective`"),
        ("max(x)", {"successCondition": "len(result) == 0"}, "lower", None, "set `objective`"),
    ],
)
def test_a_condition_of_argo_is_a_limit_or_is_named(
    tmp_path: Path,
    query: str,
    conditions: dict[str, str],
    better: str,
    objective: str | None,
    check: str,
) -> None:
    text = query.replace("x", 'x{v="{{args.canary-hash}}"}').replace(
        "{{ target }}", "{{args.hash}}"
    )
    found = convert(tmp_path, argo(text.replace("{{ interval }}", "1m"), **conditions))
    assert isinstance(found, ConvertedMetric), found
    assert found.fields.get("better", "") == better
    assert found.fields.get("objective") == objective
    checks = "; ".join(found.checks)
    assert check in checks if check else "objective" not in checks, checks


def test_what_a_rollout_says_of_a_template_is_taken(tmp_path: Path) -> None:
    template = argo(
        'x{v="{{args.canary-hash}}",r="{{args.region}}"}', successCondition="result < 5"
    )
    analysis = {
        "templates": [{"templateName": "a"}],
        "args": [{"name": "region", "value": "asia"}],
        "dryRun": [{"metricName": "^m.*"}],
    }
    rollout = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "r"},
        "spec": {"strategy": {"canary": {"steps": [{"analysis": analysis}]}}},
    }
    assert isinstance(convert(tmp_path, template), str)
    found = convert(tmp_path, template, rollout)
    assert isinstance(found, ConvertedMetric), found
    assert found.fields["role"] == "info"
    assert "asia" in found.fields["query"]


def test_both_limits_of_a_canary_are_not_taken_for_one(tmp_path: Path) -> None:
    found = convert(tmp_path, flagger('max(lag{v="{{ target }}"})'), canary(min=1, max=7))
    assert isinstance(found, ConvertedMetric), found
    assert (found.fields["better"], found.fields["objective"]) == ("lower", "7")
    assert "that it must be above 1 isn't converted" in found.checks


def test_init_writes_metrics_into_the_spec_and_says_what_it_cannot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = flagger('max(lag{job="{{ target }}-canary"})')
    wrong = flagger("x", "graphite")
    wrong["metadata"]["name"] = "other"
    file = tmp_path / "flagger.yaml"
    file.write_text(yaml.safe_dump_all([canary(max=7), good, wrong]))
    output = tmp_path / "experiments" / "podinfo.yaml"
    command = ["--root", str(tmp_path), "init", "--from", str(file), "--mesh", "istio"]
    assert main(command) == 0
    spec = load_spec(output)
    assert list(spec.metrics) == ["errors", "p99", "m"]
    assert "other isn't converted: graphite answers no PromQL" in capsys.readouterr().out


def test_what_a_canary_asks_of_requests_goes_before_the_usual_metrics(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own, other = canary(max=7), canary()
    own["spec"]["analysis"]["metrics"] += [
        {"name": "request-success-rate", "thresholdRange": {"min": 99}},
        {"name": "request-duration", "threshold": 500},
        {"name": "p50"},
        {"name": "request-success-rate", "thresholdRange": {"min": 0.99}},
    ]
    other["metadata"]["name"] = other["spec"]["targetRef"]["name"] = "shop"
    other["spec"]["analysis"]["metrics"] = [{"name": "request-success-rate", "threshold": 50}]
    file = tmp_path / "flagger.yaml"
    file.write_text(yaml.safe_dump_all([own, other]))
    command = ["--root", str(tmp_path), "init", "--from", str(file), "--service", "podinfo"]
    assert main(command) == 0
    metrics = load_spec(tmp_path / "experiments" / "podinfo.yaml").request_metrics
    assert {name: one.objective for name, one in metrics.items()} == {"errors": 0.01, "p99": 0.01}
    assert isinstance(metrics["p99"], SlowShare)
    assert metrics["p99"].above == timedelta(milliseconds=500)
    said = capsys.readouterr().out
    assert "m isn't converted: its MetricTemplate m is in none of the files" in said
    assert "p50 isn't converted: Flagger has no metric of that name" in said
    assert "request-success-rate isn't converted: 0.99 is in percent" in said


def test_init_writes_templates_where_nothing_is_split(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "m.yaml"
    file.write_text(yaml.safe_dump(flagger('max(lag{v="{{ target }}"})')))
    command = ["--root", str(tmp_path), "init", "--from", str(file)]
    assert main(command) == 0
    written = tmp_path / "experiments" / "metrics" / "m.yaml"
    assert yaml.safe_load(written.read_text())["query"] == 'max(lag{v="{{version}}"})'
    assert "template: metrics/m.yaml" in capsys.readouterr().out
    assert main(command) == 0
    assert "is there already" in capsys.readouterr().out
