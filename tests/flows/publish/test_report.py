"""What `verdict run` and `verdict publish` write for people to read: the HTML report."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from analysis.judge.latency_table import LatencyTable
from analysis.metric_result import Estimate, MetricResult
from analysis.verdict import Decision
from flows.look.evaluate import score_experiment
from flows.look.verdict_document import restored
from flows.publish.marts import PublishFailed, latest_marts
from flows.publish.publish_all import publish_all
from flows.publish.report import ReportViews, _harm_of, report_views
from flows.spec.experiment import Experiment
from flows.warehouse.connection import open_writer, transaction
from flows.workspace.experiments import select
from flows.workspace.paths import Workspace
from tests.builders.metric_results import ERRORS
from tests.builders.small_warehouse import BUCKET, CHECKOUT, INFINITY, START

SPEC = Experiment.model_validate(CHECKOUT | {"plan": {"start": START}})
BUCKETS = 40


def _workspace(root: Path, looks: int = 3) -> Workspace:
    """One experiment with ten minutes of requests and latencies, and looks at the last minutes."""
    workspace = Workspace(root)
    workspace.experiments.mkdir()
    spec = CHECKOUT | {"plan": {"start": START.isoformat()}}
    (workspace.experiments / "checkout.yaml").write_text(yaml.safe_dump(spec))
    workspace.warehouse.parent.mkdir()
    with open_writer(workspace.warehouse) as con, transaction(con):
        for i in range(BUCKETS):
            at = START + i * BUCKET
            for variant, requests in (("stable", 190), ("canary", 10)):
                con.execute(
                    "insert into request_buckets values "
                    "('checkout', ?, ?, ?, '', 'success', '200', '', '', ?, '')",
                    [START, at, variant, requests],
                )
                con.executemany(
                    "insert into latency_buckets values ('checkout', ?, ?, ?, ?, ?, 0, '')",
                    [
                        (START, at, variant, le, requests * part // 10)
                        for le, part in ((5, 5), (100, 9), (INFINITY, 10))
                    ],
                )
    for i in reversed(range(looks)):
        at = START + BUCKETS * BUCKET - i * timedelta(minutes=1)
        score_experiment(SPEC, workspace.warehouse, at=at)
    return workspace


def test_publish_writes_the_report_and_says_where(tmp_path: Path) -> None:
    workspace = _workspace(tmp_path)
    written = publish_all(workspace, select(workspace))
    assert written[-1] == workspace.report / "index.html"
    assert {path.name for path in workspace.report.iterdir()} == {"index.html", "checkout.html"}
    page = (workspace.report / "checkout.html").read_text(encoding="utf-8")
    (view,) = report_views(workspace.warehouse, [SPEC]).reports
    assert view.verdict.decision.value.upper() in page
    assert "3 looks" in page
    assert "Latency" in page
    assert 'href="checkout.html"' in written[-1].read_text(encoding="utf-8")


def test_same_verdicts_give_the_same_pages(tmp_path: Path) -> None:
    workspace = _workspace(tmp_path)
    publish_all(workspace, select(workspace))
    before = {path: path.read_bytes() for path in workspace.report.iterdir()}
    publish_all(workspace, select(workspace))
    assert {path: path.read_bytes() for path in workspace.report.iterdir()} == before


def test_page_is_made_again_only_after_a_new_look(tmp_path: Path) -> None:
    workspace = _workspace(tmp_path)
    page = workspace.report / "checkout.html"
    made = []
    for minute in (0, 0, 1):
        if minute:
            score_experiment(
                SPEC, workspace.warehouse, at=START + BUCKETS * BUCKET + minute * BUCKET
            )
        publish_all(workspace, select(workspace))
        made.append(page.stat().st_ino)
    assert made[0] == made[1] != made[2]


def test_report_draws_what_the_warehouse_counts(tmp_path: Path) -> None:
    (view,) = report_views(_workspace(tmp_path).warehouse, [SPEC]).reports
    first = {point.variant: point for point in view.traffic.points[:2]}
    step = view.traffic.step_s / BUCKET.total_seconds()
    assert first["stable"].per_second * view.traffic.step_s == pytest.approx(190 * step)
    assert (first["canary"].share, first["canary"].configured) == (0.05, 0.05)
    assert first["canary"].drift == pytest.approx(0)
    assert first["canary"].success == 1
    assert [(q.lower_ms, q.upper_ms) for q in first["stable"].quantiles[:2]] == [(0, 5), (5, 100)]
    assert {curve.variant: curve.shares for curve in view.latency_curves} == {
        "stable": (0.5, 0.9), "canary": (0.5, 0.9),
    }  # fmt: skip
    assert [(kind.outcome, kind.counts) for kind in view.responses] == [("success", (7600, 400))]
    assert "experiment: checkout" in view.spec


def test_folder_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    workspace = _workspace(tmp_path, looks=1)
    workspace.report.write_text("in the way")
    with pytest.raises(PublishFailed, match=r"could not publish to .*report") as raised:
        publish_all(workspace, select(workspace))
    assert "\n" not in str(raised.value)
    assert latest_marts(workspace.marts) is None
    assert workspace.report.read_text() == "in the way"


def test_split_is_told_stage_by_stage_beside_the_configured_one(tmp_path: Path) -> None:
    workspace = _workspace(tmp_path, looks=1)
    (view,) = report_views(workspace.warehouse, select(workspace).experiments).reports
    stages = [
        (stage.unit, {share.variant: (share.seen, share.configured) for share in stage.variants})
        for stage in view.split
    ]
    assert stages[0] == ("requests", {"stable": (3800, 0.95), "canary": (200, 0.05)})
    assert [share.observed for share in view.split[0].variants] == [0.95, 0.05]
    assert view.split[-1].end == view.verdict.look_at


def test_report_says_what_the_verdict_says(tmp_path: Path) -> None:
    workspace = _workspace(tmp_path)
    document = score_experiment(SPEC, workspace.warehouse, at=START + BUCKETS * BUCKET)
    (view,) = report_views(workspace.warehouse, [SPEC]).reports
    assert view.verdict.latency == document.latency
    assert view.verdict.reasons == document.reasons
    assert view.verdict.quality == document.quality
    for shown, metric in zip(view.verdict.metrics, document.metrics, strict=True):
        assert repr(shown) == repr(metric)  # NaN equals NaN
    last = view.looks[-1]
    assert (last.at, last.decision) == (document.look_at, document.decision)
    for harm, metric in zip(last.harms, document.metrics, strict=True):
        assert harm.harm.value == metric.excess.value + metric.margin
        assert harm.allowed == metric.margin


def test_past_harm_is_in_the_unit_of_its_margin() -> None:
    relative = Estimate(0.4, -0.6, 0.9)
    found = replace(ERRORS, relative=relative, margin_relative=1.0, excess=Estimate(-1, -2, 0))
    past = _harm_of(found)
    assert (past.harm, past.allowed, past.is_relative) == (relative, 1.0, True)
    absolute = _harm_of(replace(found, margin_relative=0.0))
    assert (absolute.allowed, absolute.is_relative) == (found.margin, False)


def test_more_looks_than_a_picture_holds_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.publish.report._MOST_LOOKS", 2)
    workspace = _workspace(tmp_path, looks=5)
    (view,) = report_views(workspace.warehouse, [SPEC]).reports
    assert (len(view.looks), view.earlier_looks) == (2, 3)
    assert view.looks[-1].at == view.verdict.look_at


@pytest.mark.parametrize("decision", Decision)
@pytest.mark.parametrize("index_only", [(), ("checkout",)])
def test_the_index_knows_of_every_plan_whether_it_is_over(
    tmp_path: Path, decision: Decision, index_only: tuple[str, ...]
) -> None:
    """Also of those whose pages are as they were, as at each run after the plan's end."""
    workspace = _workspace(tmp_path, looks=1)
    with open_writer(workspace.warehouse) as con, transaction(con):
        con.execute("update verdicts set decision = ?", [decision.value])
    for minutes, is_over in ((10, True), (11, False)):
        plan = {"start": START, "duration": f"{minutes}m"}
        spec = Experiment.model_validate(CHECKOUT | {"plan": plan})
        (entry,) = report_views(workspace.warehouse, [spec], index_only=index_only).entries
        assert (entry.decision, entry.is_over) == (decision, is_over)


