"""Reports for the tests, built by hand, and how a page is read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

from analysis.judge.latency_table import LatencyOrder, LatencyTable, QuantileComparison, SlowerShare
from analysis.metric_result import Classification, Estimate, MetricResult
from analysis.plan import Role, Unit
from analysis.quality.checks import QualityCheck
from analysis.requests.latency import QuantileRange
from analysis.verdict import Decision, Verdict
from dashboards.report_view import (
    ExperimentReport,
    IndexEntry,
    LatencyCurve,
    LiftRow,
    PastHarm,
    PastLook,
    PodCount,
    ResponseCount,
    StageSplit,
    TrafficPoint,
    TrafficSeries,
    VariantShare,
)
from dashboards.verdict_metrics import VerdictSamples, verdict_samples

INF = float("inf")
START = datetime(2026, 1, 2, 3, tzinfo=UTC)
VOID = {"meta", "link", "br", "input"}


def metric(name: str = "errors", candidate: str = "canary") -> MetricResult:
    return MetricResult(
        metric=name,
        baseline_variant="stable",
        candidate_variant=candidate,
        unit=Unit.REQUEST,
        role=Role.GUARDRAIL,
        classification=Classification.FAIL,
        baseline=0.003,
        candidate=0.033,
        difference=Estimate(0.03, 0.02, 0.04),
        relative=Estimate(10.0, 6.0, INF),
        excess=Estimate(0.025, 0.015, 0.035),
        standard_error=0.002,
        margin=0.005,
        probability_within_margin=0.00002,
        exposure_baseline=22_150.0,
        exposure_candidate=7_914.0,
        weight=1.0,
        critical=True,
        group="all",
        is_share=True,
        higher_is_better=False,
    )


def latency(candidate: str = "canary") -> LatencyTable:
    ranges = QuantileRange(0.99, 100.0, 250.0, 180.0), QuantileRange(0.99, 250.0, INF, 400.0)
    return LatencyTable(
        baseline_variant="stable",
        candidate_variant=candidate,
        confidence=0.95,
        requests_baseline=22_150.0,
        requests_candidate=7_914.0,
        alone_baseline=10.0,
        alone_candidate=0.0,
        quantiles=(QuantileComparison(0.99, *ranges, Estimate(220.0, 0.0, INF)),),
        slower_than=(SlowerShare(100.0, 0.02, 0.05, Estimate(0.03, 0.01, 0.05)),),
        order=LatencyOrder((100.0,), (), everywhere=True),
        dropped_baseline=(5.0, 10.0),
        dropped_candidate=(),
    )


def looks(
    decisions: tuple[Decision, ...] = (Decision.HOLD, Decision.HOLD, Decision.ROLLBACK),
    name: str = "errors",
    candidate: str = "canary",
) -> tuple[PastLook, ...]:
    """The first knows nothing yet; then the intervals become narrower."""
    harms = [Estimate(0.03, -INF, INF), *(Estimate(0.03, 0.03 - w, 0.03 + w) for w in (0.3, 0.01))]
    return tuple(
        PastLook(
            START + i * timedelta(minutes=1),
            decision,
            None if i == 0 else 0.0,
            (PastHarm(name, candidate, harms[min(i, 2)], 0.005, is_share=True),),
        )
        for i, decision in enumerate(decisions)
    )


def report(
    name: str = "checkout", decision: Decision = Decision.ROLLBACK, text: str = "", **changed: Any
) -> ExperimentReport:
    """text: put wherever somebody else's words can come from; without it, plain words.

    changed: other fields of the verdict.
    """
    metric_name, candidate = text or "errors", text or "canary"
    end = START + timedelta(minutes=3)
    verdict = Verdict(
        experiment=name,
        decision=decision,
        score=99.97,
        reasons=(text or "errors: harm at least 2.00 points", "another reason"),
        notes=(text or "a note",),
        look_at=end,
        window_start=START,
        watermark=end,
        metrics=(metric(metric_name, candidate),),
        quality=(
            QualityCheck(text or "fresh data", passed=True, detail=text or "data is fresh"),
            QualityCheck("split", passed=False, detail="the split is off"),
        ),
        segments=(),
        latency=(latency(candidate),),
    )
    seen = (
        VariantShare("stable", 22_150.0, 0.737, 0.75),
        VariantShare(candidate, 7_914.0, 0.263, None),
    )
    return ExperimentReport(
        verdict=replace(verdict, **changed),
        service=text or "checkout-service",
        namespace=text or "shop",
        description=text or "is v2 fit?",
        looks=looks(name=metric_name, candidate=candidate),
        earlier_looks=7,
        split=(StageSplit(START, end, "requests", seen),),
        spec_hash=text or "abc123",
        software_version=text or "0.1.0",
        owner=text or "team-shop",
        variants=("stable", candidate),
        plan_start=START,
        plan_end=end,
        traffic=TrafficSeries(15.0, tuple(_points(candidate))),
        latency_curves=tuple(
            LatencyCurve(variant, (10.0, 100.0), (0.4, share))
            for variant, share in (("stable", 0.98), (candidate, 0.95))
        ),
        responses=(ResponseCount(text or "503/UO", "failure", (66.0, 261.0)),),
        pods=(PodCount(candidate, text or "pod-1", 7_914.0, 261.0, is_bad=True),),
        effects=(
            LiftRow(
                text or "buys",
                candidate,
                text,
                900.0,
                300.0,
                0.1,
                -0.05,
                0.25,
                0.2,
                0.9,
                0.01,
                notable=False,
                is_share=True,
            ),
        ),
        spec=text or "experiment: checkout",
        manifests=(text or "split.yaml",),
        dashboard="sv-checkout",
    )


def samples_of(report: ExperimentReport, *, waits: bool = False) -> VerdictSamples:
    """A report's verdict and its last stage as exported metrics."""
    split = report.split[-1].variants
    return verdict_samples(report.verdict, stage=len(report.split), split=split, waits=waits)


