"""Thousands of comparisons at once: every method that applies to each, from one pass of arrays.

A cell is one candidate against the baseline, of one metric of one experiment (and segment). All
tests and intervals of a cell come of one statistic, so they can't contradict each other; they
differ in what they promise: a fixed interval holds at one planned look, an anytime interval at all
looks at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, ndtr, ndtri

from analysis.bayes import NormalPrior, Posterior, normal_posterior
from analysis.comparison import Comparison, Sample, compare_means
from analysis.confidence import log_e_value, two_sided_multiplier
from analysis.fixed.proportions import share_bounds, share_statistic
from analysis.multiplicity import benjamini_hochberg, e_bh, holm
from analysis.sequential.dirichlet import mixture_log_e, planned_concentration

FloatArray = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Cells:
    """What is compared: arrays of one length.

    baseline, candidate: users, estimate, and variance of one user's influence.
    is_share: the estimate is a share of users, whose variance is p (1 - p).
    family: int64, cells that are corrected together (an experiment).
    share: configured share of the candidate among both variants' users; nan where there is none.
    """

    baseline: Sample
    candidate: Sample
    is_share: Mask
    family: NDArray[np.int64]
    share: FloatArray


@dataclass(frozen=True, slots=True)
class Bounds:
    """An interval of the difference and one of the relative difference: float64[cells] each."""

    lower: FloatArray
    upper: FloatArray
    relative_lower: FloatArray
    relative_upper: FloatArray


@dataclass(frozen=True, slots=True)
class Scorecard:
    """Every answer: float64[cells] unless said otherwise.

    comparison: Welch's. fixed: from it; of shares by limits that cover for tiny n and rates
        (analysis/fixed/proportions.py), which anytime, p_value and log_e come of as well.
    p_value: of no difference, for one look. holm, fdr: adjusted within the family (Holm;
        Benjamini, Hochberg).
    anytime: holds at every look; log_e and anytime_p with it; discovery: e-BH within the family.
    difference, relative: as observed. posterior: of the relative lift.
    split_p: chi-square of the users, for one look; split_log_e: of the same, at every look.
    """

    comparison: Comparison
    difference: FloatArray
    relative: FloatArray
    fixed: Bounds
    p_value: FloatArray
    holm: FloatArray
    fdr: FloatArray
    anytime: Bounds
    log_e: FloatArray
    anytime_p: FloatArray
    discovery: Mask
    posterior: Posterior
    split_p: FloatArray
    split_log_e: FloatArray


def make_scorecard(
    cells: Cells,
    *,
    alpha: float = 0.05,
    n_opt: FloatArray | float = 5000.0,
    prior: NormalPrior | None = None,
) -> Scorecard:
    """Every answer for every cell.

    n_opt: users at which the anytime intervals are tightest, for all cells or float64[cells].
    """
    arms = _compare(cells)
    comparison = arms.comparison
    users = cells.baseline.n + cells.candidate.n
    p_value = arms.p_value
    known = np.isfinite(arms.statistic)
    z = np.where(known, arms.statistic, 0.0)
    log_e = np.where(known, log_e_value(z, users, alpha=alpha, n_opt=n_opt), np.nan)
    rows = _by_family(cells.family)
    difference = cells.candidate.mean - cells.baseline.mean
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = difference / np.abs(cells.baseline.mean)
    split_p, split_log_e = _split(cells, alpha, n_opt)
    return Scorecard(
        comparison=comparison,
        difference=difference,
        relative=relative,
        fixed=arms.bounds(arms.fixed_multiplier(alpha)),
        p_value=p_value,
        holm=_within(rows, p_value, holm),
        fdr=_within(rows, p_value, benjamini_hochberg),
        anytime=arms.bounds(two_sided_multiplier(users, alpha=alpha, n_opt=n_opt)),
        log_e=log_e,
        anytime_p=np.minimum(1.0, np.exp(-np.maximum(log_e, 0.0))),
        discovery=_within(rows, log_e, lambda e: e_bh(e, alpha)).astype(np.bool_),
        posterior=normal_posterior(comparison, prior or NormalPrior(), alpha=alpha),
        split_p=split_p,
        split_log_e=split_log_e,
    )


@dataclass(frozen=True, slots=True)
class _Arms:
    """The comparison of every cell, and which cells are shares, with their own statistic."""

    comparison: Comparison
    is_share: Mask
    share_statistic: FloatArray

    @property
    def statistic(self) -> FloatArray:
        return np.where(self.is_share, self.share_statistic, self.comparison.statistic)

    @property
    def p_value(self) -> FloatArray:
        of_share = 2 * ndtr(-np.abs(self.share_statistic))
        return np.where(self.is_share, of_share, self.comparison.p_value)

    def fixed_multiplier(self, alpha: float) -> FloatArray:
        student = self.comparison.fixed_multiplier(alpha)
        return np.where(self.is_share, -ndtri(alpha / 2), student)

    def bounds(self, multiplier: FloatArray) -> Bounds:
        """Of shares by share_bounds, of others by the standard error and Fieller."""
        lower, upper = self.comparison.interval(multiplier)
        relative_lower, relative_upper = self.comparison.relative_interval(multiplier)
        shares = share_bounds(self.comparison.baseline, self.comparison.candidate, multiplier)
        chosen = (
            np.where(self.is_share, ours, other)
            for ours, other in (
                (shares.lower, lower),
                (shares.upper, upper),
                (shares.relative_lower, relative_lower),
                (shares.relative_upper, relative_upper),
            )
        )
        return Bounds(*chosen)


def _compare(cells: Cells) -> _Arms:
    """Welch's comparison of means; shares have bounds and a statistic of their own."""
    comparison = compare_means(cells.baseline, cells.candidate)
    statistic = np.full(cells.is_share.shape, np.nan)
    kept = np.flatnonzero(cells.is_share)
    arms = (
        Sample(s.n[kept], s.mean[kept], s.variance[kept]) for s in (cells.baseline, cells.candidate)
    )
    statistic[kept] = share_statistic(*arms)
    return _Arms(comparison, cells.is_share, statistic)


