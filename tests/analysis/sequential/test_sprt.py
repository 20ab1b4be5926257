"""Mixture SPRT: the worked example, and that it is the asymptotic confidence sequence."""

import numpy as np
import pytest

from analysis.sequential.confidence_sequence import log_e_value, tuning, two_sided_multiplier
from analysis.sequential.sprt import mixture_sprt, planned_mixture_variance
from tests.analysis.sequential.paths import at_most


def test_worked_example() -> None:
    found = mixture_sprt(0.02, 6.4e-5, mixture_variance=1e-4, alpha=0.05)
    assert float(found.log_e) == pytest.approx(1.434996, abs=1e-6)
    assert float(found.p_value) == pytest.approx(0.238116, abs=1e-6)
    assert float(found.upper - found.estimate) == pytest.approx(0.0269746, abs=1e-7)


def test_is_the_asymptotic_sequence_with_tau2_of_r2_n_se2() -> None:
    n, d, error = np.array([200.0, 5000.0, 80_000.0]), 0.02, np.array([0.05, 0.008, 0.002])
    tau2 = tuning(0.05, 5000) ** 2 * n * error**2
    found = mixture_sprt(d, error**2, mixture_variance=tau2, alpha=0.05)
    half_width = two_sided_multiplier(n, alpha=0.05, n_opt=5000) * error
    assert found.upper - d == pytest.approx(half_width, rel=1e-9)
    assert found.log_e == pytest.approx(log_e_value(d / error, n, alpha=0.05, n_opt=5000), rel=1e-9)


def test_planned_mixture_is_that_of_the_planned_end() -> None:
    assert float(planned_mixture_variance(0.05, 4.0 / 5000)) == pytest.approx(
        float(tuning(0.05, 5000)) ** 2 * 4.0
    )


def test_closed_form_by_robbins_far_from_the_plan() -> None:
    v, t2, d = 3.0, 1e-6, 0.5
    found = mixture_sprt(d, v, mixture_variance=t2, alpha=0.01)
    log_e = 0.5 * np.log(v / (v + t2)) + t2 * d**2 / (2 * v * (v + t2))
    half = np.sqrt(v * (v + t2) / t2 * (2 * np.log(100) + np.log1p(t2 / v)))
    assert float(found.log_e) == pytest.approx(log_e, rel=1e-6)
    assert float(found.upper - d) == pytest.approx(half, rel=1e-9)


def test_without_data_nothing_is_known() -> None:
    found = mixture_sprt([0.1, np.nan], [np.inf, 1.0], mixture_variance=1.0, alpha=0.05)
    assert np.all(np.isinf(found.lower) & np.isinf(found.upper))
    assert np.all(found.p_value == 1)


def test_false_alarms_under_a_hundred_looks() -> None:
    rng, runs = np.random.default_rng(31), 4000
    looks = np.arange(1, 101) * 50.0
    mean = (rng.normal(size=(runs, 100)) * np.sqrt(50)).cumsum(axis=1) / looks
    tau2 = planned_mixture_variance(0.05, 1 / 2500)
    found = mixture_sprt(
        mean, np.broadcast_to(1 / looks, mean.shape), mixture_variance=tau2, alpha=0.05
    )
    outside = (found.lower > 0) | (found.upper < 0)
    assert np.array_equal(outside, found.p_value < 0.05)
    assert 0.005 < outside.any(axis=1).mean() <= at_most(0.05, runs)
