"""Values whose squares are beyond all numbers say nothing: no variance of zero, and no warning."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.fixed.comparison import compare_means
from analysis.fixed.proportions import share_bounds
from analysis.users.estimates import Quantity, adjust, sample_of
from analysis.users.guarded_comparison import compare_guarded
from analysis.users.post_stratification import post_stratify
from analysis.users.sums import Sums

FloatArray = NDArray[np.float64]


def _sums(values: FloatArray) -> Sums:
    with np.errstate(over="ignore", invalid="ignore"):
        return Sums(
            np.array(float(len(values))),
            np.zeros(values.shape[1]),
            values.sum(axis=0),
            values.T @ values,
        )


@pytest.mark.parametrize("size", [1e155, 1e200, 1e300])
@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("huge", ["baseline", "candidate", "both"])
def test_nothing_is_claimed_of_them(size: float, sign: float, huge: str) -> None:
    rng = np.random.default_rng(1)
    usual = np.column_stack([rng.normal(5, 1, 60), rng.normal(3, 1, 60)])
    large = usual.copy()
    large[7, 0] = sign * size
    arms = [_sums(large if huge in (arm, "both") else usual) for arm in ("baseline", "candidate")]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parts = [each + each.at([1.0, 2.0]) for each in arms]
        moments = [each.moments for each in parts]
        pairs = [
            [sample_of(m, Quantity(0)) for m in moments],
            [sample_of(m, Quantity(0, 1)) for m in moments],
            adjust(moments, Quantity(0), [Quantity(1)]).samples,
            post_stratify([[part, part] for part in parts], Quantity(0)).samples,
        ]
        for baseline, candidate in pairs:
            for found in (
                compare_means(baseline, candidate),
                compare_guarded(baseline, candidate, is_share=False),
            ):
                assert not np.isfinite(found.standard_error)
                assert not found.p_value < 1
            share_bounds(baseline, candidate, 1.96)
