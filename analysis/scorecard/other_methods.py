"""Beside the scorecard's own: the answers that other engines give, of thousands of cells at once.

Nothing here decides. Where an answer is the scorecard's in other words (one-sided p-values, the
mixture test), it comes of the same statistic and can't contradict it; exact and planned ones may.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.arrays import FloatArray, IntArray
from analysis.fixed.comparison import Bounds, Comparison, Sample, compare_proportions
from analysis.fixed.proportions import share_bounds
from analysis.fixed.relative import Lift, relative_lift
from analysis.scorecard.multiplicity import benjamini_yekutieli, hochberg, weighted_bonferroni
from analysis.scorecard.scorecard import Cells, Scorecard
from analysis.sequential.bernoulli import compare_failures
from analysis.sequential.confidence_sequence import student_adjusted
from analysis.sequential.e_values import SequentialTest
from analysis.sequential.group_sequential import spend_alpha
from analysis.sequential.multinomial import compare_rates
from analysis.sequential.regression_t import anytime_t, planned_precision
from analysis.sequential.sprt import mixture_sprt, planned_mixture_variance

_MOST_EVENTS = 1e15


@dataclass(frozen=True, slots=True)
class Corrected:
    """p-values corrected over each family: float64[cells] each."""

    bonferroni: FloatArray
    hochberg: FloatArray
    yekutieli: FloatArray


def one_sided(card: Scorecard) -> tuple[FloatArray, FloatArray]:
    """p-values of "the candidate isn't larger" and "isn't smaller", of the card's own statistic."""
    half = card.p_value / 2
    return (
        np.where(card.difference > 0, half, 1 - half),
        np.where(card.difference < 0, half, 1 - half),
    )


def corrected(card: Scorecard, family: IntArray, weights: FloatArray) -> Corrected:
    """Beside Holm's and Benjamini's: with alpha shared out by weight, Hochberg's, Yekutieli's.

    weights: float64[cells], above 0.
    """
    found = Corrected(*(np.empty_like(card.p_value) for _ in range(3)))
    order = np.argsort(family, kind="stable")
    starts = np.flatnonzero(np.diff(family[order])) + 1
    for rows in np.split(order, starts):
        p = card.p_value[rows]
        found.bonferroni[rows] = weighted_bonferroni(p, weights[rows])
        found.hochberg[rows] = hochberg(p)
        found.yekutieli[rows] = benjamini_yekutieli(p)
    return found


def lifts(cells: Cells, card: Scorecard, alpha: float) -> dict[str, Lift]:
    """Relative intervals by the delta method and of the logarithm; of shares by a normal test."""
    shares = compare_proportions(cells.baseline, cells.candidate)
    comparison = Comparison(
        cells.baseline,
        cells.candidate,
        shares.difference,
        shares.standard_error,
        np.where(cells.is_share, np.inf, card.comparison.degrees_of_freedom),
    )
    multiplier = comparison.fixed_multiplier(alpha)
    return {
        "delta": relative_lift(comparison, multiplier, "delta"),
        "log": relative_lift(comparison, multiplier, "log"),
    }


def mixture_test(
    cells: Cells, card: Scorecard, *, alpha: float, n_opt: FloatArray | float
) -> tuple[SequentialTest, FloatArray]:
    """mSPRT of the difference, by its standard error, tightest at n_opt users; and its tau^2."""
    variance = card.comparison.standard_error**2
    users = cells.baseline.n + cells.candidate.n
    known = np.isfinite(variance) & (variance > 0)
    at_end = np.where(known, variance, 1.0) * np.maximum(users, 1.0) / n_opt
    tau2 = planned_mixture_variance(alpha, at_end)
    return mixture_sprt(card.difference, variance, mixture_variance=tau2, alpha=alpha), tau2


def student_test(
    cells: Cells, card: Scorecard, *, alpha: float, n_opt: FloatArray | float
) -> SequentialTest:
    """The anytime t-test of the difference, with Welch's error and degrees of freedom."""
    n_b, n_c = cells.baseline.n, cells.candidate.n
    users = np.maximum(n_b + n_c, 1.0)
    information = n_b * n_c / users
    # At the planned end the variants have the parts of the users that they have now.
    planned = np.maximum(information / users * n_opt, 1e-9)
    return anytime_t(
        card.difference,
        card.comparison.standard_error,
        card.comparison.degrees_of_freedom,
        information=information,
        prior_precision=planned_precision(alpha, planned),
        alpha=alpha,
    )


def exact_shares(baseline: Sample, candidate: Sample, alpha: float) -> SequentialTest:
    """The sequential test of two shares that is exact for any number of users."""
    counts = [np.round(s.n * np.nan_to_num(s.mean)) for s in (baseline, candidate)]
    return compare_failures(counts[0], baseline.n, counts[1], candidate.n, alpha=alpha)


def exact_rates(
    baseline: Sample, candidate: Sample, *, alpha: float, n_opt: FloatArray | float
) -> tuple[SequentialTest, FloatArray]:
    """The sequential test of two rates of events a user, and how bursty the events are.

    n_opt: users at which it is tightest. The second answer is variance over mean of the events a
    user, in both variants: far above 1, events are no Poisson stream, and the test alarms falsely.
    """
    of_baseline, of_candidate = baseline.n * baseline.mean, candidate.n * candidate.mean
    users = baseline.n + candidate.n
    rate = (of_baseline + of_candidate) / users
    test = compare_rates(
        of_baseline,
        of_candidate,
        baseline.n,
        candidate.n,
        alpha=alpha,
        n_opt=np.clip(n_opt * rate, 1.0, _MOST_EVENTS),
    )
    spread = (baseline.n * baseline.variance + candidate.n * candidate.variance) / users
    return test, np.divide(spread, rate, out=np.full_like(rate, np.nan), where=rate > 0)


def planned_look(
    cells: Cells, card: Scorecard, *, look: int, looks: int, alpha: float
) -> tuple[FloatArray, Bounds]:
    """Multiplier and bounds at one of so many planned looks at equal parts of the users.

    Lan, DeMets 1983, with their spending function after O'Brien and Fleming; the normal multiplier
    keeps its tail under Student's t.
    """
    information = [(i + 1) / looks for i in range(looks)][:look]
    z = spend_alpha(information, alpha=alpha)[-1]
    student = student_adjusted(z, np.minimum(card.comparison.degrees_of_freedom, 1e15))
    multiplier = np.where(cells.is_share, z, student)
    return multiplier, _bounds(cells, card, multiplier)


def _bounds(cells: Cells, card: Scorecard, multiplier: FloatArray) -> Bounds:
    """As the scorecard's: of shares by share_bounds, of others by Welch and Fieller."""
    comparison = card.comparison
    ours = (*comparison.interval(multiplier), *comparison.relative_interval(multiplier))
    shares = share_bounds(cells.baseline, cells.candidate, multiplier)
    of_shares = (shares.lower, shares.upper, shares.relative_lower, shares.relative_upper)
    return Bounds(*(np.where(cells.is_share, a, b) for a, b in zip(of_shares, ours, strict=True)))
