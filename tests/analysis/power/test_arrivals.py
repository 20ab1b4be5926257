"""Users as they come: windows, ramps as sums of information, and the looks that find an effect."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.power.arrivals import Intake, days_until_found, smallest_effect, users_arrived
from analysis.power.power import Design, detectable_effect

RAMP = [Intake(0, 2, 0.95, 0.05), Intake(2, 4, 0.5, 0.5), Intake(4, 5, 0.0, 1.0)]


def test_users_count_once_their_value_is_final() -> None:
    found = users_arrived([Intake(0, 10, 0.5, 0.3)], 100, 3, [0.0, 3.0, 5.0, 99.0])
    np.testing.assert_allclose(found.users, [0, 0, 160, 800])
    assert found.share[-1] == pytest.approx(0.375)


def test_a_ramp_knows_the_sum_of_what_its_stages_know() -> None:
    found = users_arrived(RAMP, 1000, 0, [2.0, 4.0, 5.0])
    np.testing.assert_allclose(found.users, [2000, 4000, 4000])  # all to one variant: no comparison
    information = 2000 * 0.95 * 0.05 + 2000 * 0.25
    n, s = found.users[1], found.share[1]
    assert n * s * (1 - s) == pytest.approx(information)
    error = float(Design(1.0, 1.0, s).error(n))
    assert error == pytest.approx(1 / np.sqrt(information))


def test_the_error_is_that_of_simulated_stages_combined_by_information() -> None:
    rng = np.random.default_rng(4)
    effects, weights = [], []
    for n_b, n_c in ((190, 10), (100, 100)):
        arms = [rng.normal(0, 1, (20_000, n)).mean(axis=1) for n in (n_b, n_c)]
        effects.append(arms[1] - arms[0])
        weights.append(n_b * n_c / (n_b + n_c))
    combined = np.average(effects, axis=0, weights=weights)
    found = users_arrived(RAMP, 100, 0, [4.0])
    assert float(Design(1.0, 1.0, found.share).error(found.users)[0]) == pytest.approx(
        combined.std(), rel=0.02
    )


def test_an_effect_is_found_at_the_first_look_that_can_see_it() -> None:
    design = Design(1.0, 1.0, 0.5, 0.025)
    days = np.arange(1.0, 11.0)
    smallest = smallest_effect(design, users_arrived([Intake(0, 10, 0.5, 0.5)], 100, 0, days))
    np.testing.assert_allclose(smallest, detectable_effect(design, 100 * days))
    found = days_until_found(smallest, days, (float(smallest[3]), -float(smallest[3]), 1e-9))
    assert found == (4.0, 4.0, np.inf)


def test_hardly_anyone_sees_nothing() -> None:
    arrived = users_arrived([Intake(0, 1, 0.5, 0.5)], 3, 0, [0.0, 1.0])
    assert np.isinf(smallest_effect(Design(1.0, 1.0), arrived)).all()
