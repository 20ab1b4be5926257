"""The HTML report: whole, escaped, complete, the same for the same verdicts, and accessible.

Covers dashboards.page_templates, dashboards.chart_svg, dashboards.chart_layers.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from analysis.judge.segments import SegmentEffect, SegmentTable
from analysis.metric_result import Classification, Estimate
from analysis.plan import Role, Unit
from analysis.verdict import Decision
from dashboards.effect_charts import confidence_sequences, segment_forests, users_over_time
from dashboards.html_report import (
    experiment_page,
    index_page,
    is_page_of,
    report_files,
)
from dashboards.next_action import asks_of, next_actions
from dashboards.page_templates import page_of
from dashboards.report_charts import latency_ecdf, traffic_charts
from dashboards.report_intervals import interval_bar
from dashboards.report_view import NO_TRAFFIC, BrokenSpec, PastHarm, PastLook, VariantShare
from tests.builders.reports import INF, START, Page, entry, latency, looks, metric, report

HOSTILE = """<script>alert("1")</script>'"><img src=x onerror=alert(1)> & {0} {name} %s"""
STYLE = Path("dashboards/templates/report.css")
SCRIPT = Path("dashboards/templates/report.js").read_text(encoding="utf-8")
TURNED = "a\N{RIGHT-TO-LEFT OVERRIDE}b\N{ZERO WIDTH SPACE}c\x1b"


@cache
def _usual_page() -> str:
    return experiment_page(report())


def test_page_says_what_was_decided_and_why_before_anything_else() -> None:
    page = _usual_page()
    text = Page(page).text
    assert "ROLLBACK" in text
    assert text.index("ROLLBACK") < text.index("harm at least 2.00 points")
    assert text.index("another reason") < text.index("Metrics") < text.index("Over time")


@pytest.mark.parametrize(
    "said",
    [
        "canary", "3.30 %", "7,914 requests", "+3.00 points",
        "between +2.00 and +4.00 points", "allowed +0.50", "under 0.1 %", "fail",
        "3 looks, after 7 that are not shown", "team-shop", "503/UO", "pod-1", "+10 %", "90.0 %",
        "experiment: checkout", "--at 2026-01-02T03:03:00Z", "73.7 %", "75.0 %", "p99",
        "100 to 250 ms",
        "above 250 ms", "\N{ALMOST EQUAL TO} 180 ms", "≈: interpolated", "at least +0 ms", "slower",
        "10 more had no counterpart", "5, 10 ms of", "the split is off", "failed",
        "a note", "abc123", "split-verdict 0.1.0", "2026-01-02 03:03:00 UTC", "is v2 fit?",
    ],
)  # fmt: skip
def test_page_holds_everything_that_the_verdict_rests_on(said: str) -> None:
    assert said in Page(_usual_page()).text.replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize("decision", Decision)
def test_every_decision_is_told_by_a_word(decision: Decision) -> None:
    page = Page(experiment_page(report(decision=decision)))
    assert decision.value.upper() in page.text
    assert page.all("title")[0].text == [f"{decision.value}: checkout"]


def test_bad_data_shows_no_score_and_a_score_is_not_rounded_up() -> None:
    assert "Score not valid" in Page(experiment_page(report(decision=Decision.INVALID))).text
    assert "Score 99 of 100" in Page(experiment_page(report(decision=Decision.HOLD))).text


def test_metric_without_data_says_of_whom() -> None:
    unknown = Estimate(float("nan"), -INF, INF)
    absent = replace(
        metric(),
        classification=Classification.NO_DATA,
        baseline=float("nan"),
        candidate=float("nan"),
        difference=unknown,
        excess=unknown,
        exposure_baseline=180_000.0,
        exposure_candidate=0.0,
    )
    text = Page(experiment_page(report(metrics=(absent,)))).text
    assert "canary no data 0 requests" in " ".join(text.split())
    assert "stable not compared 180,000 requests" in " ".join(text.split())


