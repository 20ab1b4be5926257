"""Each method that has no answer is named in `limits`, with its cause."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows.aggregates.analyze import analyze
from flows.aggregates.analyzed_document import ScorecardDocument
from flows.ingest.sources.aggregate_rows import AggregateRow

MEAN = {"type": "mean", "n": 100, "sum": 300.0, "sum_squares": 1100.0}
COUNT = {"type": "count", "n": 100, "sum": 300.0, "sum_squares": 1100.0}
SHARE = {"type": "proportion", "n": 400, "sum": 80.0}
RATIO = {**MEAN, "type": "ratio"} | {
    "denominator_sum": 500.0, "denominator_sum_squares": 2700.0, "denominator_product": 1550.0
}  # fmt: skip
ALIKE = {"type": "mean", "n": 30, "sum": 0.04 * 30, "sum_squares": 0.04**2 * 30}
COVARIATE = {"covariate_sum": 50.0, "covariate_sum_squares": 60.0, "covariate_product": 151.0}


def _judged(baseline: dict[str, Any], candidate: dict[str, Any], **both: Any) -> ScorecardDocument:
    rows = [
        AggregateRow.model_validate({"metric": "m", "variant": variant, **arm, **both})
        for variant, arm in (("a", baseline), ("b", candidate))
    ]
    return analyze(rows, Path("sums.csv"))


@pytest.mark.parametrize(
    ("baseline", "candidate", "both", "said"),
    [
        (ALIKE, ALIKE, {}, "of the difference: not of m: users don't differ from each other"),
        (MEAN, {**MEAN, "n": 1, "sum": 3.0, "sum_squares": 9.0}, {}, "too few users"),
        (MEAN, {**MEAN, "n": 0, "sum": 0.0, "sum_squares": 0.0}, {}, "too few users"),
        (SHARE, {**SHARE, "n": 0, "sum": 0}, {}, "too few users"),
        (
            RATIO,
            {**RATIO, "denominator_sum": 0, "denominator_sum_squares": 0, "denominator_product": 0},
            {},
            "a variant's denominators sum to 0",
        ),
        (
            {**MEAN, "sum": 1.0},
            MEAN,
            {},
            "bounded relative interval: not of m: the baseline may be 0",
        ),
        ({**MEAN, "sum": 1.0}, MEAN, {}, "lift by delta: not of m: the baseline may be 0"),
        (MEAN, {**MEAN, "sum": -300.0}, {}, "lift by log: not of m: the baseline may be 0, or the"),
        (SHARE, SHARE, {}, "Barnard's test: not of m: more than 100 users"),
        ({**SHARE, "n": 99.5}, {**SHARE, "n": 99.5}, {}, "the number of users isn't whole"),
        ({**SHARE, "sum": 0}, {**SHARE, "sum": 0}, {}, "z-test: not of m: no user, or every user"),
        (
            {**SHARE, **COVARIATE, "covariate_product": 12.0},
            {**SHARE, **COVARIATE, "covariate_product": 12.0},
            {},
            "tests and posteriors of shares: not of m: covariates or strata adjust it",
        ),
        ({**COUNT, **COVARIATE}, {**COUNT, **COVARIATE}, {}, "rate ratio: not of m: covariates"),
        ({**COUNT, "sum": -300.0}, COUNT, {}, "rate ratio: not of m: events are below 0"),
        (
            {**ALIKE, "type": "count", "sum": 30, "sum_squares": 30},
            {**ALIKE, "type": "count", "sum": 60, "sum_squares": 120},
            {},
            "rate ratio: not of m: a variant has too few users, or they are all alike",
        ),
        (MEAN, MEAN, {}, "tests of the split: not of m: no `share` is configured"),
        (MEAN, ALIKE, {}, "Welch's analysis of variance: not of m: a variant has fewer than two"),
    ],
)
def test_a_method_without_an_answer_is_named_with_its_cause(
    baseline: dict[str, Any], candidate: dict[str, Any], both: dict[str, Any], said: str
) -> None:
    found = _judged(baseline, candidate, **both)
    assert any(said in text for text in found.limits), found.limits


def test_nothing_is_named_where_every_method_answers() -> None:
    arm = {"n": 60, "sum": 20, "type": "proportion", "share": 0.5, "planned_users": 900}
    assert _judged(arm, {**arm, "sum": 26}).limits == ()


def test_many_metrics_of_one_cause_are_one_sentence() -> None:
    rows = [
        AggregateRow.model_validate({"metric": f"m{i}", "variant": v, "share": 0.5, **ALIKE})
        for i in range(9)
        for v in "ab"
    ]
    [said] = [text for text in analyze(rows, Path("x")).limits if "posteriors" in text]
    assert "not of m0, m1, m2 and 6 more: users don't differ" in said


@pytest.mark.parametrize(
    ("baseline", "candidate"), [(ALIKE, {**ALIKE, "sum": 0.05 * 30, "sum_squares": 0.05**2 * 30})]
)
def test_of_constants_no_method_claims_a_difference(
    baseline: dict[str, Any], candidate: dict[str, Any]
) -> None:
    for kind in ("mean", "count"):
        [row] = _judged({**baseline, "type": kind}, {**candidate, "type": kind}).rows
        assert row.p_value != row.p_value
        assert row.fixed.lower == row.anytime.lower == float("-inf")
        assert not row.discovery
        assert row.further.rate_ratio is None
        assert row.further.msprt.lower == float("-inf")
        assert row.further.anytime_t is not None
        assert row.further.anytime_t.lower == float("-inf")
        assert row.posterior.chance_to_win == pytest.approx(0.5)
