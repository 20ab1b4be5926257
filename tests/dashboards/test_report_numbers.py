"""Numbers of the report: no false precision, no certainty, no minus zero."""

from __future__ import annotations

import math

import pytest

from analysis.judge.latency_table import QuantileComparison
from analysis.metric_result import Estimate
from analysis.requests.latency import QuantileRange
from analysis.verdict import Decision
from dashboards import report_numbers as numbers


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.9999, "over 99.9_%"), (1e-5, "under 0.1_%"), (0.5, "50.0_%")],
)
def test_no_probability_is_certain(value: float, text: str) -> None:
    assert numbers.probability(value) == text.replace("_", "\N{NO-BREAK SPACE}")


def test_score_is_rounded_down_and_bad_data_has_none() -> None:
    assert numbers.score(Decision.HOLD, 99.97) == "99 of 100"
    assert numbers.score(Decision.HOLD, None) == "none"
    assert numbers.score(Decision.INVALID, 99.0) == "not valid"


def test_differences_have_a_sign_and_no_minus_zero() -> None:
    assert numbers.signed(-0.0, is_share=True) == "+0.00"
    assert numbers.signed(-0.0123, is_share=True) == f"{numbers.MINUS}1.23"
    assert numbers.signed(12.5, is_share=False) == "+12.5"
    assert numbers.limit(0.005, is_share=True) == "+0.50"
    assert numbers.limit(math.nan, is_share=True) == "not known yet"


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (-0.01, 0.02, f"between {numbers.MINUS}1.00 and +2.00 points"),
        (0.01, math.inf, "at least +1.00 points"),
        (-math.inf, 0.02, "at most +2.00 points"),
        (-math.inf, math.inf, "no bounds yet"),
    ],
)
def test_unknown_bounds_are_left_out(low: float, high: float, text: str) -> None:
    assert numbers.interval(Estimate(0.0, low, high), is_share=True) == text


def test_no_two_shares_are_further_apart_than_1() -> None:
    found = numbers.possible(Estimate(0.2, -3.0, 4.0), is_share=True)

    assert (found.lower, found.upper) == (-1.0, 1.0)
    assert numbers.possible(Estimate(0.2, -3.0, 4.0), is_share=False).upper == 4.0


def test_unknown_values_are_said_to_be_unknown() -> None:
    assert numbers.percent(None) == numbers.percent(math.nan) == "unknown"
    assert numbers.difference(Estimate(math.nan, -1.0, 1.0), is_share=True) == "unknown"


def test_quantile_beyond_the_last_edge_is_above_it() -> None:
    assert numbers.milliseconds(QuantileRange(0.99, 1000.0, math.inf, 1000.0)).startswith(
        "above 1000"
    )


def test_quantiles_below_one_edge_are_one() -> None:
    """A histogram doesn't tell them apart: interpolated labels would."""

    def row(quantile: float, lower: float, upper: float) -> QuantileComparison:
        found = QuantileRange(quantile, lower, upper, lower + quantile * (upper - lower))
        return QuantileComparison(quantile, found, found, Estimate(0.0, -upper, upper))

    below = [row(0.5, 0.0, 100.0), row(0.9, 0.0, 100.0)]
    ((name, _, says), (last, _, says_last)) = numbers.quantile_rows([*below, row(0.99, 100, 250)])
    assert (name, says, last, says_last) == ("p50 to p90", False, "p99", True)
    assert numbers.milliseconds(below[0].baseline) == "at most 100 ms"
    apart = [row(0.5, 0.0, 100.0), row(0.9, 100.0, 250.0)]
    assert [name for name, _, _ in numbers.quantile_rows(apart)] == ["p50", "p90"]
