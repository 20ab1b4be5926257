"""What our judge says of metrics that have a few values only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.arrays import FloatArray
from analysis.kayenta.config import Direction, EffectMeasure, MetricConfig, ValuePlan
from analysis.kayenta.few_values import (
    FEWEST,
    MOST,
    FewValuesTest,
    Sides,
    beyond_margin,
    few_values_tests,
)
from analysis.kayenta.harms import Harm
from analysis.kayenta.series_means import FEWEST_TO_FAIL

# From five values on, pairs have bounds as well, and this part of alpha goes to the rank test.
PART_OF_ALPHA = 0.2
_NEARLY_FULL = 0.9
_WAYS_TO_HALVE = 2.0

# A metric's row, which harm it is, and the values.
_Harmed = tuple[int, Harm, Sides]
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class FewValues:
    """The worst harm of one metric by the exact test.

    failed: harm beyond what is allowed is shown. leaning: it isn't, but would be if this were the
    only metric, so the values don't speak for health either. alpha: the metric's part.
    """

    harm: Harm
    sides: Sides
    test: FewValuesTest
    alpha: float
    failed: bool
    leaning: bool

    @property
    def reason(self) -> str:
        """What was counted."""
        sizes = f"{self.sides.control.size} and {self.sides.experiment.size} values"
        if not self.sides.can_be_tested:
            return (
                f"{sizes}, too few for a test (harm is that all lie clearly beyond the control's)"
            )
        return (
            f"p = {self.test.p_value:.2g} of the {self.sides.ways:,} ways to share {sizes} out "
            "(exact rank test over all metrics)"
        )


def judge_few_values(
    sides: FloatArray,
    configs: Sequence[MetricConfig],
    margins: FloatArray,
    absolute: FloatArray,
    plan: ValuePlan,
) -> dict[int, FewValues]:
    """By row, those metrics that have from 2 to 10 values of each version.

    sides: float64[2, metrics, intervals]; margins: float64[metrics, 2]; absolute: float64[metrics].
    The test is for one look: of a plan of more intervals, or before its last one, nothing is said.
    """
    if plan.intervals is not None and not sides.shape[-1] >= plan.intervals <= MOST:
        return {}
    found: dict[int, FewValues] = {}
    for muted in (False, True):
        for harms in _families(sides, configs, margins, absolute, muted=muted):
            # Metrics with more values have their own part of alpha.
            metrics = sum(config.muted == muted for config in configs)
            alpha = plan.alpha * len(harms) / metrics if metrics else plan.alpha
            tests = few_values_tests([each for _, _, each in harms])
            for (row, harm, each), test in zip(harms, tests, strict=True):
                if row not in found or test.alone < found[row].test.alone:
                    found[row] = _judged(harm, each, test, min(alpha, plan.alpha), configs[row])
    return found


def _families(
    sides: FloatArray,
    configs: Sequence[MetricConfig],
    margins: FloatArray,
    absolute: FloatArray,
    *,
    muted: bool,
) -> tuple[list[_Harmed], list[_Harmed]]:
    """The harms that are tested together: one of each metric, then the falls beside a rise."""
    first: list[_Harmed] = []
    second: list[_Harmed] = []
    sizes = (~np.isnan(sides)).sum(axis=2)
    are_few = (sizes.min(axis=0) >= FEWEST) & (sizes.max(axis=0) <= MOST)
    for row in np.flatnonzero(are_few).tolist():
        config = configs[row]
        if config.muted == muted:
            both = _harms(sides[:, row], config, margins[row], float(absolute[row]))
            found = [(row, harm, each) for harm, each in both]
            first += found[:1]
            second += found[1:]
    return first, second


def _harms(
    pair: FloatArray, config: MetricConfig, margins: FloatArray, absolute: float
) -> Iterator[tuple[Harm, Sides]]:
    control, experiment = (values[~np.isnan(values)] for values in pair)
    direction = config.direction
    if direction.harmed_by_increase:
        yield (
            Harm.INCREASE,
            beyond_margin(
                control, experiment, decrease=False, relative=float(margins[0]), absolute=absolute
            ),
        )
    if direction.harmed_by_decrease:
        full = _full_share(control, experiment, config)
        if full is None:
            yield (
                Harm.DECREASE,
                beyond_margin(
                    control,
                    experiment,
                    decrease=True,
                    relative=float(margins[1]),
                    absolute=absolute,
                ),
            )
        else:
            # Of 100 % success a tenth less would be allowed: it is what is short that counts.
            yield (
                Harm.DECREASE,
                beyond_margin(
                    full - control,
                    full - experiment,
                    decrease=False,
                    relative=float(margins[1]),
                    absolute=absolute,
                ),
            )


def _full_share(control: FloatArray, experiment: FloatArray, config: MetricConfig) -> float | None:
    """1 or 100 where the values are shares of which nearly all is there in the control."""
    if config.direction.harmed_by_increase or not control.size or not experiment.size:
        return None
    if config.measure is EffectMeasure.MEAN_RATIO and config.allowed_decrease is not None:
        return None
    values = np.concatenate([control, experiment])
    for full in (1.0, 100.0):
        if values.min() >= 0 and values.max() <= full and control.min() >= _NEARLY_FULL * full:
            return full
    return None


def _judged(
    harm: Harm, sides: Sides, test: FewValuesTest, alpha: float, config: MetricConfig
) -> FewValues:
    """Where both directions are harm each has half of alpha, but all where 20 ways can't halve."""
    if config.direction is Direction.EITHER and sides.ways * alpha > _WAYS_TO_HALVE:
        alpha = alpha / 2
    paired = min(sides.control.size, sides.experiment.size) >= FEWEST_TO_FAIL
    level = alpha * PART_OF_ALPHA if paired else alpha
    if not sides.can_be_tested:
        return FewValues(harm, sides, test, alpha, sides.is_clear, sides.apart)
    beyond = sides.shift > 0
    failed = beyond and test.p_value <= level + _ROUNDING
    leaning = beyond and (test.alone <= level + _ROUNDING if paired else sides.apart)
    return FewValues(harm, sides, test, alpha, failed, leaning)
