"""Many comparisons at once: each as if alone, covering as promised, at one look and at all."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.fixed.comparison import Sample, compare_means, mean_sample, proportion_sample
from analysis.scorecard.bayes import NormalPrior, normal_posterior
from analysis.scorecard.multiplicity import benjamini_hochberg, holm
from analysis.scorecard.scorecard import Cells, Scorecard, make_scorecard
from analysis.sequential.confidence_sequence import log_e_value
from analysis.users.guarded_comparison import compare_guarded, normal_statistic
from tests.builders.user_streams import Values, arrivals


def _cells(baseline: Sample, candidate: Sample, *, is_share: bool, families: int = 1) -> Cells:
    size = len(baseline.n)
    return Cells(
        baseline,
        candidate,
        np.full(size, is_share),
        np.arange(size) % families,
        np.full(size, 0.5),
    )


def _means(seed: int, size: int) -> Cells:
    rng = np.random.default_rng(seed)
    n = rng.integers(50, 5000, (2, size))
    arms = [mean_sample(k, rng.normal(3, 0.1, size), rng.gamma(2, 2, size)) for k in n]
    return _cells(*arms, is_share=False, families=7)


def test_each_cell_is_answered_as_if_alone() -> None:
    cells = _means(1, 60)
    card = make_scorecard(cells, prior=NormalPrior(0, 0.2))
    for i in range(0, 60, 11):
        arms = (
            Sample(s.n[i : i + 1], s.mean[i : i + 1], s.variance[i : i + 1])
            for s in (cells.baseline, cells.candidate)
        )
        alone = compare_means(*arms)
        users = float(cells.baseline.n[i] + cells.candidate.n[i])
        assert card.p_value[i] == pytest.approx(float(alone.p_value[0]), rel=1e-12)
        low, high = alone.relative_interval(alone.fixed_multiplier(0.05))
        assert card.fixed.relative_lower[i] == pytest.approx(float(low[0]))
        assert card.fixed.relative_upper[i] == pytest.approx(float(high[0]))
        guarded = compare_guarded(alone.baseline, alone.candidate, is_share=False)
        z = normal_statistic(guarded.statistic, guarded.degrees_of_freedom)
        log_e = log_e_value(z, users, alpha=0.05, n_opt=5000)
        assert card.log_e[i] == pytest.approx(float(log_e[0]))
        posterior = normal_posterior(alone, NormalPrior(0, 0.2))
        assert card.posterior.chance_to_win[i] == pytest.approx(float(posterior.chance_to_win[0]))


def test_corrections_stay_within_the_experiment() -> None:
    cells = _means(2, 60)
    card = make_scorecard(cells)
    for family in range(7):
        kept = cells.family == family
        np.testing.assert_allclose(card.holm[kept], holm(card.p_value[kept]))
        np.testing.assert_allclose(card.fdr[kept], benjamini_hochberg(card.p_value[kept]))


@pytest.mark.parametrize("is_share", [False, True])
def test_tests_and_intervals_never_contradict_each_other(is_share: bool) -> None:
    rng = np.random.default_rng(3)
    shares = (proportion_sample(np.full(3000, n), rng.binomial(n, 0.1, 3000)) for n in (900, 300))
    cells = _cells(*shares, is_share=True) if is_share else _means(3, 3000)
    card = make_scorecard(cells)
    for bounds, found in ((card.fixed, card.p_value < 0.05), (card.anytime, card.anytime_p < 0.05)):
        outside = (bounds.lower > 0) | (bounds.upper < 0)
        relative = (bounds.relative_lower > 0) | (bounds.relative_upper < 0)
        np.testing.assert_array_equal(outside, found)
        np.testing.assert_array_equal(relative, found)


def test_unknown_cells_stay_unknown_and_change_no_other() -> None:
    cells = _means(4, 10)
    broken = cells.baseline.n.copy()
    broken[3] = 0
    mean = np.where(broken > 0, cells.baseline.mean, np.nan)
    other = Cells(Sample(broken, mean, cells.baseline.variance), cells.candidate,
                  cells.is_share, cells.family, cells.share)  # fmt: skip
    card, whole = make_scorecard(other), make_scorecard(cells)
    assert np.isnan(card.p_value[3])
    assert np.isnan(card.holm[3])
    assert not card.discovery[3]
    assert card.posterior.lift[3] == 0.0  # the prior's
    alone = cells.family != cells.family[3]
    np.testing.assert_array_equal(card.holm[alone], whole.holm[alone])


def _shares(users: tuple[int, int], rate: float, effect: float, runs: int) -> Scorecard:
    rng = np.random.default_rng([*users, round(1e6 * rate)])
    arms = [
        proportion_sample(np.full(runs, n), rng.binomial(n, p, runs))
        for n, p in zip(users, (rate, rate * (1 + effect)), strict=True)
    ]
    return make_scorecard(_cells(*arms, is_share=True))


@pytest.mark.parametrize("users", [(20, 20), (950, 50), (1000, 1000), (10**6, 10**6)])
@pytest.mark.parametrize("rate", [1e-4, 1e-2, 0.1, 0.4])
def test_fixed_intervals_of_shares_cover(users: tuple[int, int], rate: float) -> None:
    card = _shares(users, rate, 0.2, 4000)
    truth = 0.2 * rate
    covered = np.mean((card.fixed.lower <= truth) & (truth <= card.fixed.upper))
    assert covered >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / 4000)


@pytest.mark.parametrize("rate", [0.3, 0.02])
def test_fiellers_relative_intervals_cover(rate: float) -> None:
    card = _shares((3000, 3000), rate, 0.2, 4000)
    fixed = card.fixed
    covered = np.mean((fixed.relative_lower <= 0.2) & (fixed.relative_upper >= 0.2))
    assert covered >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / 4000)


@pytest.mark.parametrize("rate", [0.2, 0.005])
def test_false_alarms_under_a_hundred_looks_stay_below_alpha(rate: float) -> None:
    """Users arrive in a hundred lots; without an effect, 2000 runs looked at after each."""
    rng = np.random.default_rng(11)
    runs, lot = 2000, 100
    counts = np.zeros((2, runs))
    anytime, naive = np.zeros(runs, bool), np.zeros(runs, bool)
    for look in range(1, 101):
        counts += rng.binomial(lot, rate, (2, runs))
        arms = [proportion_sample(np.full(runs, look * lot), x) for x in counts]
        card = make_scorecard(_cells(*arms, is_share=True))
        anytime |= card.anytime_p < 0.05
        naive |= card.p_value < 0.05
    assert anytime.mean() <= 0.05
    assert naive.mean() > 0.2  # the same stream fools a test that doesn't know of the looks


@pytest.mark.parametrize("split", [(50, 50), (95, 5), (99, 1)])
@pytest.mark.parametrize(
    "values",
    [Values("spend", 3.0), Values("count", 0.1), Values("normal", 1.0), Values("ratio", 0.05)],
    ids=lambda v: v.kind,
)  # fmt: skip
def test_false_alarms_of_means_stay_below_alpha_in_unequal_arms(
    values: Values, split: tuple[int, int]
) -> None:
    """At all of a hundred looks; without the guard 74 % of the runs for counts at 99:1."""
    rng = np.random.default_rng([12, *split])
    runs = 80 if values.kind == "ratio" else 300
    arms = [arrivals(rng, values, n, runs=runs, looks=100) for n in split]
    flat = (Sample(a.n.ravel(), a.mean.ravel(), a.variance.ravel()) for a in arms)
    card = make_scorecard(_cells(*flat, is_share=False))
    alarmed = (card.anytime_p < 0.05).reshape(runs, 100).any(axis=1)
    assert alarmed.mean() <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)


def _odd_cells(size: int) -> Cells:
    """From two users on, of every scale, some of them without any variance."""
    rng = np.random.default_rng(13)
    n = np.round(10 ** rng.uniform(0.31, 7, (2, size)))
    scale = 10 ** rng.uniform(-9, 9, size)
    arms = []
    for k in n:
        variance = np.where(rng.random(size) < 0.1, 0.0, rng.gamma(0.5, 2, size))
        mean = 3 + rng.normal(0, 4, size) * np.sqrt((variance + 0.1) / k)
        arms.append(Sample(k, mean * scale, variance * scale**2))
    return _cells(*arms, is_share=False)


def test_e_values_reach_one_over_alpha_exactly_where_the_interval_excludes_zero() -> None:
    cells = _odd_cells(20_000)
    for alpha, n_opt in ((0.05, 5000.0), (0.001, 1e6), (0.3, 50.0)):
        card = make_scorecard(cells, alpha=alpha, n_opt=n_opt)
        outside = (card.anytime.lower > 0) | (card.anytime.upper < 0)
        np.testing.assert_array_equal(card.log_e >= -np.log(alpha), outside)
        assert outside.any()
        assert not outside.all()
        np.testing.assert_allclose(card.anytime_p, np.minimum(1, np.exp(-card.log_e)))


def test_an_anytime_interval_is_never_narrower_than_the_fixed_one() -> None:
    cells = _odd_cells(20_000)
    for n_opt in (50.0, 5000.0, 1e6):
        card = make_scorecard(cells, n_opt=n_opt)
        assert np.all(card.anytime.lower <= card.fixed.lower)
        assert np.all(card.anytime.upper >= card.fixed.upper)


def test_a_cell_in_which_no_user_differs_claims_nothing() -> None:
    two = np.array([2.0, 1000.0])
    arms = (Sample(two, np.full(2, mean), np.zeros(2)) for mean in (5.0, 7.0))
    card = make_scorecard(_cells(*arms, is_share=False))
    for bounds in (card.fixed, card.anytime):
        assert np.all(np.isneginf([bounds.lower, bounds.relative_lower]))
        assert np.all(np.isposinf([bounds.upper, bounds.relative_upper]))
    assert np.isnan([card.p_value, card.anytime_p, card.holm]).all()
    assert not card.discovery.any()
