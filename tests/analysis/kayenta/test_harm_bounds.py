"""Harms of many metrics are bounded in groups: which group a metric is in changes nothing."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.kayenta import harm_bounds
from analysis.kayenta.config import Direction, MetricConfig, ValuePlan
from analysis.kayenta.paired_values import judge_values


@pytest.mark.parametrize("intervals", [60, None])
@pytest.mark.parametrize("rows", [1, 3, 7])
def test_metrics_are_judged_alike_in_groups_of_any_size(
    monkeypatch: pytest.MonkeyPatch, intervals: int | None, rows: int
) -> None:
    random = np.random.default_rng(21)
    control, experiment = random.normal(10, 1, (2, 7, 60))
    experiment[2:4] += 5
    control[4, :20] = np.nan
    control[5, 7] = 1e4  # a heavy tail
    configs = [MetricConfig(str(at), direction=[*Direction][at % 3]) for at in range(7)]
    pairs, plan = list(zip(control, experiment, strict=True)), ValuePlan(intervals=intervals)
    together = judge_values(pairs, configs, plan)
    monkeypatch.setattr(harm_bounds, "_VALUES", 60 * rows)
    assert repr(judge_values(pairs, configs, plan)) == repr(together)
    assert len({found.label for found in together}) > 1
