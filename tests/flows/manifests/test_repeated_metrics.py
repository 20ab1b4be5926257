"""One template that is asked in several ways, and limits that no spec can hold: none is lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flows.manifests.metric_manifests import metrics_in
from flows.manifests.metric_queries import ConvertedMetric, said_of
from flows.manifests.new_metrics import found_in
from tests.flows.manifests.test_metric_manifests import argo, canary, flagger

LAG = 'max(lag{v="{{ target }}",d="{{ variables.d }}"})'
QUERY = 'x{v="{{args.canary-hash}}",r="{{args.region}}"}'
Said = list[ConvertedMetric | str]


def _file(folder: Path, *documents: dict[str, Any]) -> Path:
    file = folder / "m.yaml"
    file.write_text("---\n".join(json.dumps(each) + "\n" for each in documents))
    return file


def _said(folder: Path, *documents: dict[str, Any]) -> Said:
    return list(said_of(metrics_in([_file(folder, *documents)], "version")))


def _uses(*metrics: dict[str, Any], name: str = "podinfo") -> dict[str, Any]:
    found = canary()
    found["metadata"]["name"] = name
    found["spec"]["analysis"]["metrics"] = list(metrics)
    return found


def _use(direction: str, **limits: Any) -> dict[str, Any]:
    own = {"templateVariables": {"d": direction}, **limits}
    return {"name": "m", "templateRef": {"name": "m"}, **own}


def _objectives(said: Said) -> list[str | None]:
    return [one.fields.get("objective") for one in said if isinstance(one, ConvertedMetric)]


def test_every_use_of_a_template_is_a_metric(tmp_path: Path) -> None:
    uses = (_use(d, thresholdRange={"max": most}) for d, most in (("in", 5), ("out", 7), ("in", 5)))
    said = _said(tmp_path, _uses(*uses), flagger(LAG))
    assert _objectives(said) == ["5", "7"]


def test_what_another_canary_asks_of_a_template_is_not_this_ones(tmp_path: Path) -> None:
    canaries = [
        _uses(_use("in", thresholdRange={"max": most}), name=name)
        for name, most in (("shop", 9), ("podinfo", 5))
    ]
    file = _file(tmp_path, *canaries, flagger(LAG))
    (shop, own) = metrics_in([file], "version")
    assert (shop.highest, own.highest) == (9, 5)
    found = found_in([file], "version", own.origin)
    assert [one.fields["objective"] for one in found.converted] == ["5"]


def test_the_older_threshold_of_a_template_is_a_highest_value(tmp_path: Path) -> None:
    said = _said(tmp_path, _uses(_use("in", threshold=7)), flagger(LAG))
    assert _objectives(said) == ["7"]


OF = 'sum(rate(r_total{%sv="{{ target }}"}[1m]))'


@pytest.mark.parametrize(
    ("sign", "limits"),
    [("=", {"max": 0}), ("=", {"max": 1}), ("!=", {"min": 1}), ("!=", {"min": 100})],
)
def test_a_limit_that_no_ratio_has_is_told(
    tmp_path: Path, sign: str, limits: dict[str, float]
) -> None:
    part = f'code{sign}"500",'
    (said,) = _said(tmp_path, canary(**limits), flagger(f"{OF % part}/{OF % ''}"))
    assert isinstance(said, ConvertedMetric)
    (limit,) = limits.values()
    assert "objective" not in said.fields
    assert any(f"its limit {limit:g} isn't converted" in check for check in said.checks)


@pytest.mark.parametrize(
    ("percent", "objective"), [(100, "0.0001"), (99, "0.01"), (0, None), (0.99, None), (101, None)]
)
def test_a_success_rate_is_never_asked_less_than_written(
    tmp_path: Path, percent: float, objective: str | None
) -> None:
    metric = {"name": "request-success-rate", "thresholdRange": {"min": percent}}
    (said,) = _said(tmp_path, _uses(metric))
    if objective is None:
        assert f"{percent:g} is in percent" in str(said)
    else:
        assert isinstance(said, ConvertedMetric)
        assert said.fields["objective"] == objective


def _rollout(*analyses: dict[str, Any]) -> dict[str, Any]:
    steps = [{"analysis": {"templates": [{"templateName": "a"}], **one}} for one in analyses]
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "r"},
        "spec": {"strategy": {"canary": {"steps": steps}}},
    }


def _arguments(**values: str | None) -> dict[str, Any]:
    own = [{"name": name} | ({"value": v} if v else {}) for name, v in values.items()]
    return {"args": own}


@pytest.mark.parametrize(
    ("analyses", "regions"),
    [
        ([], ["eu"]),
        ([_arguments(region="asia")], ["asia"]),
        ([_arguments(region="asia"), _arguments(region="us")], ["asia", "us"]),
        ([_arguments(region="asia"), {}], ["asia", "eu"]),
        ([_arguments(region="asia"), _arguments(region="asia")], ["asia"]),
    ],
)
def test_what_a_rollout_says_goes_before_a_templates_own_value(
    tmp_path: Path, analyses: list[dict[str, Any]], regions: list[str]
) -> None:
    template = argo(QUERY, successCondition="result < 5")
    template["spec"]["args"] = [{"name": "canary-hash"}, {"name": "region", "value": "eu"}]
    said = _said(tmp_path, template, _rollout(*analyses))
    queries = [one.fields["query"] for one in said if isinstance(one, ConvertedMetric)]
    assert [r for q in queries for r in ("eu", "asia", "us") if r in q] == regions


DRY = {"dryRun": [{"metricName": "m"}]}


@pytest.mark.parametrize(
    ("analyses", "role"), [([DRY], "info"), ([DRY, DRY], "info"), ([DRY, {}], None)]
)
def test_a_metric_is_dry_where_it_is_in_every_analysis(
    tmp_path: Path, analyses: list[dict[str, Any]], role: str | None
) -> None:
    template = argo('x{v="{{args.canary-hash}}"}', successCondition="result < 5")
    (said,) = _said(tmp_path, template, _rollout(*analyses))
    assert isinstance(said, ConvertedMetric)
    assert said.fields.get("role") == role
