"""Unequal arms and skewed values, looked at a hundred times: false alarms stay below the level."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from analysis.fixed.comparison import Sample, compare_means, mean_sample, proportion_sample
from analysis.judge.user_harm import bound_harm
from analysis.plan import Margin, MetricPlan, Plan, Role, Stage, Unit
from analysis.users.guarded_comparison import compare_guarded, normal_statistic, student_multiplier
from tests.builders.user_streams import Values, arrivals

SPLITS = ((50, 50), (90, 10), (95, 5), (99, 1))
STREAMS = (
    Values("spend", 3.0),
    Values("count", 0.1),
    Values("share", 0.1),
    Values("normal", 1.0),
    Values("ratio", 0.05),
)
LOOKS, LEVEL = 100, 0.025


def _harm_rates(
    arms: tuple[Sample, Sample], margin: Margin, *, is_share: bool, higher_is_better: bool
) -> tuple[float, float]:
    """Share of runs with a rollback, and of those with a promote, at any look."""
    metric = MetricPlan("m", Unit.USER, Role.GUARDRAIL, margin, higher_is_better)
    users = float((arms[0].n + arms[1].n).max())
    plan = Plan("e", "a", ("b",), (metric,), (Stage(0, 1, {}),), 1, 0.05, 0, 1, 1)
    harm = bound_harm(plan, metric, arms, is_share=is_share, n_opt=users, at_end=False)
    with np.errstate(invalid="ignore"):
        rollback, promote = (harm.lower > 0).any(axis=1), (harm.upper <= 0).any(axis=1)
    return float(rollback.mean()), float(promote.mean())


def _runs(values: Values) -> int:
    return 80 if values.kind == "ratio" else 500  # every user's views are drawn


def _most(runs: int) -> float:
    return LEVEL + 3 * float(np.sqrt(LEVEL * (1 - LEVEL) / runs))


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("values", STREAMS, ids=lambda v: v.kind)
def test_without_an_effect_hardly_any_run_rolls_back(
    values: Values, split: tuple[int, int]
) -> None:
    """Before the guard: spend 95:5 21 %, count 99:1 9 %, share 99:1 7 % of the runs."""
    rng = np.random.default_rng([3, *split])
    runs = _runs(values)
    arms = tuple(arrivals(rng, values, n, runs=runs, looks=LOOKS) for n in split)
    for higher_is_better in (True, False):
        rollback, _ = _harm_rates(
            (arms[0], arms[1]),
            Margin(),
            is_share=values.kind == "share",
            higher_is_better=higher_is_better,
        )
        assert rollback <= _most(runs)


@pytest.mark.parametrize("split", [(50, 50), (95, 5), (5, 95)])
@pytest.mark.parametrize("values", STREAMS, ids=lambda v: v.kind)
@pytest.mark.parametrize("higher_is_better", [True, False])
def test_harm_at_the_margin_is_neither_rolled_back_nor_promoted(
    values: Values, split: tuple[int, int], higher_is_better: bool
) -> None:
    rng = np.random.default_rng([4, *split])
    runs, factor = _runs(values), 0.8 if higher_is_better else 1.2
    harmed = Values(values.kind, factor * values.mean, values.spread)
    arms = tuple(
        arrivals(rng, each, n, runs=runs, looks=LOOKS)
        for each, n in zip((values, harmed), split, strict=True)
    )
    for margin in (Margin(relative=0.2), Margin(absolute=0.2 * values.mean)):
        rates = _harm_rates(
            (arms[0], arms[1]),
            margin,
            is_share=values.kind == "share",
            higher_is_better=higher_is_better,
        )
        assert max(rates) <= _most(runs)


def test_neither_arm_is_believed_to_vary_less_than_all_users() -> None:
    found = compare_guarded(mean_sample(1000, 3, 50), mean_sample(20, 0, 0), is_share=False)
    assert float(found.candidate.variance) == pytest.approx(999 * 50 / 1018)
    assert float(found.baseline.variance) == 50
    assert float(found.degrees_of_freedom) == 19


def test_where_no_user_differs_nothing_is_known() -> None:
    for n in (2, 5, 1000):
        found = compare_guarded(mean_sample(n, 5, 0), mean_sample(n, 7, 0), is_share=False)
        assert float(found.standard_error) == np.inf


def test_a_guarded_error_is_never_below_welchs() -> None:
    rng = np.random.default_rng(6)
    n = rng.integers(2, 500, (2, 2000)).astype(np.float64)
    arms = tuple(mean_sample(k, rng.normal(3, 1, 2000), rng.gamma(1, 2, 2000)) for k in n)
    welch, found = compare_means(*arms), compare_guarded(*arms, is_share=False)
    assert np.all(found.standard_error >= welch.standard_error)
    assert np.all(found.degrees_of_freedom <= welch.degrees_of_freedom * (1 + 1e-12))


def test_one_user_in_an_arm_bounds_nothing() -> None:
    for one in (mean_sample(1, 9, np.nan), proportion_sample(1, 1)):
        found = compare_guarded(mean_sample(1000, 0.5, 0.25), one, is_share=False)
        assert float(student_multiplier(3.0, found.degrees_of_freedom)) == np.inf
        assert float(normal_statistic(found.statistic, found.degrees_of_freedom)) == 0


@pytest.mark.parametrize("degrees", [1, 2, 5, 20, 100, 1e6, 1e12])
def test_multiplier_has_students_tail_and_an_inverse(degrees: float) -> None:
    normal = np.array([1.96, 3.0, 4.0, 5.0])
    student = student_multiplier(normal, degrees)
    exact = -stats.t.ppf(stats.norm.cdf(-normal), degrees)
    assert np.all(student >= exact * (1 - 1e-9))
    if degrees >= 20:
        np.testing.assert_allclose(student, exact, rtol=3e-3)
    np.testing.assert_allclose(normal_statistic(student, degrees), normal, rtol=1e-12)
    np.testing.assert_allclose(normal_statistic(-student, degrees), -normal, rtol=1e-12)
