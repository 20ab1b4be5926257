"""Corrections for many tests, against statsmodels and published values."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.scorecard import multiplicity
from analysis.scorecard.multiplicity import e_bh, weighted_bonferroni

FloatArray = NDArray[np.float64]

ADJUSTMENTS = {
    "holm": multiplicity.holm,
    "simes-hochberg": multiplicity.hochberg,
    "fdr_bh": multiplicity.benjamini_hochberg,
    "fdr_by": multiplicity.benjamini_yekutieli,
}


@pytest.mark.parametrize("method", ADJUSTMENTS)
@pytest.mark.parametrize("seed", range(10))
def test_adjusted_p_values_equal_those_of_statsmodels(method: str, seed: int) -> None:
    from statsmodels.stats.multitest import multipletests  # noqa: PLC0415

    rng = np.random.default_rng(seed)
    p = rng.random(rng.integers(1, 30)) ** 3
    p[rng.random(len(p)) < 0.2] = 0.01  # ties
    expected = multipletests(p, method=method)[1]
    np.testing.assert_allclose(ADJUSTMENTS[method](p), expected, rtol=1e-12)


@pytest.mark.parametrize("adjust", ADJUSTMENTS.values())
def test_families_on_leading_axes_are_adjusted_apart(
    adjust: Callable[[FloatArray], FloatArray],
) -> None:
    p = np.random.default_rng(3).random((5, 4, 7))
    together = adjust(p)
    for i, j in np.ndindex(5, 4):
        np.testing.assert_allclose(together[i, j], adjust(p[i, j]), rtol=1e-15)


@pytest.mark.parametrize("adjust", ADJUSTMENTS.values())
def test_a_missing_test_stays_missing_and_does_not_count(
    adjust: Callable[[FloatArray], FloatArray],
) -> None:
    adjusted = adjust(np.array([0.01, np.nan, 0.04]))
    assert np.isnan(adjusted[1])
    np.testing.assert_allclose(adjusted[[0, 2]], adjust(np.array([0.01, 0.04])))


def test_p_values_outside_the_unit_interval_are_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        multiplicity.holm([0.2, 1.5])


def test_weights_share_out_alpha() -> None:
    np.testing.assert_allclose(weighted_bonferroni([0.01, 0.01], [3, 1]), [0.04 / 3, 0.04])
    np.testing.assert_allclose(
        weighted_bonferroni([0.01, np.nan], [3, 1]), [0.01, np.nan], equal_nan=True
    )


def test_e_bh_rejects_as_published() -> None:
    """Thresholds 120, 60, 40, 30, ... at alpha 0.05 of six."""
    rejected = e_bh(np.log([100, 3, 45, 0.2, 21, 80]), 0.05)
    assert np.flatnonzero(rejected).tolist() == [0, 2, 5]
    assert not e_bh(np.log([1.0, 2.0]), 0.05).any()
    assert e_bh(np.array([np.nan, np.log(21)]), 0.05).tolist() == [False, True]


def test_e_bh_keeps_the_false_discovery_rate_under_dependence() -> None:
    """Ten nulls that share one e-value of mean 1, and two real effects."""
    rng = np.random.default_rng(5)
    z = rng.normal(size=4000)
    shared = 2.0 * z - 2.0  # log of a likelihood ratio: mean of e is 1
    log_e = np.concatenate(
        [np.repeat(shared[:, None], 10, axis=1), np.full((4000, 2), 8.0)], axis=1
    )
    rejected = e_bh(log_e, 0.1)
    false = rejected[:, :10].sum(axis=1) / np.maximum(rejected.sum(axis=1), 1)
    assert false.mean() <= 0.1 + 3 * false.std() / np.sqrt(4000)
    assert rejected[:, 10:].all()
