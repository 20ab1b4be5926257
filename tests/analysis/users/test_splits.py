"""Users of a ramp: what each split says of a pair of variants, and what it is worth."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.fixed.comparison import Sample
from analysis.users.splits import combine_within_splits, information_weights


def _arm(n: list[float], mean: list[float]) -> Sample:
    return Sample(np.array(n), np.array(mean), np.ones(len(n)))


def test_splits_weigh_by_information_not_by_users() -> None:
    """1,000 users at 5 % know 47.5, at 50 % 250: the weights that make the variance least."""
    weights = information_weights(np.array([[950.0, 500.0], [50.0, 500.0]]))
    assert weights.tolist() == pytest.approx([47.5 / 297.5, 250 / 297.5])
    left, right = combine_within_splits(_arm([950, 500], [0, 0]), _arm([50, 500], [0, 0]))
    assert float(left.variance_of_mean + right.variance_of_mean) == pytest.approx(1 / 297.5)


@pytest.mark.parametrize(("few", "weight"), [(9.0, 0.0), (10.0, 10 * 90 / 100 / 259)])
def test_a_split_with_fewer_than_ten_users_of_a_variant_weighs_nothing(
    few: float, weight: float
) -> None:
    weights = information_weights(np.array([[90.0, 500.0], [few, 500.0]]))
    assert weights[0] == pytest.approx(weight)


def test_nothing_is_known_where_every_split_has_too_few() -> None:
    left, right = combine_within_splits(_arm([90, 80], [1, 1]), _arm([9, 3], [1, 1]))
    assert np.isnan(left.mean)
    assert np.isnan(right.variance)
    assert (float(left.n), float(right.n)) == (170.0, 12.0)
