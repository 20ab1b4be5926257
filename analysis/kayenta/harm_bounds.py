"""Bounds of the mean excess of each harm: by means or, where one value decides those, by ranks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis.arrays import BoolArray, FloatArray
from analysis.kayenta.config import ValuePlan
from analysis.kayenta.few_values import MOST, beyond_margin
from analysis.kayenta.harms import Harm, harm_excesses, harm_noise
from analysis.kayenta.heavy_tails import bounded_by_ranks, have_heavy_tails
from analysis.kayenta.series_means import (
    SeriesMeans,
    bounded_means,
    joined_moments,
    series_moments,
    unknown_means,
)

# Values of each side that are worked on at once, which stay in a processor's cache.
_VALUES = 60_000


def harm_bounds(
    control: FloatArray,
    experiment: FloatArray,
    margins: FloatArray,
    absolute: FloatArray,
    tested: BoolArray,
    *,
    alphas: FloatArray,
    plan: ValuePlan,
) -> tuple[list[SeriesMeans], SeriesMeans]:
    """Means of the excess of each harm with their bounds, and those of experiment - control.

    control, experiment: float64[metrics, intervals], NaN at the same places. margins:
    float64[metrics, 2]; absolute: float64[metrics]; see harms.py. tested: bool[harms, metrics].
    alphas: float64[metrics], of each lower bound.
    """
    harms = [harm for harm, metrics in zip(Harm, tested, strict=True) if metrics.any()]
    parts = []
    step = max(1, _VALUES // control.shape[1])
    for at in range(0, len(control), step):
        rows = slice(at, at + step)
        sides = control[rows], experiment[rows]
        excesses = harm_excesses(
            *sides,
            margins[rows],
            absolute[rows],
            tested[:, rows],
            plan.spread_growth,
            harms=harms,
        )
        noise = harm_noise(excesses, sides[0], margins[rows])
        rise = sides[1] - sides[0]
        pairs = [*((excesses[harm], noise[harm]) for harm in harms), (rise, rise)]
        parts.append([series_moments(*pair) for pair in pairs])
    *means, difference = (
        bounded_means(
            joined_moments(each),
            lower_alpha=alphas,
            upper_alpha=plan.alpha,
            intervals=plan.intervals,
        )
        for each in zip(*parts, strict=True)
    )
    bounds = dict(zip(harms, means, strict=True))
    if plan.intervals is None:
        enough = (~np.isnan(control)).sum(axis=1) > MOST
        heavy = np.flatnonzero(enough & have_heavy_tails(control)).tolist()
        bounds = _by_ranks(bounds, heavy, (control, experiment), margins, absolute, alphas, plan)
    unknown = unknown_means(len(control))
    return [bounds.get(harm, unknown) for harm in Harm], difference


def _by_ranks(
    bounds: dict[Harm, SeriesMeans],
    rows: Sequence[int],
    pair: tuple[FloatArray, FloatArray],
    margins: FloatArray,
    absolute: FloatArray,
    alphas: FloatArray,
    plan: ValuePlan,
) -> dict[Harm, SeriesMeans]:
    """The bounds of a rise and of a fall, of some rows by ranks."""
    found = dict(bounds)
    for row in rows:
        control, experiment = (values[row][~np.isnan(values[row])] for values in pair)
        for side, harm in enumerate((Harm.INCREASE, Harm.DECREASE)):
            if harm not in bounds:
                continue
            sides = beyond_margin(
                control,
                experiment,
                decrease=harm is Harm.DECREASE,
                relative=float(margins[row, side]),
                absolute=float(absolute[row]),
            )
            found[harm] = bounded_by_ranks(
                found[harm], row, sides, lower_alpha=float(alphas[row]), upper_alpha=plan.alpha
            )
    return found
