"""What users did before their exposure is alike in variants that users are divided at random to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from analysis.evidence import UserEvidence
from analysis.fixed.comparison import Sample, mean_sample
from analysis.quality.covariate_checks import check_covariates
from tests.analysis.quality.test_outcome_checks import plan_of


def passes(a: Sample, b: Sample) -> bool:
    covariates = {"bought": {"'buy' in the 7d before": {"b": (a, b)}}}
    users = UserEvidence({}, frozenset(), {}, covariates=covariates)
    (check,) = check_covariates(plan_of(), users)
    assert check.name == "what bought is adjusted by"
    return check.passed


def sample(values: np.ndarray) -> Sample:
    return mean_sample(len(values), values.mean(), values.var(ddof=1))


@pytest.mark.parametrize("users", [5, 50, 2000])
@pytest.mark.parametrize("kind", ["poisson", "lognormal", "pareto", "hardly any"])
def test_chance_raises_no_alarm(users: int, kind: str) -> None:
    rng = np.random.default_rng(users)
    draws: dict[str, Callable[[], Any]] = {
        "poisson": lambda: rng.poisson(0.3, users),
        "lognormal": lambda: rng.lognormal(0, 2, users),
        "pareto": lambda: rng.pareto(1.1, users),
        "hardly any": lambda: rng.random(users) < 0.002,
    }
    draw = draws[kind]
    for _ in range(500):
        a, b = (np.asarray(draw(), dtype=np.float64) for _ in "ab")
        assert passes(sample(a), sample(b))


@pytest.mark.parametrize(
    ("a", "b", "passed"),
    [
        (mean_sample(5000, 1.0, 1.0), mean_sample(5000, 1.2, 1.0), False),
        (mean_sample(5000, 1.0, 1.0), mean_sample(5000, 0.8, 1.0), False),
        (mean_sample(5_000_000, 1.0, 1.0), mean_sample(5_000_000, 1.01, 1.0), True),
        (mean_sample(5000, 0.0, 0.0), mean_sample(5000, 0.0, 0.0), True),
        (mean_sample(0, np.nan, np.nan), mean_sample(5000, 1.0, 1.0), True),
    ],
)
def test_a_difference_counts_where_it_is_sure_and_matters(
    a: Sample, b: Sample, passed: bool
) -> None:
    assert passes(a, b) is passed
