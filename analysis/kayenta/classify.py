"""One metric's label: Pass, High, Low, Nodata or NodataFailMetric, with its reason."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import repeat

import numpy as np

from analysis.arrays import FloatArray
from analysis.kayenta.config import (
    Direction,
    EffectMeasure,
    MetricConfig,
    NanStrategy,
    OutlierStrategy,
)
from analysis.kayenta.judgement import (
    CONFIDENCE,
    TOLERANCE,
    MetricJudgement,
    MetricLabel,
    judgement_by_test,
)
from analysis.kayenta.mann_whitney import shifts_of_ordered
from analysis.kayenta.root_search import stopped_beside_zero


def classify_metrics(
    series: Sequence[tuple[FloatArray, FloatArray]], configs: Sequence[MetricConfig]
) -> tuple[MetricJudgement, ...]:
    """The labels of many metrics; series: a control and an experiment for each config.

    Metrics with equal numbers of values are tested together.
    Raises ValueError where a value is infinite.
    """
    judged: dict[int, MetricJudgement] = {}
    alike: defaultdict[tuple[int, int, EffectMeasure], list[int]] = defaultdict(list)
    cleaned = _all_cleaned(series, configs)
    controls, experiments = cleaned[::2], cleaned[1::2]
    for index, (control, experiment, config) in enumerate(
        zip(controls, experiments, configs, strict=True)
    ):
        if control.size and experiment.size:
            alike[control.size, experiment.size, config.measure].append(index)
        else:
            judged[index] = _no_data(control, experiment, config)
    for rows in alike.values():
        control, experiment = (
            np.concatenate([side[row] for row in rows]).reshape(len(rows), -1)
            for side in (controls, experiments)
        )
        found = _classify_alike(control, experiment, [configs[row] for row in rows])
        judged.update(zip(rows, found, strict=True))
    return tuple(judged[index] for index in range(len(configs)))


def _classify_alike(
    controls: FloatArray, experiments: FloatArray, configs: Sequence[MetricConfig]
) -> list[MetricJudgement]:
    """The labels of metrics of one measure with equal numbers of values, at least one a side.

    controls: float64[metrics, n]; experiments: float64[metrics, m].
    """
    ordered = np.sort(experiments, axis=1), np.sort(controls, axis=1)
    judged = _without_test(*ordered, configs)
    rows = [row for row in range(len(configs)) if row not in judged]
    if rows:
        sides: tuple[FloatArray, ...] = (*ordered, experiments, controls)
        if judged:
            sides = tuple(side[rows] for side in sides)
        judged.update(zip(rows, _by_test([configs[row] for row in rows], *sides), strict=True))
    return [judged[row] for row in range(len(configs))]


def _by_test(
    configs: Sequence[MetricConfig],
    ours: FloatArray,
    theirs: FloatArray,
    experiments: FloatArray,
    controls: FloatArray,
) -> list[MetricJudgement]:
    """The labels by the rank test. ours, theirs: experiments and controls, ordered."""
    exact = shifts_of_ordered(ours, theirs, confidence=CONFIDENCE)
    ways = [config.direction for config in configs]
    harmed = (
        np.array([way is not Direction.DECREASE for way in ways]),
        np.array([way is not Direction.INCREASE for way in ways]),
    )
    shifts = stopped_beside_zero(exact, ours, theirs, confidence=CONFIDENCE, harmed=harmed)
    effects = effect_sizes(configs[0].measure, experiments, controls, shifts.statistic).tolist()
    numbers = shifts.statistic, shifts.p_value, shifts.estimate, shifts.lower, shifts.upper
    searched = (shifts.lower != exact.lower) | (shifts.upper != exact.upper)
    tests = zip(*(column.tolist() for column in (*numbers, searched)), strict=True)
    # Most pass, as their interval doesn't clear 0: a closer look is for the others.
    passed = zip(configs, repeat(MetricLabel.PASS), repeat(False), effects, tests, repeat(""))
    found = list(map(MetricJudgement._make, passed))
    bound = TOLERANCE * np.abs(shifts.estimate)
    for row in np.flatnonzero((shifts.lower > bound) | (shifts.upper < -bound)).tolist():
        found[row] = judgement_by_test(found[row])
    return found


def _all_cleaned(
    series: Sequence[tuple[FloatArray, FloatArray]], configs: Sequence[MetricConfig]
) -> list[FloatArray]:
    """cleaned_values of each pair's two sides; where that changes nothing, the array as it is."""
    sides = [np.asarray(side, dtype=np.float64) for pair in series for side in pair]
    if not sides:
        return []
    ends = np.cumsum([side.size for side in sides])
    odd = np.flatnonzero(~np.isfinite(np.concatenate(sides)))
    changed = set(np.searchsorted(ends, odd, side="right").tolist())
    for at, config in enumerate(configs):
        if config.outliers is not OutlierStrategy.KEEP:
            changed.update((2 * at, 2 * at + 1))
    for at in sorted(changed):
        sides[at] = cleaned_values(sides[at], configs[at // 2])
    return sides


def cleaned_values(values: FloatArray, config: MetricConfig) -> FloatArray:
    """The values that are judged: NaN removed or made 0, then outliers dropped if so configured."""
    values = np.asarray(values, dtype=np.float64)
    missing = np.isnan(values)
    if config.nan_strategy is NanStrategy.REPLACE:
        values = np.where(missing, 0.0, values)
    else:
        values = values[~missing]
    if not np.isfinite(values).all():
        raise ValueError(f"metric {config.name!r} has an infinite value, which has no rank")
    if config.outliers is OutlierStrategy.REMOVE:
        return without_outliers(values, factor=config.outlier_factor)
    return values


def _without_test(
    ours: FloatArray, theirs: FloatArray, configs: Sequence[MetricConfig]
) -> dict[int, MetricJudgement]:
    """By row, what is clear without a test, in the order in which Kayenta looks.

    ours: float64[metrics, m], of the experiments; theirs: float64[metrics, n]; each ordered.
    """
    found: dict[int, MetricJudgement] = {}
    if ours.shape == theirs.shape:
        for row in np.flatnonzero((ours == theirs).all(axis=1)).tolist():
            reason = "control and experiment hold the same values"
            found[row] = MetricJudgement(configs[row], MetricLabel.PASS, untested=reason)
    lowest = theirs[:, 0]
    one = (lowest == theirs[:, -1]) & (lowest == ours[:, 0]) & (lowest == ours[:, -1])
    for row in np.flatnonzero(one).tolist():
        reason = f"every value of both is {lowest[row]:g}"
        found[row] = MetricJudgement(configs[row], MetricLabel.PASS, untested=reason)
    return found


def _no_data(control: FloatArray, experiment: FloatArray, config: MetricConfig) -> MetricJudgement:
    sides = (("control", control), ("experiment", experiment))
    empty = " and ".join(side for side, values in sides if values.size == 0)
    reason = f"no value of the {empty}"
    if config.nan_strategy is NanStrategy.REPLACE:
        told = f"{reason}, which counts as zero here"
        return MetricJudgement(config, MetricLabel.PASS, untested=told)
    if config.must_have_data and not config.critical:
        told = f"{reason}, which must have data"
        return MetricJudgement(config, MetricLabel.NODATA_FAIL_METRIC, untested=told)
    return MetricJudgement(config, MetricLabel.NODATA, config.critical, untested=reason)


def effect_sizes(
    measure: EffectMeasure, experiment: FloatArray, control: FloatArray, statistic: FloatArray
) -> FloatArray:
    """The effect of each pair of series: float64[pairs].

    experiment: float64[pairs, m]; control: float64[pairs, n]; statistic: float64[pairs], the
    experiment's U.
    meanRatio: mean of the experiment / mean of the control; NaN if either is 0.
    cles: (2 R - m (m + 1)) / (2 m n) with R the experiment's rank sum, which is U / (m n):
    the probability that a value of the experiment exceeds one of the control, ties half.
    """
    if measure is EffectMeasure.CLES:
        return np.asarray(statistic / (experiment.shape[1] * control.shape[1]))
    ours, theirs = experiment.mean(axis=1), control.mean(axis=1)
    known = (ours != 0) & (theirs != 0)
    with np.errstate(over="ignore"):  # beyond the largest float a ratio is infinite, and counts so
        return np.asarray(np.divide(ours, theirs, out=np.full_like(ours, np.nan), where=known))


def without_outliers(values: FloatArray, *, factor: float) -> FloatArray:
    """The values within min(P1, P25 - factor IQR) and max(P99, P75 + factor IQR), in order.

    values: float64[n] without NaN. Percentiles are R's type 7. The outer percentiles keep the
    fences from closing where the inner half of the values is equal.
    """
    if values.size == 0:
        return values
    p1, p25, p75, p99 = np.percentile(values, [1, 25, 75, 99])
    reach = factor * (p75 - p25)
    low, high = min(p1, p25 - reach), max(p99, p75 + reach)
    return np.asarray(values[(values >= low) & (values <= high)])
