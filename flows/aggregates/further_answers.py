"""The answers beside the scorecard's own, row by row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from analysis.arrays import BoolArray, FloatArray
from analysis.fixed.comparison import Sample
from analysis.fixed.margins import means_within, shares_within
from analysis.scorecard.other_methods import (
    corrected,
    exact_rates,
    exact_shares,
    lifts,
    mixture_test,
    one_sided,
    planned_look,
    student_test,
)
from analysis.scorecard.scorecard import Cells, Scorecard
from analysis.sequential.e_values import SequentialTest, always_valid_p
from flows.aggregates.analyzed_document import (
    AlwaysValid,
    Further,
    MixtureTest,
    PlannedLook,
    RateRatio,
    RelativeLift,
    Within,
)
from flows.look.scorecard_document import Interval

_MOST_EVENTS = 1e15
_T = TypeVar("_T", bound=AlwaysValid)


@dataclass(frozen=True, slots=True)
class NegligibleDifference:
    """A difference that doesn't matter: absolute, or a part of the baseline's size."""

    size: float
    relative: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person says beside the sums.

    margins, weights: by metric; "" for all others. look: which one of how many planned looks.
    """

    margins: Mapping[str, NegligibleDifference] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    look: tuple[int, int] | None = None


def further_answers(
    identities: Sequence[Mapping[str, str]],
    cells: Cells,
    card: Scorecard,
    *,
    plain: BoolArray,
    alpha: float,
    n_opt: FloatArray,
    asked: Asked,
) -> list[Further]:
    """One per cell. plain: bool[cells], without covariate and strata."""
    weights = np.array(
        [asked.weights.get(one["metric"], asked.weights.get("", 1.0)) for one in identities]
    )
    correction = corrected(card, cells.family, weights)
    greater, less = one_sided(card)
    lift = lifts(cells, card, alpha)
    mixture, tau2 = mixture_test(cells, card, alpha=alpha, n_opt=n_opt)
    student = student_test(cells, card, alpha=alpha, n_opt=n_opt)
    counts = plain & np.array([one["type"] == "count" for one in identities])
    shares, rates = _exact_shares(cells, alpha), _exact_rates(cells, counts, alpha, n_opt)
    within = _within(identities, cells, card, alpha, asked.margins)
    looks = _planned_look(cells, card, alpha, asked)
    return [
        Further(
            p_greater=greater[i],
            p_less=less[i],
            p_bonferroni=correction.bonferroni[i],
            p_hochberg=correction.hochberg[i],
            p_by=correction.yekutieli[i],
            **{
                f"lift_{name}": RelativeLift.of(
                    found, i, method="fieller" if found.is_fieller[i] else name
                )
                for name, found in lift.items()
            },
            msprt=_always(MixtureTest, mixture, i, mixture_variance=tau2[i]),
            anytime_t=None if cells.is_share[i] else _always(AlwaysValid, student, i),
            exact_share=shares.get(i),
            rate_ratio=rates.get(i),
            within=within.get(i),
            planned_look=looks.get(i),
        )
        for i in range(len(identities))
    ]


def _always(kind: type[_T], found: SequentialTest, i: int, **more: float) -> _T:
    """Of one cell: the p-values of all are not worked out for each."""
    return kind.of(found, i, p_value=float(always_valid_p(found.log_e[i])), **more)


def _arms(cells: Cells, kept: NDArray[np.intp]) -> tuple[Sample, Sample]:
    return cells.baseline.part(kept), cells.candidate.part(kept)


def _exact_shares(cells: Cells, alpha: float) -> dict[int, AlwaysValid]:
    kept = np.flatnonzero(cells.is_share)
    found = exact_shares(*_arms(cells, kept), alpha)
    return {int(i): _always(AlwaysValid, found, j) for j, i in enumerate(kept)}


def _exact_rates(
    cells: Cells, counts: BoolArray, alpha: float, n_opt: FloatArray
) -> dict[int, RateRatio]:
    """Of counts of events, which can't be below 0, in variants that have users.

    Where every user has the same number of events nothing is random, and nothing is claimed.
    """
    events = [s.n * s.mean for s in (cells.baseline, cells.candidate)]  # nan without users
    known = (np.minimum(*events) >= 0) & (np.maximum(*events) <= _MOST_EVENTS)
    varies = np.fmax(cells.baseline.variance, cells.candidate.variance) > 0
    kept = np.flatnonzero(known & counts & varies)
    found, dispersion = exact_rates(*_arms(cells, kept), alpha=alpha, n_opt=n_opt[kept])
    return {
        int(i): _always(RateRatio, found, j, ratio=found.estimate[j], dispersion=dispersion[j])
        for j, i in enumerate(kept)
    }


def _within(
    identities: Sequence[Mapping[str, str]],
    cells: Cells,
    card: Scorecard,
    alpha: float,
    margins: Mapping[str, NegligibleDifference],
) -> dict[int, Within]:
    """Cells with the same kind of margin and estimate are computed together."""
    chosen = [margins.get(one["metric"], margins.get("")) for one in identities]
    answer: dict[int, Within] = {}
    for relative in (False, True):
        has = np.array([margin is not None and margin.relative == relative for margin in chosen])
        for of_shares in (False, True):
            kept = np.flatnonzero(has & (cells.is_share == of_shares))
            if not len(kept):
                continue
            size = np.array([margin.size for i in kept if (margin := chosen[i]) is not None])
            arms = _arms(cells, kept)
            found = (
                shares_within(*arms, size, relative=relative, alpha=alpha)
                if of_shares
                else means_within(card.comparison.part(kept), size, relative=relative, alpha=alpha)
            )
            for j, i in enumerate(kept):
                answer[int(i)] = Within.of(found, j, margin=size[j], relative=relative)
    return answer


def _planned_look(
    cells: Cells, card: Scorecard, alpha: float, asked: Asked
) -> dict[int, PlannedLook]:
    if asked.look is None:
        return {}
    look, looks = asked.look
    multiplier, bounds = planned_look(cells, card, look=look, looks=looks, alpha=alpha)
    return {
        i: PlannedLook(
            look=look,
            looks=looks,
            multiplier=float(multiplier[i]),
            interval=Interval.of(bounds, i),
            crossed=bool((bounds.lower[i] > 0) | (bounds.upper[i] < 0)),
        )
        for i in range(len(multiplier))
    }
