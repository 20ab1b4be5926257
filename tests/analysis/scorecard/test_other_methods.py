"""Other engines' answers: each against its own source, and against the scorecard's."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.fixed.comparison import Sample, proportion_sample
from analysis.fixed.share_tests import share_tests
from analysis.scorecard.multiplicity import benjamini_yekutieli, hochberg
from analysis.scorecard.other_methods import (
    corrected,
    exact_rates,
    exact_shares,
    lifts,
    mixture_test,
    one_sided,
    planned_look,
    student_test,
)
from analysis.scorecard.scorecard import Cells, Scorecard, make_scorecard
from analysis.sequential.confidence_sequence import log_e_value, two_sided_multiplier

CELLS = 40
N_OPT = 4000.0


@pytest.fixture(scope="module")
def cells() -> Cells:
    """Means, then shares; two families."""
    rng = np.random.default_rng(2)
    n = rng.integers(200, 9000, (2, CELLS)) * 1.0
    is_share = np.arange(CELLS) >= CELLS // 2
    x = rng.binomial(n.astype(int), 0.2)
    arms = []
    for own, ones in zip(n, x, strict=True):
        share = proportion_sample(own, ones)
        mean = np.where(is_share, share.mean, rng.normal(4, 0.1, CELLS))
        arms.append(Sample(own, mean, np.where(is_share, share.variance, 3.0)))
    family = np.arange(CELLS) % 2
    return Cells(arms[0], arms[1], is_share, family, np.full(CELLS, 0.5))


@pytest.fixture(scope="module")
def card(cells: Cells) -> Scorecard:
    return make_scorecard(cells, n_opt=N_OPT)


def test_one_sided_p_values_are_halves_of_the_card(card: Scorecard) -> None:
    greater, less = one_sided(card)
    np.testing.assert_allclose(greater + less, 1.0)
    np.testing.assert_allclose(2 * np.minimum(greater, less), card.p_value)
    np.testing.assert_array_equal(greater < less, card.difference > 0)


def test_corrections_stay_within_their_family(cells: Cells, card: Scorecard) -> None:
    weights = np.where(np.arange(CELLS) < 2, 3.0, 1.0)
    found = corrected(card, cells.family, weights)
    for family in (0, 1):
        rows = cells.family == family
        p = card.p_value[rows]
        np.testing.assert_allclose(found.hochberg[rows], hochberg(p))
        np.testing.assert_allclose(found.yekutieli[rows], benjamini_yekutieli(p))
        shared = np.minimum(p * weights[rows].sum() / weights[rows], 1.0)
        np.testing.assert_allclose(found.bonferroni[rows], shared)


def test_the_mixture_test_of_a_mean_is_the_asymptotic_sequence(
    cells: Cells, card: Scorecard
) -> None:
    """In other words; the card's own is wider, by what a small arm's variance is worth."""
    means = ~cells.is_share
    found, _ = mixture_test(cells, card, alpha=0.05, n_opt=N_OPT)
    users = cells.baseline.n + cells.candidate.n
    z = two_sided_multiplier(users, alpha=0.05, n_opt=N_OPT)
    lower, _ = card.comparison.interval(z)
    np.testing.assert_allclose(found.lower[means], lower[means], rtol=1e-6)
    log_e = log_e_value(card.comparison.statistic, users, alpha=0.05, n_opt=N_OPT)
    np.testing.assert_allclose(found.log_e[means], log_e[means], rtol=1e-6, atol=1e-9)
    assert np.all(card.anytime.lower[means] <= found.lower[means])


def test_the_anytime_t_interval_is_hardly_wider_with_many_users(
    cells: Cells, card: Scorecard
) -> None:
    means = np.flatnonzero(~cells.is_share)
    found = student_test(cells, card, alpha=0.05, n_opt=N_OPT)
    ratio = (found.upper - found.lower)[means] / (card.anytime.upper - card.anytime.lower)[means]
    assert np.all((ratio > 0.99) & (ratio < 1.1))


def test_lifts_agree_with_their_own_p_values(cells: Cells, card: Scorecard) -> None:
    for found in lifts(cells, card, 0.05).values():
        outside = (found.lower > 0) | (found.upper < 0)
        np.testing.assert_array_equal(outside, found.p_value < 0.05)
        np.testing.assert_allclose(found.lift, card.relative)


def test_rates_say_how_bursty_their_events_are() -> None:
    arm = Sample(np.array([100.0, 100.0]), np.array([2.0, 2.0]), np.array([2.0, 12.0]))
    test, dispersion = exact_rates(arm, arm, alpha=0.05, n_opt=1000.0)
    np.testing.assert_allclose(dispersion, [1.0, 6.0])
    np.testing.assert_allclose(test.estimate, 1.0)


def test_exact_shares_of_nobody_are_unknown() -> None:
    nobody, some = proportion_sample([0.0], [0.0]), proportion_sample([9.0], [3.0])
    found = exact_shares(nobody, some, 0.05)
    assert (found.lower[0], found.upper[0], found.log_e[0]) == (-1.0, 1.0, 0.0)


def test_the_last_of_one_look_is_the_test_for_one_look(cells: Cells, card: Scorecard) -> None:
    multiplier, bounds = planned_look(cells, card, look=1, looks=1, alpha=0.05)
    np.testing.assert_allclose(bounds.lower, card.fixed.lower, rtol=1e-4, atol=1e-6)
    assert multiplier[-1] == pytest.approx(1.959964, abs=1e-5)


def test_planned_looks_are_those_of_lan_and_demets(cells: Cells, card: Scorecard) -> None:
    """Five equal looks, O'Brien and Fleming's spending at 5 % (Jennison, Turnbull 2000)."""
    published = (4.877, 3.357, 2.680, 2.290, 2.031)
    for look, z in enumerate(published, start=1):
        multiplier, _ = planned_look(cells, card, look=look, looks=5, alpha=0.05)
        assert multiplier[-1] == pytest.approx(z, abs=0.002)


def test_equal_tables_are_tested_once_and_others_left_out() -> None:
    tables = [(10, 3, 12, 9), (10, 3, 12, 9), (200, 3, 12, 9), (8, 1, 8, 7), (9, 1, 9, 7)]
    n_b, x_b, n_c, x_c = (np.array(column, dtype=float) for column in zip(*tables, strict=True))
    found = share_tests(proportion_sample(n_b, x_b), proportion_sample(n_c, x_c), most_exact=2)
    assert (found.small, found.tested) == (4, 3)
    for name in ("fisher", "boschloo", "barnard"):
        p = found.p_values[name]
        assert p[0] == p[1]
        assert np.isnan(p[[2, 4]]).all()
        assert 0 < p[3] < 0.05
    assert np.isfinite(found.p_values["z_pooled"]).all()