def _pages(text: str) -> list[str]:
    held = replace(report(HOSTILE, Decision.HOLD, text), plan_end=START)
    broken = BrokenSpec(text, (text,), has_page=True)
    entries = [entry(text, decision, text, asks=text) for decision in Decision]
    return [
        experiment_page(report(text, text=text)),
        experiment_page(report(text, Decision.INVALID, text)),
        experiment_page(held),
        index_page(entries, [broken]),
    ]


def test_words_from_elsewhere_stay_words() -> None:
    for html in _pages(HOSTILE):
        page = Page(html)
        assert HOSTILE in page.text
        assert [each.text for each in page.all("script")] == [["\n" + SCRIPT]]
        assert not page.all("img")
        assert not any(name.startswith("on") for each in page.elements for name in each.attributes)


def test_characters_that_turn_or_hide_text_are_spelled_out() -> None:
    for html in _pages(TURNED):
        assert "a[U+202E]b[U+200B]c[U+001B]" in Page(html).text
        assert not re.search("[\u202e\u200b\x1b]", html)


def test_page_needs_nothing_else() -> None:
    html = _usual_page()
    assert not re.findall(r"https?:(?!//www\.w3\.org/)", html)
    assert "@import" not in html
    assert "url(" not in html
    page = Page(html)
    assert not [each for each in page.elements if "src" in each.attributes]
    assert {each.attributes["href"] for each in page.all("link")} == {"data:,"}


def test_page_can_be_read_without_seeing_it() -> None:
    page = Page(_usual_page())
    assert page.all("html")[0].attributes["lang"] == "en"
    levels = [int(each.name[1]) for each in page.elements if re.fullmatch("h[1-6]", each.name)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(each.attributes["scope"] in {"col", "row"} for each in page.all("th"))
    pictures = [each for each in page.all("svg") if "aria-hidden" not in each.attributes]
    assert pictures
    assert all(each.attributes["role"] == "img" for each in pictures)
    assert all(len(each.attributes["aria-label"] or "") > 20 for each in pictures)


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("theme", [0, 1, 2], ids=["light", "dark", "print"])
def test_colours_have_contrast_enough(theme: int) -> None:
    """WCAG 2.1: at least 4.5 for text."""
    block = re.findall(r":root \{([^}]*)\}", STYLE.read_text(encoding="utf-8"))[theme]
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block))
    for name in ("text", "soft", "link", "good", "bad", "open", "void"):
        for ground in ("page", "panel"):
            pair = sorted(_luminance(colours[each]) for each in (name, ground))
            assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 4.5, (name, ground)


def test_interval_lies_where_the_numbers_say() -> None:
    bar = interval_bar(Estimate(0.03, 0.02, 0.04), 0.005)
    assert bar is not None
    assert bar.caps == (bar.lower, bar.upper)
    assert bar.allowed is not None
    per_unit = (bar.upper - bar.zero) / 0.04
    for place, value in ((bar.lower, 0.02), (bar.value, 0.03), (bar.allowed, 0.005)):
        assert (place - bar.zero) / per_unit == pytest.approx(value, abs=2e-4)


def test_where_more_is_better_the_allowed_harm_lies_below_zero() -> None:
    better = replace(metric(), higher_is_better=True)
    page = Page(experiment_page(report(metrics=(better,))))
    zero, allowed = (
        float((page.all("path", name)[0].attributes["d"] or "").split(",")[0].removeprefix("M"))
        for name in ("zero", "allowed")
    )
    assert allowed < zero
    assert "allowed \N{MINUS SIGN}0.50" in page.text