def _points(candidate: str) -> list[TrafficPoint]:
    """Twelve stretches of 15 s of both versions."""
    ranges = tuple(QuantileRange(q, 10.0, 100.0, 40.0) for q in (0.5, 0.9, 0.99))
    return [
        TrafficPoint(
            START + i * timedelta(seconds=15), variant, 50.0, success, share, share, 0.0, ranges
        )
        for i in range(12)
        for variant, success, share in (("stable", 0.997, 0.75), (candidate, 0.967, 0.25))
    ]


def entry(
    name: str = "checkout", decision: Decision = Decision.ROLLBACK, text: str = "", **changed: Any
) -> IndexEntry:
    """An experiment in the index; text as in report."""
    found = IndexEntry(
        experiment=name,
        service=text or "checkout-service",
        owner=text or "team-shop",
        decision=decision,
        score=99.97,
        reasons=(text or "errors: harm at least 2.00 points", "another reason"),
        look_at=START,
        scores=(100.0, None, 0.0),
    )
    return replace(found, **changed)


@dataclass(frozen=True, slots=True)
class Element:
    """An element of a page with its attributes and the text that is directly in it."""

    name: str
    attributes: dict[str, str | None]
    text: list[str] = field(default_factory=list)

    def number(self, attribute: str) -> float:
        return float(self.attributes[attribute] or "nan")


class Page(HTMLParser):
    """A page as its elements; raises AssertionError where tags aren't closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.feed(str(html))  # Markup's parts would stay Markup
        self.close()
        assert not self._open, f"never closed: {[each.name for each in self._open]}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs))
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop().name == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        if self._open:
            self._open[-1].text.append(data)

    def all(self, name: str, of_class: str | None = None) -> list[Element]:
        return [
            element
            for element in self.elements
            if element.name == name
            and (of_class is None or of_class in (element.attributes.get("class") or "").split())
        ]

    @property
    def text(self) -> str:
        """All text but the style sheet's."""
        return " ".join(
            part for element in self.elements if element.name != "style" for part in element.text
        )