def test_experiment_without_a_spec_or_a_look_has_no_page(tmp_path: Path) -> None:
    workspace = _workspace(tmp_path, looks=1)
    other = SPEC.model_copy(update={"experiment": "other"})
    assert report_views(workspace.warehouse, [other]) == ReportViews([], [])


def test_experiment_whose_spec_broke_stays_in_the_index(tmp_path: Path) -> None:
    workspace = _workspace(tmp_path, looks=1)
    publish_all(workspace, select(workspace))
    page = workspace.report / "checkout.html"
    before = page.read_bytes()
    (workspace.experiments / "checkout.yaml").write_text("experiment: checkout\n")
    publish_all(workspace, select(workspace))
    index = (workspace.report / "index.html").read_text(encoding="utf-8")
    assert "spec can't be read: checkout.yaml:1: " in index
    assert "no verdict" in index
    assert 'href="checkout.html"' in index
    assert page.read_bytes() == before
    assert (workspace.dashboards / "sv-checkout.json").is_file()


def test_what_was_published_of_a_removed_experiment_goes_and_nothing_else(tmp_path: Path) -> None:
    workspace = _workspace(tmp_path, looks=1)
    publish_all(workspace, select(workspace))
    dashboard = workspace.dashboards / "sv-checkout.json"
    foreign = [
        workspace.report / "notes.html",
        workspace.report / "checkout-2.html",
        workspace.dashboards / "sv-ours.json",
        workspace.dashboards / "sv-copy.json",
        workspace.dashboards / "ours.json",
    ]
    for path in foreign[:3]:
        path.write_text("<h1>ours</h1>")
    for path in foreign[3:]:
        path.write_text(dashboard.read_text())
    (workspace.experiments / "checkout.yaml").rename(workspace.experiments / "other.yaml")
    publish_all(workspace, select(workspace))
    assert not dashboard.exists()
    assert not (workspace.report / "checkout.html").exists()
    assert all(path.exists() for path in foreign)
    assert (workspace.report / "index.html").exists()
    assert (workspace.dashboards / "split-verdict-fleet.json").exists()


@dataclass(frozen=True, slots=True)
class _Newer:
    """A record with fields that older software didn't write."""

    known: float
    interval: Estimate
    unknown: float
    some: tuple[str, ...]
    maybe: float | None
    number: int = 3


def test_verdicts_of_older_software_are_read() -> None:
    stored = json.loads('{"known": 1, "interval": {"value": null, "lower": null, "upper": 2.0}}')
    found = restored(_Newer, stored)
    expected = _Newer(1.0, Estimate(float("nan"), -INFINITY, 2.0), float("nan"), (), None)
    assert repr(found) == repr(expected)


def test_every_record_of_the_report_can_be_read_from_nothing_but_its_names() -> None:
    table = restored(LatencyTable, {"baseline_variant": "a", "candidate_variant": "b"})
    assert table.quantiles == ()
    names = {"metric": "m", "baseline_variant": "a", "candidate_variant": "b", "group": "all"}
    kinds = {"unit": "user", "role": "goal", "classification": "pass"}
    assert restored(MetricResult, names | kinds).margin != 0
