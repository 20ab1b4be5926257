"""Queries that look like what they are not: each is a metric of what it counts, or is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows.manifests.metric_queries import ConvertedMetric
from tests.flows.manifests.test_metric_manifests import argo, convert, flagger, kayenta

_OF_ONE = 'sum(rate(e_total{{v="{}"}}[5m]))'
_CANARY, _STABLE = (_OF_ONE.format(f"{{{{args.{one}-hash}}}}") for one in ("canary", "stable"))
_MEAN = '{} / sum(rate(lat_count{{v="{{{{args.canary-hash}}}}"}}[5m]))'
_COMPARES = "isn't converted: its query compares versions itself, which the judge does"


@pytest.mark.parametrize(
    "document",
    [
        argo(f"{_CANARY} / {_STABLE}", successCondition="result[0] < 1.2"),
        argo(f"{_CANARY} - {_STABLE}", successCondition="result[0] < 1.2"),
        argo('sum(r{s="{{args.canary-service}}"}) - sum(r{s="{{args.stable-service}}"})'),
        argo('sum(rate(e{v="{{args.hash}}"}[1m])) / sum(rate(e{v="{{args.hash}}"}[1m]))'),
        flagger('sum(r{app="{{ target }}"}) / sum(r{app="{{ target }}-primary"})'),
        flagger('sum(r{s="{{ service }}-canary"}) / sum(r{s="{{ service }}-primary"})'),
    ],
)
def test_a_query_that_compares_versions_is_no_metric_of_one(
    tmp_path: Path, document: dict[str, Any]
) -> None:
    """Both arguments would be the same version, whose difference is 0 whatever it does."""
    found = convert(tmp_path, document)
    assert isinstance(found, str)
    assert _COMPARES in found


@pytest.mark.parametrize(
    ("document", "kind", "check"),
    [
        # A mean is no share, though a quotient of counters.
        (argo(_MEAN.format(_CANARY.replace("e_total", "lat_sum"))), "gauge", ""),
        (argo(_MEAN.format(_CANARY.replace("e_total", "busy_seconds_total"))), "gauge", ""),
        (argo(_MEAN.format(_CANARY.replace("e_total", "errors_sum_total"))), "gauge", ""),
        (argo(_MEAN.format(_CANARY)), "ratio", ""),
        (flagger('sum(\n rate(e{ # "errors"\n app="{{ target }}"}[1m]))'), "gauge", ""),
        (flagger('avg(m{s="{{ service }}-canary",d="{{ target }}"})'), "gauge", ""),
        (flagger('avg(m{app="{{ target }}", a="#1"}) # of all'), "gauge", ""),
        (flagger('avg(e_total{app="{{ target }}"})'), "gauge", "a counter only grows"),
        (flagger('sum(rate(e_total{app="{{ target }}"}[1m]))'), "gauge", ""),
        (
            kayenta(
                {"type": "prometheus", "metricName": "e_total", "labelBindings": ['v="${scope}"']}
            ),
            "gauge",
            "a counter only grows",
        ),
        (
            argo(_CANARY, successCondition="result[0] < 0.5", failureCondition="result[0] > 0.9"),
            "gauge",
            "its failureCondition 'result[0] > 0.9' isn't converted",
        ),
        (
            argo(_CANARY, successCondition="result[0] < 0.5", failureCondition="result[0] >= 0.5"),
            "gauge",
            "",
        ),
        (
            argo('m{v="{{args.hash}}",service_port="{{args.service-port}}"}'),
            "",
            "args.service-port",
        ),
    ],
)
def test_a_query_is_a_metric_of_what_it_counts(
    tmp_path: Path, document: dict[str, Any], kind: str, check: str
) -> None:
    found = convert(tmp_path, document)
    if isinstance(found, str):
        assert (kind, check in found) == ("", True)
        return
    assert isinstance(found, ConvertedMetric)
    assert found.fields["kind"] == kind
    assert "#" not in found.fields.get("query", "").replace("#1", "")
    said = "; ".join(one for one in found.checks if "lower or higher" not in one)
    assert (check in said) if check else said == ""
