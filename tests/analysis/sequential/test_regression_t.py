"""The anytime t-test: the worked example, limits, and exact validity with a covariate."""

import numpy as np
import pytest

from analysis.sequential.regression_t import anytime_t, planned_precision
from analysis.sequential.sprt import mixture_sprt
from tests.analysis.sequential.paths import at_most


def test_worked_example() -> None:
    found = anytime_t(2.5, 1.0, 97, information=25, prior_precision=1.0, alpha=0.05)
    assert float(found.log_e) == pytest.approx(1.309341, abs=1e-6)
    assert float(found.p_value) == pytest.approx(0.269998, abs=1e-6)
    assert float(found.upper - found.estimate) == pytest.approx(3.16621, abs=1e-5)


def test_interval_and_e_value_never_contradict() -> None:
    nu, z2 = np.array([8.0, 40.0, 1e6]), np.array([5.0, 20.0, 3e5])
    radius = anytime_t(0.0, 1.0, nu, information=z2, prior_precision=2.0, alpha=0.05).upper
    edge = anytime_t(radius, 1.0, nu, information=z2, prior_precision=2.0, alpha=0.05)
    assert edge.log_e == pytest.approx(np.full(3, np.log(20)), rel=1e-9)


def test_tends_to_the_normal_mixture() -> None:
    error, sigma2 = 0.01, 4.0
    t_test = anytime_t(
        0.03, error, 1e9, information=sigma2 / error**2, prior_precision=50.0, alpha=0.05
    )
    normal = mixture_sprt(0.03, error**2, mixture_variance=sigma2 / 50, alpha=0.05)
    assert float(t_test.log_e) == pytest.approx(float(normal.log_e), rel=1e-6)
    assert float(t_test.upper) == pytest.approx(float(normal.upper), rel=1e-6)


def test_unbounded_while_too_few() -> None:
    found = anytime_t(1.0, 1.0, [0.0, 1.0], information=1.0, prior_precision=1.0, alpha=0.05)
    assert np.all(np.isinf(found.upper))
    assert float(found.log_e[0]) == 0.0


def test_tightest_at_the_planned_information() -> None:
    planned = 500.0
    phi = float(planned_precision(0.05, planned))
    widths = [
        float(anytime_t(0.0, 1.0, 1998, information=planned, prior_precision=p, alpha=0.05).upper)
        for p in (phi / 2, phi, phi * 2)
    ]
    assert widths[1] == min(widths)


def test_exact_with_a_covariate_from_the_sixth_unit_on() -> None:
    """Ordinary least squares on (1, arm, covariate), no effect, looked at after each unit."""
    rng, runs, n = np.random.default_rng(5), 3000, 60
    arm = np.tile([0.0, 1.0], n // 2)
    x = rng.normal(size=(runs, n))
    y = 0.8 * x + rng.normal(size=(runs, n)) * 3
    phi = planned_precision(0.05, 10.0)
    alarmed = np.zeros(runs, dtype=bool)
    for size in range(6, n + 1):
        design = np.stack(
            [np.ones((runs, size)), np.broadcast_to(arm[:size], (runs, size)), x[:, :size]], axis=-1
        )
        gram = np.linalg.inv(np.swapaxes(design, 1, 2) @ design)
        beta = (gram @ np.swapaxes(design, 1, 2) @ y[:, :size, None])[..., 0]
        residual = y[:, :size] - (design @ beta[..., None])[..., 0]
        sigma2 = (residual**2).sum(axis=1) / (size - 3)
        information = 1 / gram[:, 1, 1]
        found = anytime_t(
            beta[:, 1],
            np.sqrt(sigma2 / information),
            size - 3,
            information=information,
            prior_precision=phi,
            alpha=0.05,
        )
        alarmed |= (found.lower > 0) | (found.upper < 0)
    assert 0.005 < alarmed.mean() <= at_most(0.05, runs)
