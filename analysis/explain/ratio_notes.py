"""Whether what a ratio is divided by differs between the variants: the ratio alone hides it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.special import stdtr

from analysis.evidence import Denominator
from analysis.fixed.comparison import Pair, compare_means

# Of equal denominators, at a look; smaller changes than this part of the baseline's are none.
_LEVEL, _LEAST = 0.001, 0.01


def ratio_notes(name: str, denominator: Denominator, variants: tuple[str, str]) -> Iterator[str]:
    """A sentence where the candidate's users have surely more or less of it.

    name: of the metric, as it is called in sentences. variants: baseline and candidate.
    """
    pair = denominator.pairs.get(variants[1])
    p_value = 1.0 if pair is None else _p_value(pair)
    if pair is None or p_value >= _LEVEL:
        return
    theirs, own = (float(sample.mean) for sample in pair)
    if abs(own - theirs) < _LEAST * abs(theirs):
        return
    outcome = denominator.outcome
    yield (
        f"{name}: {variants[1]} has {own:.3g} {outcome!r} per user, {variants[0]} {theirs:.3g} "
        f"(p = {p_value:.1g}), by which the ratio is divided: it doesn't tell whether that is "
        f"harm, and no metric counts {outcome!r}. Give it a metric of the kind count"
    )


def _p_value(pair: Pair) -> float:
    """Of equal means; 1 where they can't be compared."""
    compared = compare_means(*pair)
    difference, error = float(compared.difference), float(compared.standard_error)
    if not np.isfinite(difference) or not np.isfinite(error) or error <= 0:
        return 1.0
    return float(2 * stdtr(float(compared.degrees_of_freedom), -abs(difference) / error))