def _split(cells: Cells, alpha: float, n_opt: FloatArray | float) -> tuple[FloatArray, FloatArray]:
    """Users against the configured share; nan where none is configured or nobody was seen."""
    counts = np.stack([cells.baseline.n, cells.candidate.n], axis=-1)
    users = counts.sum(axis=-1)
    tested = (cells.share > 0) & (cells.share < 1) & (users > 0)
    share = np.where(tested, cells.share, 0.5)
    null = np.stack([1 - share, share], axis=-1)
    expected = null * np.where(tested, users, 1.0)[..., None]
    statistic = ((counts - expected) ** 2 / expected).sum(axis=-1)
    log_e = mixture_log_e(counts, null, planned_concentration(alpha, n_opt))
    nothing = np.full(share.shape, np.nan)
    return (
        np.where(tested, chdtrc(1, statistic), nothing),
        np.where(tested, log_e, nothing),
    )


def _by_family(family: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Each cell's row and column in a table with one row per family."""
    _, row, sizes = np.unique(family, return_inverse=True, return_counts=True)
    order = np.argsort(row, kind="stable")
    starts = np.cumsum(sizes) - sizes
    column = np.empty(len(family), dtype=np.intp)
    column[order] = np.arange(len(family)) - np.repeat(starts, sizes)
    return row, column


def _within(
    rows: tuple[NDArray[np.intp], NDArray[np.intp]],
    values: FloatArray,
    correct: Callable[[FloatArray], FloatArray | Mask],
) -> FloatArray:
    """A correction over each family; the table's empty places are nan and don't count."""
    row, column = rows
    if not len(row):
        return np.empty(0)
    table = np.full((row.max() + 1, column.max() + 1), np.nan)
    table[row, column] = values
    return np.asarray(correct(table)[row, column], dtype=np.float64)
