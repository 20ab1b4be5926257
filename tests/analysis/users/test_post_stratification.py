"""Post-stratification: equal to regressions, covering, and taking away what strata explain."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from numpy.typing import NDArray

from analysis.fixed.comparison import compare_means
from analysis.users.estimates import Quantity, sample_of
from analysis.users.post_stratification import Stratified, post_stratify
from analysis.users.sums import Sums
from tests.builders.raw_sums import sum_values

FloatArray = NDArray[np.float64]
VALUE, RATIO, COVARIATE = Quantity(0), Quantity(0, 1), Quantity(2)


def _sums(
    values: FloatArray, arm: NDArray[np.int64], stratum: NDArray[np.int64]
) -> list[list[Sums]]:
    """By arm and stratum; values float64[users, q]."""
    names = range(int(stratum.max()) + 1)
    shift = np.zeros(values.shape[1])
    return [
        [sum_values(values[(arm == a) & (stratum == s)], shift=shift).sums for s in names]
        for a in range(int(arm.max()) + 1)
    ]


def _users(
    rng: np.random.Generator, users: int, uneven: float = 0.0
) -> tuple[FloatArray, NDArray[np.int64], NDArray[np.int64]]:
    """Value, denominator and covariate; four strata of unequal size, 3 apart; effect 0.5.

    uneven: how much more the effect is from stratum to stratum.
    """
    arm = rng.integers(0, 2, size=users)
    stratum = rng.choice(4, p=[0.1, 0.2, 0.3, 0.4], size=users)
    x = rng.normal(size=users) + stratum
    noise = rng.normal(size=users)
    y = 20 + 3.0 * stratum + arm * (0.5 + uneven * (stratum - 2)) + 1.5 * (x - stratum) + noise
    below = 5 + stratum + rng.normal(size=users) * 0.3
    return np.column_stack([y, below, x]), arm, stratum


def _effect(found: Stratified) -> tuple[float, float]:
    comparison = compare_means(*found.samples[:2])
    return float(comparison.difference), float(comparison.standard_error)


def _regression(
    y: FloatArray, arm: NDArray[np.int64], stratum: NDArray[np.int64], *more: FloatArray
) -> tuple[float, float]:
    """The arm's coefficient and its HC2 error, arm times centred strata (Lin 2013)."""
    dummies = np.eye(int(stratum.max()) + 1)[stratum]
    centred = (dummies - dummies.mean(axis=0))[:, 1:]
    columns = [np.ones((len(y), 1)), arm[:, None], centred, arm[:, None] * centred]
    design = np.hstack([*columns, *(m[:, None] for m in more)])
    fit = sm.OLS(y, design).fit(cov_type="HC2")
    return float(fit.params[1]), float(fit.bse[1])


@pytest.mark.parametrize("seed", range(5))
def test_effect_and_error_are_those_of_the_saturated_regression(seed: int) -> None:
    values, arm, stratum = _users(np.random.default_rng(seed), 700, uneven=0.4)
    effect, error = _effect(post_stratify(_sums(values, arm, stratum), VALUE))
    expected, robust = _regression(values[:, 0], arm, stratum)
    assert effect == pytest.approx(expected, rel=1e-10)
    # Beyond the regression's: the strata's shares are estimated, and the effect differs by them.
    cells = [values[(arm == 1) & (stratum == s), 0].mean() for s in range(4)]
    cells = [c - values[(arm == 0) & (stratum == s), 0].mean() for s, c in enumerate(cells)]
    share = np.bincount(stratum) / len(stratum)
    spread = float(share @ (np.array(cells) - share @ cells) ** 2) / len(stratum)
    assert error**2 == pytest.approx(robust**2 + spread, rel=1e-10)


@pytest.mark.parametrize("seed", range(5))
def test_with_a_covariate_it_is_the_regression_with_that_too(seed: int) -> None:
    values, arm, stratum = _users(np.random.default_rng(seed), 900)
    found = post_stratify(_sums(values, arm, stratum), VALUE, [COVARIATE])
    effect, error = _effect(found)
    expected, robust = _regression(values[:, 0], arm, stratum, values[:, 2])
    assert effect == pytest.approx(expected, rel=1e-10)
    assert error == pytest.approx(robust, rel=0.01)


