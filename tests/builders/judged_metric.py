"""Kayenta's answer for one metric alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analysis.kayenta.classify import classify_metrics
from analysis.kayenta.config import MetricConfig
from analysis.kayenta.judgement import MetricJudgement

_DEFAULT = MetricConfig.default()


def classify_metric(
    control: NDArray[np.float64],
    experiment: NDArray[np.float64],
    config: MetricConfig = _DEFAULT,
) -> MetricJudgement:
    """The label of one metric; float64[intervals], NaN where nothing was measured."""
    return classify_metrics([(control, experiment)], [config])[0]