def test_harm_against_a_relative_margin_has_one_bound_in_its_unit() -> None:
    """The table, its picture, the looks and the chart: nowhere a second one in another unit."""
    spent = replace(
        metric(),
        classification=Classification.UNCERTAIN,
        higher_is_better=True,
        is_share=False,
        difference=Estimate(0.8641, -1.7777, 3.3333),
        relative=Estimate(0.0439, -0.0834, 0.1688),
        excess=Estimate(-1.8, -4.4444, 0.6666),
        margin=0.98,
        margin_relative=0.05,
    )
    harm = Estimate(-0.0439, -0.1688, 0.0834)
    past = PastHarm("errors", "canary", harm, 0.05, is_share=False, is_relative=True)
    unlike = replace(past, harm=Estimate(-0.8, -3.3333, 1.7777), allowed=0.98, is_relative=False)
    seen = tuple(
        PastLook(START + i * timedelta(minutes=1), Decision.HOLD, 50.0, (each,))
        for i, each in enumerate((unlike, past, past))
    )
    of_spent = replace(report(metrics=(spent,), reasons=("a reason",)), looks=seen)
    text = Page(experiment_page(of_spent)).text.replace("\N{MINUS SIGN}", "-")
    assert "+4.39 % (+0.8641)" in text
    assert "between -8.34 and +16.88 %; allowed -5.00 %" in text
    assert "harm between -16.88 and +8.34 %, limit +5.00 %" in text
    for other in ("1.7777", "1.778", "0.6666", "1.647", "0.98"):
        assert other not in text.replace("harm between -3.333 and +1.778, limit +0.98", ""), other
    (chart,) = confidence_sequences(of_spent)
    assert chart.note.replace("\N{MINUS SIGN}", "-") == "between -16.88 and +8.34 %; limit +5.00 %"
    assert ">harm, % of the baseline</text>" in chart.svg


def test_unknown_ends_run_to_the_rim_without_a_cap() -> None:
    bar = interval_bar(Estimate(0.01, 0.005, INF), None)
    assert bar is not None
    assert len(bar.caps) == 1
    assert bar.upper == 217
    assert interval_bar(Estimate(float("nan"), -INF, INF), 0.1) is None


def test_gains_are_drawn_as_gains() -> None:
    """A goal whose candidate is better by 9 points lies above zero, whatever harm is."""
    harm = Estimate(-0.09, -0.13, -0.05)
    past = tuple(
        PastLook(
            START + i * timedelta(minutes=1),
            Decision.HOLD,
            50.0,
            (PastHarm("errors", "canary", harm, 0.0, is_share=True, is_goal=True),),
        )
        for i in range(3)
    )
    (chart,) = confidence_sequences(replace(report(), looks=past))
    assert chart.title == "errors: gain"
    assert chart.note == "between +5.00 and +13.00 points; limit +0.00"
    assert ">gain, points</text>" in chart.svg
    (harmful,) = confidence_sequences(replace(report(), looks=looks()))
    assert harmful.title == "errors: harm"


def test_charts_show_both_versions_stages_looks_and_no_name_twice() -> None:
    found = {chart.title: chart.svg for chart in traffic_charts(report())}
    assert list(found) == [
        "Success rate", "Requests", "Split", "Latency p50", "Latency p90", "Latency p99",
        "Split mismatch since each stage began",
    ]  # fmt: skip
    for svg in found.values():
        assert 'stroke="var(--v0)"' in svg
        assert 'stroke="var(--v1)"' in svg
        assert ">H</text>" in svg
        assert ">R</text>" in svg
        assert "03:0" in svg
        assert not re.search(r' id="|url\(', svg)
    ecdf = latency_ecdf(report())
    assert ecdf is not None
    assert ">10</text>" in ecdf.svg


def test_segments_are_a_forest_and_their_names_stay_text() -> None:
    effect = SegmentEffect("country", "<b>", 0.1, 0.2, Estimate(0.1, 0.05, 0.15), 99, 98, 3.0, True)
    table = SegmentTable("errors", "canary", (effect,), ())
    (chart,) = segment_forests(report(segments=(table,)))
    assert ">country = &lt;b&gt; *</text>" in chart.svg


