"""`verdict analyze`: every method that applies, in JSON and, with --all, on the terminal.

Covers flows.aggregates.across_variants.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from scipy import stats

from flows.aggregates.analyzed_document import scorecard_schema
from flows.cli.main import main

SHARES = [
    {"metric": "bought", "type": "proportion", "variant": v, "n": n, "sum": x, "share": share}
    for v, n, x, share in (("a", 2000, 200, 0.5), ("b", 1000, 140, 0.25), ("c", 1010, 90, 0.25))
]
COUNTS = [
    {"metric": "clicks", "type": "count", "variant": v, "n": 500, "sum": x, "sum_squares": s}
    for v, x, s in (("a", 950, 2700), ("b", 1080, 3500))
]
SPEND = [
    {"metric": "spend", "type": "mean", "variant": "a", "n": 3001, "sum": 300, "sum_squares": 600}
    | {"covariate_sum": 210, "covariate_sum_squares": 415, "covariate_product": 150},
    {"metric": "spend", "type": "mean", "variant": "b", "n": 3000, "sum": 322, "sum_squares": 655}
    | {"covariate_sum": 220, "covariate_sum_squares": 405, "covariate_product": 160},
]
# Simpson's paradox: better in each country, worse altogether.
COUNTRIES = [
    {"metric": "pass", "type": "proportion", "variant": v, "segment": s, "n": n, "sum": x}
    for v, s, n, x in (
        ("a", "country = DE", 9000, 8100),
        ("b", "country = DE", 1000, 950),
        ("a", "country = FR", 1000, 100),
        ("b", "country = FR", 9000, 1350),
    )
]


def _document(path: Path, rows: list[dict[str, Any]], capsys: Any, *options: str) -> dict[str, Any]:
    path.write_text(json.dumps(rows))
    assert main(["analyze", str(path), "--json", *options]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    document: dict[str, Any] = json.loads(printed.out)
    jsonschema.validate(document, json.loads(scorecard_schema()))
    return document


def test_every_method_that_applies_has_its_answer(tmp_path: Path, capsys: Any) -> None:
    rows = _document(tmp_path / "a.json", SHARES + COUNTS + SPEND, capsys)["rows"]
    share, _, count, mean = (row["further"] for row in rows)
    assert share["exact_share"]["upper"] > rows[0]["fixed"]["upper"]
    assert share["anytime_t"] is None
    assert count["rate_ratio"]["ratio"] == pytest.approx(1080 / 950)
    assert count["rate_ratio"]["dispersion"] == pytest.approx(1.018, abs=0.001)
    assert mean["anytime_t"]["lower"] < mean["anytime_t"]["upper"]
    assert mean["exact_share"] is None
    assert mean["rate_ratio"] is None
    assert mean["within"] is None
    for row in rows:
        assert row["further"]["msprt"]["mixture_variance"] > 0
        assert row["further"]["p_by"] >= row["p_fdr"]
        assert row["p_holm"] >= row["further"]["p_hochberg"]
        assert row["further"]["lift_delta"]["method"] == "delta"


def test_all_variants_are_tested_at_once(tmp_path: Path, capsys: Any) -> None:
    document = _document(tmp_path / "a.json", SHARES + COUNTS, capsys)
    bought, clicks = document["over_variants"]
    table = [[200, 140, 90], [1800, 860, 920]]
    expected = stats.chi2_contingency(table, correction=False)
    assert bought["statistic"] == pytest.approx(expected.statistic)
    assert bought["p_value"] == pytest.approx(expected.pvalue)
    assert bought["degrees"] == 2
    split = stats.chisquare([2000, 1000, 1010], [2005, 1002.5, 1002.5])
    assert bought["split_p"] == pytest.approx(split.pvalue)
    assert bought["split_anytime_p"] == 1.0
    assert [one["configured"] for one in bought["split"]] == [0.5, 0.25, 0.25]
    for one in bought["split"]:
        assert one["lower"] < one["configured"] < one["upper"]
    # Two variants: the analysis of variance is Welch's t-test.
    (row,) = [one for one in document["rows"] if one["metric"] == "clicks"]
    assert clicks["p_value"] == pytest.approx(row["p_value"])
    assert clicks["split_p"] is None


def test_margins_are_absolute_or_relative_and_by_metric(tmp_path: Path, capsys: Any) -> None:
    options = ("--margin", "2%", "--margin", "bought=0.05", "--look", "2/5")
    rows = _document(tmp_path / "a.json", SHARES + SPEND, capsys, *options)["rows"]
    bought, spend = rows[0]["further"]["within"], rows[2]["further"]["within"]
    assert (bought["margin"], bought["relative"]) == (0.05, False)
    assert (spend["margin"], spend["relative"]) == (0.02, True)
    assert bought["p_not_lower"] < 0.001
    assert spend["p_equivalent"] == max(spend["p_not_lower"], spend["p_not_higher"])
    assert rows[0]["further"]["planned_look"]["multiplier"] == pytest.approx(3.357, abs=1e-3)
    assert not rows[0]["further"]["planned_look"]["crossed"]


def test_segments_that_say_the_opposite_are_named(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "a.json"
    (found,) = _document(path, COUNTRIES, capsys)["segments"]
    assert (found["dimension"], found["segments"], found["reversed"]) == ("country", 2, True)
    assert found["pooled"] < 0 < found["stratified"]
    main(["analyze", str(path)])
    assert "pass, b: the segments by country say the opposite of all" in capsys.readouterr().out


def test_a_terminal_of_80_columns_holds_every_method(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(SHARES + COUNTS + SPEND + COUNTRIES))
    assert main(["analyze", str(path), "--all", "--margin", "2%", "--look", "1/3"]) == 0
    shown = capsys.readouterr().out
    for words in ("relative, delta", "mSPRT", "ratio of rates", "not lower by 2.00%", "chi-square"):
        assert words in shown
    assert all(len(line) <= 80 for line in shown.splitlines() if "│" in line)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--margin", "much"), "must be a number from"),
        (("--look", "4/3"), "'4/3' is not a look; write 3/5"),
        (("--weight", "2"), "'2' is not a weight; write METRIC=2"),
        (("--margin", "sold=1%"), "has no metric 'sold'; there are bought"),
    ],
)
def test_what_can_not_be_asked_is_named(
    tmp_path: Path, capsys: Any, options: tuple[str, str], problem: str
) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(SHARES))
    try:
        code = main(["analyze", str(path), *options])
    except SystemExit as stopped:
        code = int(str(stopped.code))
    assert code == 2
    assert problem in capsys.readouterr().err
