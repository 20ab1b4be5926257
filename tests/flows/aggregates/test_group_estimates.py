"""Sums of any users have an answer: no warning, no crash, whatever their kind, size and number."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.scorecard.bayes import NormalPrior
from flows.aggregates.analyze import analyze
from flows.aggregates.further_answers import Asked, NegligibleDifference
from flows.aggregates.looks import Tuning
from flows.ingest.sources.aggregate_rows import AggregateRow

KINDS = ("proportion", "mean", "count", "ratio")


def _users(rng: np.random.Generator, kind: str, n: int, unit: float) -> np.ndarray:
    """Values, denominators and covariates of n users: often zeros, sometimes all alike."""
    ones = rng.integers(0, 2, n).astype(np.float64)
    y = ones if kind == "proportion" else ones * np.abs(rng.normal(1, 1, n)) * unit
    if n and rng.random() < 0.2:
        y = np.full(n, y[0])
    denominators = np.abs(rng.normal(2, 1, n)) * (rng.random() < 0.9)
    return np.column_stack([y, denominators, rng.normal(0, unit, n) + y])


def _row(users: np.ndarray, kind: str, *, covariate: bool, times: float) -> dict[str, Any]:
    """Their sums, as if each user were so many."""
    total, products = times * users.sum(axis=0), times * users.T @ users
    row = {"type": kind, "metric": "m", "n": times * len(users), "sum": total[0]}
    if kind != "proportion":
        row["sum_squares"] = products[0, 0]
    if kind == "ratio":
        row |= {"denominator_sum": total[1], "denominator_sum_squares": products[1, 1]}
        row["denominator_product"] = products[0, 1]
    if covariate:
        row |= {"covariate_sum": total[2], "covariate_sum_squares": products[2, 2]}
        row["covariate_product"] = products[0, 2]
        if kind == "ratio":
            row["covariate_denominator_product"] = products[1, 2]
    return row


@pytest.mark.parametrize("seed", range(120))
def test_any_sums_have_an_answer_without_a_warning(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kind = KINDS[seed % 4]
    covariate, strata = rng.random() < 0.3, rng.random() < 0.2
    unit = 10.0 ** rng.choice([0, 0, -40, -9, 9, 40])
    rows = [
        AggregateRow.model_validate(
            _row(
                _users(rng, kind, int(rng.choice([0, 1, 2, 3, 40])), unit),
                kind,
                covariate=covariate,
                times=float(rng.choice([1.0, 1.0, 1e6])),
            )
            | {"variant": variant, "stratum": stratum, "share": 0.3, "segment": segment}
        )
        for segment in ("", "device = tv", "device = phone")
        for variant in ("a", "b", "c")
        for stratum in (("x", "y") if strata else ("",))
    ]
    asked = Asked(
        {
            "": NegligibleDifference(
                float(rng.choice([1e-60, 0.01, 1.0, 1e60])), bool(rng.integers(2))
            )
        },
        {"m": 2.0},
        (int(rng.integers(1, 4)), 3),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        document = analyze(
            rows,
            Path("sums"),
            alpha=float(rng.choice([1e-12, 0.05, 0.5, 0.999])),
            tuning=Tuning(float(rng.choice([2.0, 5000.0, 1e15]))),
            prior=NormalPrior(0.0, float(rng.choice([1e-6, 0.1, 1e6]))),
            asked=asked,
        )
        document.to_json()
    assert len(document.rows) == 6
    for row in document.rows:
        assert math.isnan(row.p_value) or 0 <= row.p_value <= 1
        assert not row.fixed.lower > row.fixed.upper
        assert not row.anytime.lower > row.anytime.upper
        assert not row.further.msprt.lower > row.further.msprt.upper
