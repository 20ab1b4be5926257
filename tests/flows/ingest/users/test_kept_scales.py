"""Shifts and caps are set once; sums about a shift lose nothing to rounding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.builders.user_specs import Rows, sample_in, seen


def test_variance_survives_a_large_mean(tmp_path: Path) -> None:
    values = [1e9 + step for step in (0.0, 0.25, 0.5, 0.75)]
    exposures: Rows = [(user, "a", 0) for user in range(4)]
    outcomes: Rows = [(user, "purchase", 1, repr(value)) for user, value in enumerate(values)]
    found = sample_in(seen(tmp_path, exposures, outcomes).samples, "spend", "a")
    assert found.variance == pytest.approx(np.var(values, ddof=1), rel=1e-12)


def test_shift_stays_when_data_is_added(tmp_path: Path) -> None:
    exposures: Rows = [(1, "a", 0), (2, "a", 0)]
    before = sample_in(seen(tmp_path, exposures, [(1, "purchase", 1, 10)]).samples, "spend", "a")
    after = seen(tmp_path, exposures, [(1, "purchase", 1, 10), (2, "purchase", 1, 50)])
    assert before.mean == 5.0
    assert sample_in(after.samples, "spend", "a").mean == 30.0
    assert sample_in(after.samples, "spend", "a").variance == 800.0
