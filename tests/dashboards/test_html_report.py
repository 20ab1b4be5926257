"""The HTML report: whole, escaped, complete, the same for the same verdicts, and accessible.

Covers dashboards.report_latency, dashboards.report_sections.
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from analysis.metric_result import Classification, Estimate
from analysis.verdict import Decision
from dashboards.html_report import experiment_page, file_name, index_page, report_files
from dashboards.report_svg import HarmThen, history_svg, interval_svg
from tests.builders.reports import INF, START, Page, latency, metric, report

HOSTILE = """<script>alert("1")</script>'"><img src=x onerror=alert(1)> & {0} {name} %s"""
STYLE = Path("dashboards/report.css")


def test_page_says_what_was_decided_and_why_before_anything_else() -> None:
    page = experiment_page(report())
    text = Page(page).text
    assert "ROLLBACK" in text
    assert text.index("ROLLBACK") < text.index("harm at least 2.00 points")
    assert text.index("another reason") < text.index("Metrics")


@pytest.mark.parametrize(
    "said",
    [
        "canary", "3.30\N{NO-BREAK SPACE}%", "7,914 requests", "+3.00 points",
        "between +2.00 and +4.00 points", "allowed +0.50", "under 0.1 %", "fail",
        "3 looks, after 7 that are not shown", "73.7 %", "75.0 %", "p99", "100 to 250 ms",
        "above 250 ms", "\N{ALMOST EQUAL TO} 180 ms, interpolated", "at least +0 ms", "slower",
        "10 more had no counterpart", "5, 10 ms of stable", "the split is off", "failed",
        "a note", "abc123", "split-verdict 0.1.0", "2026-01-02 03:03:00 UTC", "is v2 fit?",
    ],
)  # fmt: skip
def test_page_holds_everything_that_the_verdict_rests_on(said: str) -> None:
    assert said in Page(experiment_page(report())).text


@pytest.mark.parametrize("decision", Decision)
def test_every_decision_is_told_by_a_word(decision: Decision) -> None:
    page = Page(experiment_page(report(decision=decision)))
    assert decision.value.upper() in page.text
    assert page.all("title")[0].text == [f"{decision.value}: checkout"]


def test_bad_data_shows_no_score_and_a_score_is_not_rounded_up() -> None:
    assert "Score: not valid." in Page(experiment_page(report(decision=Decision.INVALID))).text
    assert "Score: 99 of 100." in Page(experiment_page(report(decision=Decision.HOLD))).text


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
    assert "nothing" not in text
    assert "canary no data 0 requests" in " ".join(text.split())
    assert "stable not compared 180,000 requests" in " ".join(text.split())


def test_words_from_elsewhere_stay_words() -> None:
    for html in (
        experiment_page(report(HOSTILE, text=HOSTILE)),
        index_page([report(HOSTILE, text=HOSTILE)]),
    ):
        page = Page(html)
        assert HOSTILE in page.text
        assert not page.all("script")
        assert not page.all("img")
        assert not any(name.startswith("on") for each in page.elements for name in each.attributes)


def test_page_needs_nothing_else() -> None:
    html = experiment_page(report())
    assert "http:" not in html
    assert "https:" not in html
    assert "@import" not in html
    page = Page(html)
    assert not [each for each in page.elements if "src" in each.attributes]
    assert {each.attributes["href"] for each in page.all("link")} == {"data:,"}


