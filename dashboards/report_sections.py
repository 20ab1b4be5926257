"""The parts of an experiment's page, in the order in which somebody on call asks for them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from markupsafe import Markup

from analysis.explain.reasons import level
from analysis.metric_result import Classification, MetricResult
from analysis.verdict import Decision, Verdict
from dashboards import report_numbers as numbers
from dashboards.html_table import bullets, facts, paragraph, section, small, table, tag
from dashboards.report_svg import LETTERS, HarmThen, history_svg, interval_svg
from dashboards.report_view import ExperimentReport, PastLook, StageSplit

_MEANING = {
    Decision.PROMOTE: "The candidate is good: it may take the traffic.",
    Decision.HOLD: "Not decided yet: keep the split as it is.",
    Decision.ROLLBACK: "The candidate does harm: send the traffic back.",
    Decision.INVALID: "The data can't be trusted: nothing is decided by it.",
}
_CLASSES = {
    Classification.PASS: "pass",
    Classification.FAIL: "fail",
    Classification.UNCERTAIN: "uncertain",
    Classification.NO_DATA: "no data",
}
_SIGNS = {
    Decision.PROMOTE: "\N{CHECK MARK}",
    Decision.HOLD: "\N{HORIZONTAL ELLIPSIS}",
    Decision.ROLLBACK: "\N{LEFTWARDS ARROW}",
    Decision.INVALID: "!",
}


def verdict_box(verdict: Verdict) -> Markup:
    """What was decided, and why: all that a person on call needs first."""
    return Markup(
        '<div class="verdict {}"><p class="word"><span aria-hidden="true">{} </span>{}</p>'
        '<p class="meaning">{} Score: {}.</p>{}</div>\n'
    ).format(
        verdict.decision.value,
        _SIGNS[verdict.decision],
        verdict.decision.value.upper(),
        _MEANING[verdict.decision],
        numbers.score(verdict.decision, verdict.score),
        bullets(verdict.reasons),
    )


def notes_section(verdict: Verdict) -> Markup:
    """What decides nothing, but should be known."""
    return section("Notes", bullets(verdict.notes)) if verdict.notes else Markup()


def metrics_section(verdict: Verdict) -> Markup:
    """Every metric of every candidate, with its interval drawn."""
    headings = ("metric", "result", "values", "difference", "interval")
    caption = (
        "Difference: candidate minus baseline. Its bounds hold at every look. In the pictures the "
        "solid line is no difference, the dashed one the harm that is allowed."
    )
    return section("Metrics", table(caption, headings, map(_metric, verdict.metrics)))


def _metric(metric: MetricResult) -> tuple[str, ...]:
    kind = f"{metric.role.value}, critical" if metric.critical else metric.role.value
    found = numbers.possible(metric.difference, is_share=metric.is_share)
    bounds = numbers.interval(found, is_share=metric.is_share)
    said = numbers.difference(found, is_share=metric.is_share)
    allowed = allowed_difference(metric)
    limit = "no harm is allowed"
    if allowed is not None:
        limit = f"allowed {numbers.signed(allowed, is_share=metric.is_share)}"
    within = numbers.probability(metric.probability_within_margin)
    return (
        Markup("{}{}").format(metric.metric, small(kind)),
        Markup("{}{}").format(
            tag(_CLASSES[metric.classification], metric.classification.value),
            small(f"probability of no harm beyond the margin: {within}"),
        ),
        Markup("{}{}").format(
            _arm(metric, metric.candidate_variant, metric.candidate, metric.exposure_candidate),
            _arm(metric, metric.baseline_variant, metric.baseline, metric.exposure_baseline),
        ),
        Markup("{}{}{}").format(said, small(bounds), small(limit)),
        interval_svg(found, allowed, f"{said}, {bounds}; {limit}"),
    )


def _arm(metric: MetricResult, variant: str, value: float, exposure: float) -> Markup:
    unit = f"{metric.unit}s"
    shown = numbers.unbroken(level(metric, value))
    if not math.isfinite(value):
        # Without the other version's data a version's own value isn't worked out.
        shown = "not compared" if exposure > 0 else "no data"
    return Markup('<div class="arm">{} <b>{}</b></div>{}').format(
        variant, shown, small(f"{numbers.count(exposure)} {unit}")
    )


def allowed_difference(metric: MetricResult) -> float | None:
    """What is allowed, as a difference: below zero where more is better; None where nothing is."""
    if not metric.margin or not math.isfinite(metric.margin):
        return None
    return -metric.margin if metric.higher_is_better else metric.margin


def history_section(report: ExperimentReport) -> Markup:
    """The harm of every metric, look by look, and what each look decided."""
    looks = report.looks
    legend = ", ".join(f"{letter} {decision.value}" for decision, letter in LETTERS.items())
    said = f"{len(looks)} looks" if len(looks) > 1 else "One look"
    earlier = f", after {report.earlier_looks} that are not shown" if report.earlier_looks else ""
    intro = (
        f"{said}{earlier}. Bars: where the harm lies, valid at every look; dashed: what is "
        f"allowed. Letters: what the look decided ({legend})."
    )
    pictures = [_picture(report, metric) for metric in report.verdict.metrics]
    return section("Looks", paragraph(intro, "soft"), *pictures, _look_table(looks))


def _picture(report: ExperimentReport, metric: MetricResult) -> Markup:
    key = metric.metric, metric.candidate_variant
    found = [
        HarmThen(look.at, look.decision, harm.harm, harm.allowed)
        for look in report.looks
        for harm in look.harms
        if (harm.metric, harm.candidate) == key
    ]
    if not found:
        return Markup()
    name = f"{metric.metric}: harm of {metric.candidate_variant}"
    last = found[-1]
    label = (
        f"{name}, look by look; at last {numbers.difference(last.harm, is_share=metric.is_share)}, "
        f"{numbers.interval(last.harm, is_share=metric.is_share)}, "
        f"allowed {numbers.signed(last.allowed, is_share=metric.is_share)}"
    )
    unit, factor = ("points", 100.0) if metric.is_share else ("its unit", 1.0)
    return Markup("<h3>{}, in {}</h3>{}").format(name, unit, history_svg(found, factor, label))


def _look_table(looks: Sequence[PastLook]) -> Markup:
    """The same as text, the latest look first."""
    rows = [
        (
            numbers.moment(look.at),
            tag(look.decision.value, look.decision.value),
            numbers.score(look.decision, look.score),
            Markup("<br>").join(
                f"{harm.metric} of {harm.candidate}: "
                f"{numbers.interval(harm.harm, is_share=harm.is_share)}, "
                f"allowed {numbers.signed(harm.allowed, is_share=harm.is_share)}"
                for harm in look.harms
            ),
        )
        for look in reversed(looks)
    ]
    found = table("Latest first.", ("look", "decision", "score", "harm"), rows)
    return Markup("<details><summary>All looks as a table</summary>{}</details>").format(found)


def split_section(report: ExperimentReport) -> Markup:
    """How the traffic was divided, stage by stage."""
    if not report.split:
        return Markup()
    unit = report.split[0].unit
    headings = ("when", "variant", f"{unit} seen", "observed", "configured")
    caption = f"The share of {unit} that each variant got, beside the configured one."
    rows = [row for number, stage in enumerate(report.split, 1) for row in _stage(number, stage)]
    return section("Split", table(caption, headings, rows))


def _stage(number: int, stage: StageSplit) -> Iterator[tuple[str, ...]]:
    span = f"{stage.start:%H:%M:%S} to {stage.end:%H:%M:%S}"
    for share in stage.variants:
        yield (
            Markup("{}{}").format(f"stage {number}", small(span)),
            share.variant,
            numbers.count(share.seen),
            numbers.percent(share.observed),
            "none" if share.configured is None else numbers.percent(share.configured),
        )


def quality_section(verdict: Verdict) -> Markup:
    """Every check of the data, failed ones first."""
    rows = [
        (
            check.name,
            tag("passed", "pass") if check.passed else tag("failed", "fail"),
            check.detail,
        )
        for check in sorted(verdict.quality, key=lambda check: check.passed)
    ]
    caption = "With one that fails no candidate is promoted; what it shows by itself still counts."
    return section("Quality of the data", table(caption, ("check", "result", "found"), rows))


def facts_section(report: ExperimentReport) -> Markup:
    """What the verdict can be replayed by."""
    watermark = (
        "none" if report.verdict.watermark is None else numbers.moment(report.verdict.watermark)
    )
    return section(
        "This verdict",
        facts(
            [
                ("look", numbers.moment(report.verdict.look_at)),
                ("window from", numbers.moment(report.verdict.window_start)),
                ("complete up to", watermark),
                ("spec", report.spec_hash),
                ("software", f"split-verdict {report.software_version}"),
            ]
        ),
    )
