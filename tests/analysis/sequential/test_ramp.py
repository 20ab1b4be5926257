"""Steps with a declared split each: worked numbers, the integral, and validity during a ramp."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize_scalar

from analysis.sequential.confidence_sequence import tuning
from analysis.sequential.ramp import compare_steps
from tests.analysis.sequential.paths import at_most, ever_alarms_one

CLEAN = np.array(
    [(980, 20, 0.02), (950, 52, 0.05), (900, 98, 0.1), (740, 255, 0.25), (500, 510, 0.5)]
)
BROKEN = np.array([(980, 35, 0.02), (950, 80, 0.05), (900, 150, 0.1)])


def test_worked_examples() -> None:
    clean = compare_steps(*CLEAN.T, spreads=(0.5,), alpha=0.05)
    broken = compare_steps(*BROKEN.T, spreads=(0.5,), alpha=0.05)
    assert float(clean.log_e) == pytest.approx(-2.401770, abs=1e-6)
    assert float(clean.p_value) == 1
    assert clean.lower < 0 < clean.upper
    assert float(broken.log_e) == pytest.approx(18.446989, abs=1e-6)
    assert float(broken.p_value) == pytest.approx(9.7e-9, rel=0.01)
    assert broken.lower > 0


@pytest.mark.parametrize(
    ("rows", "spread"),
    [
        ([(9000, 0, 0.1)], 0.3),
        ([(9000, 0, 0.1)], 1.0),
        ([(0, 4, 0.5)], 1.0),
        ([(3, 1, 0.001)], 1.0),
        ([(1e6, 1e6, 0.49), (10, 100, 0.2)], 0.05),
    ],
)
def test_forty_nodes_give_the_integral(
    rows: list[tuple[float, float, float]], spread: float
) -> None:
    b, c, p = np.array(rows).T
    found = compare_steps(b, c, p, spreads=(spread,), alpha=0.05)

    def log_integrand(d: float) -> float:
        fall = (b + c) * np.log1p(p * np.expm1(d))
        return float(c.sum() * d - fall.sum() - d**2 / (2 * spread**2))

    mode = float(minimize_scalar(lambda d: -log_integrand(d), (-20.0, 20.0)).x)
    top = log_integrand(mode)
    width = 1 / np.sqrt(((b + c) * p * (1 - p)).sum() * 1e-3 + spread**-2)
    area = quad(
        lambda d: np.exp(log_integrand(d) - top),
        mode - 12 * width,
        mode + 12 * width,
        points=[mode],
        limit=2000,
    )[0]
    expected = top + np.log(area / (spread * np.sqrt(2 * np.pi)))
    assert float(found.log_e) == pytest.approx(expected, abs=1e-4)


def test_interval_ends_are_where_the_null_would_be_refuted() -> None:
    """Odds shifted to an end of the interval: the likelihood there is alpha times the mixture."""
    b, c, p = BROKEN.T
    found = compare_steps(b, c, p, spreads=(0.1, 1.0), alpha=0.05)
    for d in (float(found.lower), float(found.upper)):
        log_likelihood = c.sum() * d - ((b + c) * np.log1p(p * np.expm1(d))).sum()
        assert float(found.log_e) - log_likelihood == pytest.approx(np.log(20), abs=1e-8)


def test_exchanging_the_versions_changes_the_sign() -> None:
    b, c, p = CLEAN.T
    one = compare_steps(b, c, p, spreads=(0.2,), alpha=0.05)
    other = compare_steps(c, b, 1 - p, spreads=(0.2,), alpha=0.05)
    assert float(one.log_e) == pytest.approx(float(other.log_e), abs=1e-9)
    assert float(one.lower) == pytest.approx(-float(other.upper), abs=1e-9)


def test_steps_that_have_no_counts_yet_change_nothing() -> None:
    b, c, p = BROKEN.T
    now = compare_steps(b, c, p, spreads=(0.5,), alpha=0.05)
    padded = compare_steps([*b, 0], [*c, 0], [*p, 0.5], spreads=(0.5,), alpha=0.05)
    assert float(now.log_e) == pytest.approx(float(padded.log_e), abs=1e-12)
    assert float(now.upper) == pytest.approx(float(padded.upper), abs=1e-12)


def test_one_sided_streams_have_open_intervals() -> None:
    found = compare_steps(
        [[100.0], [0.0], [0.0]], [[0.0], [100.0], [0.0]], 0.5, spreads=(0.5,), alpha=0.05
    )
    assert found.lower[0] == -np.inf
    assert found.upper[0] < 0 < found.lower[1]
    assert found.upper[1] == np.inf
    assert found.log_e[2] == pytest.approx(0, abs=1e-9)


def test_keeps_its_digits_at_a_trillion_counts() -> None:
    n, z = 1e12, 5.0
    shift = z * np.sqrt(n) / 2
    found = compare_steps(n / 2 - shift, n / 2 + shift, 0.5, spreads=(1e-5,), alpha=0.05)
    wide = 1e-10 * n / 4
    expected = z**2 / 2 * wide / (1 + wide) - np.log1p(wide) / 2
    assert float(found.log_e) == pytest.approx(expected, rel=1e-3)


def test_shares_of_zero_are_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        compare_steps([1.0], [1.0], [0.0], spreads=(0.5,), alpha=0.05)


def test_exact_false_alarms_over_all_paths_of_a_ramp() -> None:
    """Forty users at 10 %, by every path; then the same at 50 %."""
    for share in (0.1, 0.5):
        alarms = ever_alarms_one(
            lambda x, n, p=share: (
                compare_steps(  # type: ignore[misc]
                    (n - x)[:, None], x[:, None], p, spreads=(0.3, 1.0), alpha=0.1
                ).p_value
                <= 0.1
            ),
            share,
            40,
        )
        assert alarms <= 0.1


def test_false_alarms_and_coverage_under_a_hundred_looks_of_a_ramp() -> None:
    rng, runs, d = np.random.default_rng(9), 1500, 0.2
    declared = np.repeat([0.02, 0.05, 0.1, 0.25, 0.5], 20)
    spread = float(tuning(0.05, (declared * (1 - declared) * 100).sum()))
    for shift in (0.0, d):
        odds = declared / (1 - declared) * np.exp(shift)
        c = rng.binomial(100, odds / (1 + odds), size=(runs, 100))
        missed = np.zeros(runs, dtype=bool)
        for look in range(5, 101, 5):
            steps = [slice(i, min(i + 20, look)) for i in range(0, look, 20)]
            own = np.stack([c[:, s].sum(axis=1) for s in steps], axis=1)
            size = np.array([100 * (s.stop - s.start) for s in steps])
            p = declared[[s.start for s in steps]]
            found = compare_steps(size - own, own, p, spreads=(spread,), alpha=0.05)
            missed |= (found.lower > shift) | (found.upper < shift)
            if shift == 0:
                assert np.array_equal(found.p_value < 0.05, (found.lower > 0) | (found.upper < 0))
        assert 0 < missed.mean() <= at_most(0.05, runs)