@pytest.mark.parametrize(
    ("decision", "ended", "said"),
    [
        (Decision.PROMOTE, True, "Give canary all traffic"),
        (Decision.ROLLBACK, True, "Set the weight of canary to 0 %"),
        (Decision.INVALID, True, "Correct what the failed checks name"),
        (Decision.HOLD, False, "keep the split as it is; the plan ends in 10 min"),
        (Decision.HOLD, True, "After the plan's end: extend by about 23 s for +0.40 points"),
    ],
)
def test_next_action_is_said(decision: Decision, ended: bool, said: str) -> None:
    open_metric = replace(
        metric(),
        classification=Classification.UNCERTAIN,
        difference=Estimate(0.004, 0.003, 0.0052),
        excess=Estimate(-0.001, -0.002, 0.00006),
    )
    found = report(decision=decision, metrics=(open_metric,))
    if not ended:
        found = replace(found, plan_end=found.verdict.look_at + timedelta(minutes=10))
    assert said in next_actions(found)[0]


@pytest.mark.parametrize("tiny", ["p = 2.7e-31", "p &lt; 2e-308"])
def test_a_tiny_probability_stays_on_one_line(tiny: str) -> None:
    html = experiment_page(report(reasons=(f"split ({tiny.replace('&lt;', '<')})",)))
    assert f'<span class="whole">{tiny}</span>' in html


def test_a_plan_that_has_not_begun_is_waited_for() -> None:
    """Its look is invalid, as there is no data; no check of that is to be corrected."""
    found = report(decision=Decision.INVALID)
    begins = found.verdict.look_at + timedelta(hours=2)
    (said,) = next_actions(replace(found, plan_start=begins))
    assert said.startswith(f"Wait: the plan starts at {begins:%Y-%m-%d %H:%M} UTC.")


def test_invalid_shows_the_harm_beside_and_who_is_asked_is_told() -> None:
    page = Page(experiment_page(report(decision=Decision.INVALID)))
    assert "Harm seen, that would have counted" in page.text
    assert "Harm seen" not in Page(_usual_page()).text
    held = report(decision=Decision.HOLD).verdict
    assert asks_of(held, plan_ended=True) == "Plan has ended: extend or stop."
    assert asks_of(held, plan_ended=False) == ""
    signal = replace(metric(), role=Role.SIGNAL)
    assert (
        asks_of(replace(held, metrics=(signal,)), plan_ended=False) == "Approve or abort: errors."
    )


def test_one_look_over_days_with_one_pod_is_told_as_such() -> None:
    whole = report(reasons=("set `split` to <b>",))
    stage = replace(whole.split[0], end=START + timedelta(days=14))
    one = replace(
        whole,
        looks=whole.looks[-1:],
        earlier_looks=0,
        split=(stage,),
        traffic=replace(whole.traffic, step_s=40_320.0),
        pods=(replace(whole.pods[0], is_bad=False),),
    )
    html = experiment_page(one)
    text = Page(html).text
    days = "2026-01-02 03:00 to 2026-01-16 03:00"
    for said in ("1 look. Band", days, "times are UTC.", "steps of 11.2 h.", "no other pod"):
        assert said in text
    assert "set <code>split</code> to &lt;b&gt;" in html
    (chart,) = confidence_sequences(one)
    assert 'stroke="var(--margin)"' in chart.svg


def test_experiment_without_latency_looks_or_notes_has_a_page() -> None:
    bare = replace(
        report(latency=(), notes=(), metrics=(), reasons=(), watermark=None),
        split=(), looks=(), traffic=NO_TRAFFIC, latency_curves=(), responses=(), pods=(),
        effects=(), spec="", plan_start=None, plan_end=None,
    )  # fmt: skip
    text = Page(experiment_page(bare)).text
    assert "Latency:" not in text
    assert "Notes" not in text
    unshared = replace(latency(), quantiles=(), slower_than=())
    assert "Not compared" in Page(experiment_page(report(latency=(unshared,)))).text