def test_page_can_be_read_without_seeing_it() -> None:
    page = Page(experiment_page(report()))
    assert page.all("html")[0].attributes["lang"] == "en"
    levels = [int(each.name[1]) for each in page.elements if re.fullmatch("h[1-6]", each.name)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(each.attributes["scope"] in {"col", "row"} for each in page.all("th"))
    pictures = page.all("svg")
    assert pictures
    assert all(each.attributes["role"] == "img" for each in pictures)
    assert all("between" in (each.attributes["aria-label"] or "") for each in pictures)


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
    page = Page(interval_svg(Estimate(0.03, 0.02, 0.04), 0.005, "words"))
    (zero,), (allowed,) = page.all("line", "zero"), page.all("line", "allowed")
    bar, lower, upper = page.all("line", "bar")
    (dot,) = page.all("circle")
    per_unit = (upper.number("x1") - zero.number("x1")) / 0.04
    for place, value in (
        (lower.number("x1"), 0.02),
        (bar.number("x1"), 0.02),
        (bar.number("x2"), 0.04),
        (dot.number("cx"), 0.03),
        (allowed.number("x1"), 0.005),
    ):
        assert (place - zero.number("x1")) / per_unit == pytest.approx(value, abs=2e-4)


def test_where_more_is_better_the_allowed_harm_lies_below_zero() -> None:
    better = replace(metric(), higher_is_better=True)
    page = Page(experiment_page(report(metrics=(better,))))
    zero, allowed = page.all("line", "zero")[0], page.all("line", "allowed")[0]
    assert allowed.number("x1") < zero.number("x1")
    assert "allowed \N{MINUS SIGN}0.50" in page.text


def test_unknown_ends_run_to_the_rim_without_a_cap() -> None:
    page = Page(interval_svg(Estimate(0.01, 0.005, INF), None, "words"))
    bar, *caps = page.all("line", "bar")
    assert len(caps) == 1
    assert bar.number("x2") == 218
    assert Page(interval_svg(Estimate(float("nan"), -INF, INF), 0.1, "")).text == "not known yet"


def test_history_shows_each_look_with_its_decision() -> None:
    found = [
        HarmThen(START, Decision.HOLD, Estimate(0.02, -INF, INF), 0.01),
        HarmThen(START, Decision.INVALID, Estimate(float("nan"), -INF, INF), 0.01),
        HarmThen(START, Decision.PROMOTE, Estimate(0.0, -0.01, 0.005), 0.01),
    ]
    page = Page(history_svg(found, 100.0, "words"))
    assert [each.text for each in page.all("text", "mark")] == [["H"], ["!"], ["P"]]
    dots = page.all("circle")
    assert len(dots) == 2
    y_zero = page.all("line", "zero")[0].number("y1")
    assert dots[0].number("cy") < y_zero == dots[1].number("cy")
    last, *caps = page.all("line", "bar")[-3:]
    per_unit = (y_zero - last.number("y2")) / 0.005
    assert (y_zero - last.number("y1")) / per_unit == pytest.approx(-0.01, abs=1e-4)
    assert {cap.number("y1") for cap in caps} == {last.number("y1"), last.number("y2")}
    allowed = (page.all("polyline")[0].attributes["points"] or "").split()[-1].split(",")[1]
    assert (y_zero - float(allowed)) / per_unit == pytest.approx(0.01, abs=1e-4)


def test_many_looks_are_all_drawn_and_letters_do_not_lie_on_one_another() -> None:
    one = HarmThen(START, Decision.HOLD, Estimate(0.0, -0.01, 0.01), 0.01)
    page = Page(history_svg([one] * 120, 100.0, "words"))
    assert len(page.all("circle")) == 120
    places = sorted(each.number("x") for each in page.all("text", "mark"))
    assert min(b - a for a, b in pairwise(places)) >= 12


def test_experiment_without_latency_looks_or_notes_has_a_page() -> None:
    bare = replace(
        report(latency=(), notes=(), metrics=(), reasons=(), watermark=None), split=(), looks=()
    )
    text = Page(experiment_page(bare)).text
    assert "Latency" not in text
    assert "Notes" not in text
    unshared = replace(latency(), quantiles=(), slower_than=())
    assert "Not compared" in Page(experiment_page(report(latency=(unshared,)))).text


def test_index_begins_with_what_needs_somebody() -> None:
    reports = [report(f"{decision}-one", decision) for decision in Decision]
    page = Page(index_page(reports))
    names = [each.text[0] for each in page.all("a")]
    assert names == ["rollback-one", "invalid-one", "hold-one", "promote-one"]
    assert "1 rollback" in page.text
    assert "and 1 more" in page.text
    assert "No verdicts yet." in Page(index_page([])).text


def test_files_are_the_same_whatever_the_order_and_linked() -> None:
    reports = [report("b"), report("a"), report("index")]
    texts = report_files(reports, Path("report"))
    assert [path.name for path in texts] == ["a.html", "b.html", "index_.html", "index.html"]
    links = {each.attributes["href"] for each in Page(texts[Path("report/index.html")]).all("a")}
    assert links == {file_name(each.verdict.experiment) for each in reports}
    assert report_files(reports[::-1], Path("report")) == texts
