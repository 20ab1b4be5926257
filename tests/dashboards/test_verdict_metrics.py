"""Our own metrics, as prometheus-client reads them; covers dashboards.pipeline_metrics."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from analysis.metric_result import Estimate
from analysis.verdict import Decision
from dashboards.pipeline_metrics import PipelineRun, render_run
from dashboards.report_view import ExperimentReport
from dashboards.verdict_metrics import render_verdicts
from tests.builders import reports
from tests.builders.reports import samples_of
from tests.dashboards.test_exported_metrics import Series, key, parsed


def found(report: ExperimentReport, *, waits: bool = False) -> Series:
    return parsed(render_verdicts([samples_of(report, waits=waits)]))


@pytest.mark.parametrize("decision", Decision)
def test_a_decision_is_a_state_set(decision: Decision) -> None:
    series = found(reports.report("checkout", decision))
    states = {
        one: series[key("split_verdict_decision", experiment="checkout", decision=one.value)]
        for one in Decision
    }
    assert states == {one: float(one is decision) for one in Decision}


def test_harm_is_what_the_report_says_with_its_bounds() -> None:
    report = reports.report("checkout")
    (metric,) = report.verdict.metrics
    of = {
        "experiment": "checkout",
        "candidate": metric.candidate_variant,
        "metric": metric.metric,
        "unit": metric.unit.value,
    }
    series = found(report)
    excess = metric.excess
    for name, value in (
        ("", excess.value + metric.margin),
        ("_lower", excess.lower + metric.margin),
        ("_upper", excess.upper + metric.margin),
        ("_allowed", metric.margin),
    ):
        assert series[key(f"split_verdict_harm{name}", **of)] == pytest.approx(value)


def test_what_is_not_known_is_left_out_and_never_a_zero() -> None:
    """A bound at infinity, a metric without data, a look without a score or a watermark."""
    bad = replace(reports.metric("errors", "canary"), excess=Estimate(0.01, -math.inf, math.inf))
    none = replace(bad, metric="slow", excess=Estimate(math.nan, -math.inf, math.inf))
    report = reports.report("e", metrics=(bad, none), score=None, watermark=None)
    names = {(name, dict(labels).get("metric")) for name, labels in found(report)}
    assert ("split_verdict_harm", "errors") in names
    assert not {name for name, metric in names if metric == "slow"}
    assert not {"split_verdict_harm_lower", "split_verdict_harm_upper"} & {n for n, _ in names}
    assert not {n for n, _ in names if n.startswith("split_verdict_health_score")}
    assert "split_verdict_data_timestamp_seconds" not in {n for n, _ in names}


def test_the_text_is_the_same_whatever_the_order_and_odd_names_survive() -> None:
    odd = reports.report("odd", text='a "b"\\c\nd')
    both = [samples_of(odd), samples_of(reports.report("checkout"))]
    assert render_verdicts(both) == render_verdicts(both[::-1])
    labels = [dict(labels) for _, labels in parsed(render_verdicts(both))]
    assert any(each.get("candidate") == 'a "b"\\c\nd' for each in labels)
    assert render_verdicts([]) == ""


def test_a_run_names_what_failed() -> None:
    run = PipelineRun(1_700_000_000.5, 12.25, 7, ("quiz", "publish", "quiz"), 4096, 0.5)
    assert parsed(render_run(run)) == {
        key("split_verdict_run_timestamp_seconds"): 1_700_000_000.5,
        key("split_verdict_run_duration_seconds"): 12.25,
        key("split_verdict_run_experiments"): 7.0,
        key("split_verdict_run_failed", experiment="quiz"): 1.0,
        key("split_verdict_run_failed", experiment="publish"): 1.0,
        key("split_verdict_warehouse_size_bytes"): 4096.0,
        key("split_verdict_warehouse_wait_seconds"): 0.5,
    }