def test_index_begins_with_what_needs_somebody() -> None:
    entries = [entry(f"{decision}-one", decision) for decision in Decision]
    entries.append(entry("asks-one", Decision.HOLD, asks="Plan has ended: extend or stop."))
    html = index_page(entries, [BrokenSpec("broken-one", ("line 3", "line 4"), has_page=True)])
    page = Page(html)
    order = ["broken", "rollback", "invalid", "asks", "hold", "promote"]
    names = [each.text[0] for each in page.all("bdi") if each.text[0].endswith("-one")]
    assert names == [f"{name}-one" for name in order]
    assert [each.attributes["href"] for each in page.all("a", "chip")] == [f"#{o}" for o in order]
    assert [each.attributes["id"] for each in page.all("tbody")] == order
    assert "and 1 more" in page.text
    assert "extend or stop" in page.text
    assert "No verdicts yet." in Page(index_page([])).text


def test_experiment_that_is_over_is_not_old() -> None:
    """No look of it is missing: its last one is at the plan's end."""
    over = entry("over", look_at=START - timedelta(days=5), is_over=True)
    text = index_page([over, entry("new")])
    assert 'class="old"' not in text
    assert 'data-age="over"' in text
    assert "the plan's end" in text


def test_old_verdict_does_not_look_like_todays() -> None:
    old = entry("old", look_at=START - timedelta(days=5))
    page = Page(index_page([old, entry("new")]))
    ages = [each.text for each in page.all("time") if "data-age" in each.attributes]
    assert ages == [["newest"], ["5.0 days earlier"]]
    assert [each.attributes.get("class") for each in page.all("td")].count("old") == 1
    assert "2025-12-28 03:00 UTC" in page.text


def test_a_thousand_experiments_are_under_a_megabyte() -> None:
    why = "errors: canary has 3.17 % of requests failed, stable 0.29 %; harm at least 1.88 points "
    entries = [
        entry(
            f"{'long-experiment-name' * 2}-{i:04}",
            scores=tuple(map(float, range(24))),
            reasons=(why * 3, why),
        )
        for i in range(1000)
    ]
    assert len(index_page(entries).encode()) < 1_000_000


def test_files_are_the_same_whatever_the_order_and_linked() -> None:
    names = ["b", "a", "index"]
    reports, entries = [report(name) for name in names], [entry(name) for name in names]
    texts = report_files(reports, entries, Path("report"))
    assert [path.name for path in texts] == ["a.html", "b.html", "index_.html", "index.html"]
    links = {each.attributes["href"] for each in Page(texts[Path("report/index.html")]).all("a")}
    assert links - {"#main", "#rollback"} == {page_of(name) for name in names}
    assert report_files(reports[::-1], entries[::-1], Path("report")) == texts


def test_page_tells_whose_it_is() -> None:
    assert is_page_of("checkout", _usual_page())
    assert not is_page_of("check", _usual_page())


@pytest.mark.parametrize("has_split", [True, False])
def test_users_are_shown_over_time_and_beside_their_split(has_split: bool) -> None:
    whole = report(metrics=(replace(metric(), unit=Unit.USER),))
    counted = tuple(
        replace(
            look,
            harms=tuple(
                replace(harm, exposure_baseline=100.0 * (i + 1), exposure_candidate=60.0 * (i + 1))
                for harm in look.harms
            ),
        )
        for i, look in enumerate(whole.looks)
    )
    shares = (
        VariantShare("stable", 300.0, 0.6, 0.5),
        VariantShare("canary", 180.0, 0.4, 0.5 if has_split else None),
    )
    stages = [replace(whole.split[0], variants=shares)]
    if not has_split:
        other = tuple(replace(share, configured=0.25) for share in shares)
        stages.append(replace(whole.split[0], variants=other))
    charts = users_over_time(replace(whole, looks=counted, split=tuple(stages)))
    named = ["Users over time", "Split mismatch of users"]
    assert [chart.title for chart in charts] == named[: 1 + has_split]
    assert users_over_time(replace(whole, looks=counted[:1])) == ()
    assert users_over_time(report()) == ()