def test_published_example_comes_out() -> None:
    """facts: two strata of 5500 users; difference 0.0735825, error 0.0257894."""

    def cell(*numbers: float) -> Sums:
        n, total, squares = map(float, numbers)
        return Sums(np.array(n), np.zeros(1), np.array([total]), np.array([[squares]]))

    found = post_stratify(
        [
            [cell(4000, 8000, 20000), cell(1500, 9000, 60000)],
            [cell(4100, 8400, 21300), cell(1400, 8600, 58800)],
        ],
        VALUE,
    )
    effect, error = _effect(found)
    assert effect == pytest.approx(0.0735825, abs=5e-8)
    # Ours is wider by 0.01 %: the strata's shares are estimated, and the effect differs by them.
    assert error == pytest.approx(0.0257894, rel=2e-4)


def test_strata_and_covariates_take_away_what_they_explain() -> None:
    values, arm, stratum = _users(np.random.default_rng(3), 40_000)
    cells = _sums(values, arm, stratum)
    strata, covariate = 9 * 1.0, 1.5**2  # the strata's numbers have the variance 1
    total = strata + covariate + 1
    alone = post_stratify(cells, VALUE).variance_removed
    both = post_stratify(cells, VALUE, [COVARIATE]).variance_removed
    assert alone == pytest.approx(strata / total, abs=0.01)
    assert both == pytest.approx((strata + covariate) / total, abs=0.01)


@pytest.mark.parametrize("kind", ["mean", "adjusted", "ratio"])
@pytest.mark.parametrize("uneven", [0.0, 2.0])
def test_intervals_cover_though_effects_differ_between_strata(kind: str, uneven: float) -> None:
    rng = np.random.default_rng(17)
    share, s = np.array([0.1, 0.2, 0.3, 0.4]), np.arange(4)
    covariates = [COVARIATE] if kind == "adjusted" else []
    quantity = RATIO if kind == "ratio" else VALUE
    effect = float(share @ (0.5 + uneven * (s - 2)))
    truth = effect / float(share @ (5 + s)) if kind == "ratio" else effect
    covered, runs = 0, 800
    for _ in range(runs):
        found = post_stratify(_sums(*_users(rng, 400, uneven)), quantity, covariates)
        comparison = compare_means(*found.samples)
        low, high = comparison.interval(comparison.fixed_multiplier(0.05))
        covered += bool(low <= truth <= high)
    assert covered / runs >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / runs)
    assert covered / runs <= 0.985


def test_every_user_counts_also_where_strata_are_tiny() -> None:
    rng = np.random.default_rng(5)
    values = rng.normal(size=(500, 1)) + 3
    arm = rng.integers(0, 2, size=500)
    stratum = np.minimum(rng.geometric(0.25, size=500) - 1, 30)
    found = post_stratify(_sums(values, arm, stratum), VALUE)
    assert [float(s.n) for s in found.samples] == np.bincount(arm).tolist()
    assert 2 < found.strata < 12


def test_without_strata_it_is_the_plain_estimate() -> None:
    values, arm, stratum = _users(np.random.default_rng(6), 300)
    cells = _sums(values, arm, np.zeros_like(stratum))
    found = post_stratify(cells, RATIO)
    for ours, sums in zip(found.samples, cells, strict=True):
        plain = sample_of(sums[0].moments, RATIO)
        assert float(ours.mean) == pytest.approx(float(plain.mean), rel=1e-12)
        assert float(ours.variance) == pytest.approx(float(plain.variance), rel=1e-12)
    assert found.variance_removed == pytest.approx(0.0, abs=1e-12)


def test_variant_without_users_has_no_estimate() -> None:
    values, _, stratum = _users(np.random.default_rng(7), 100)
    cells = _sums(values, np.zeros(100, dtype=np.int64), stratum)
    empty = [Sums(np.array(0.0), np.zeros(3), np.zeros(3), np.zeros((3, 3))) for _ in cells[0]]
    found = post_stratify([cells[0], empty], VALUE, [COVARIATE])
    assert np.isnan(found.samples[1].mean)
    assert found.variance_removed == 0.0
