"""Thousands of comparisons at once: every method that applies to each, from one pass of arrays.

A cell is one candidate against the baseline, of one metric of one experiment (and segment). All
tests and intervals of a cell at one look come of one statistic, and so do those at all looks, whose
variances are guarded against few users (analysis/users/guarded_comparison.py). A fixed interval
holds at one planned look, an anytime interval at all looks at once; it is never the narrower one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc, ndtr, ndtri

from analysis.arrays import BoolArray, FloatArray, IntArray
from analysis.fixed.comparison import Bounds, Comparison, Sample, compare_means
from analysis.fixed.proportions import share_bounds, share_statistic
from analysis.scorecard.bayes import NormalPrior, Posterior, normal_posterior
from analysis.scorecard.multiplicity import benjamini_hochberg, e_bh, holm
from analysis.sequential.confidence_sequence import log_e_value, two_sided_multiplier
from analysis.sequential.dirichlet import mixture_log_e, planned_concentration
from analysis.users.guarded_comparison import compare_guarded, normal_statistic, student_multiplier


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
    is_share: BoolArray
    family: IntArray
    share: FloatArray


@dataclass(frozen=True, slots=True)
class Scorecard:
    """Every answer: float64[cells] unless said otherwise.

    comparison: Welch's. fixed, p_value: from it; of shares by limits that cover for tiny n and
        rates (analysis/fixed/proportions.py), which anytime and log_e come of as well.
    p_value: of no difference, for one look. holm, fdr: adjusted within the family (Holm;
        Benjamini, Hochberg).
    anytime: holds at every look; log_e and anytime_p with it: e is 1 / alpha or more exactly
        where anytime leaves 0 out. discovery: e-BH within the family.
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
    discovery: BoolArray
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
    compared = _compare(cells)
    comparison = compared.comparison
    users = cells.baseline.n + cells.candidate.n
    p_value = compared.p_value
    log_e = log_e_value(compared.guarded_statistic, users, alpha=alpha, n_opt=n_opt)
    rows = _by_family(cells.family)
    difference = comparison.difference
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = difference / np.abs(cells.baseline.mean)
    split_p, split_log_e = _split(cells, alpha, n_opt)
    return Scorecard(
        comparison=comparison,
        difference=difference,
        relative=relative,
        fixed=compared.fixed(alpha),
        p_value=p_value,
        holm=_within(rows, p_value, holm),
        fdr=_within(rows, p_value, benjamini_hochberg),
        anytime=compared.anytime(two_sided_multiplier(users, alpha=alpha, n_opt=n_opt)),
        log_e=log_e,
        anytime_p=np.minimum(1.0, np.exp(-np.maximum(log_e, 0.0))),
        discovery=_within(rows, log_e, lambda e: e_bh(e, alpha)).astype(np.bool_),
        posterior=normal_posterior(comparison, prior or NormalPrior(), alpha=alpha),
        split_p=split_p,
        split_log_e=split_log_e,
    )


def anytime_bounds(cells: Cells, *, alpha: float, n_opt: FloatArray) -> Bounds:
    """The scorecard's bounds at every look alone, for looks of which the rest isn't asked."""
    users = cells.baseline.n + cells.candidate.n
    return _compare(cells).anytime(two_sided_multiplier(users, alpha=alpha, n_opt=n_opt))


@dataclass(frozen=True, slots=True)
class _Compared:
    """Every cell compared for one look and for all, and which are shares, with their statistic."""

    comparison: Comparison
    guarded: Comparison
    is_share: BoolArray
    share_statistic: FloatArray

    @property
    def p_value(self) -> FloatArray:
        of_share = 2 * ndtr(-np.abs(self.share_statistic))
        return np.where(self.is_share, of_share, self.comparison.p_value)

    @property
    def guarded_statistic(self) -> FloatArray:
        """The statistic at every look, as a normal one; nan where nothing can be compared."""
        other = normal_statistic(self.guarded.statistic, self.guarded.degrees_of_freedom)
        return np.where(self.is_share, self.share_statistic, other)

    def fixed(self, alpha: float) -> Bounds:
        student = self.comparison.fixed_multiplier(alpha)
        return self._bounds(self.comparison, student, -ndtri(alpha / 2))

    def anytime(self, normal: FloatArray) -> Bounds:
        student = student_multiplier(normal, self.guarded.degrees_of_freedom)
        return self._bounds(self.guarded, student, normal)

    def _bounds(self, comparison: Comparison, student: FloatArray, normal: ArrayLike) -> Bounds:
        """Of shares by share_bounds, of others by the standard error and Fieller."""
        other = comparison.bounds(student)
        shares = share_bounds(comparison.baseline, comparison.candidate, normal)
        return Bounds(
            np.where(self.is_share, shares.lower, other.lower),
            np.where(self.is_share, shares.upper, other.upper),
            np.where(self.is_share, shares.relative_lower, other.relative_lower),
            np.where(self.is_share, shares.relative_upper, other.relative_upper),
        )


def _compare(cells: Cells) -> _Compared:
    """Welch's comparison of means; shares have bounds and a statistic of their own."""
    statistic = np.full(cells.is_share.shape, np.nan)
    kept = np.flatnonzero(cells.is_share)
    statistic[kept] = share_statistic(*(s.part(kept) for s in (cells.baseline, cells.candidate)))
    return _Compared(
        compare_means(cells.baseline, cells.candidate),
        compare_guarded(cells.baseline, cells.candidate, is_share=False),
        cells.is_share,
        statistic,
    )


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


def _by_family(family: IntArray) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
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
    correct: Callable[[FloatArray], FloatArray | BoolArray],
) -> FloatArray:
    """A correction over each family; the table's empty places are nan and don't count."""
    row, column = rows
    if not len(row):
        return np.empty(0)
    table = np.full((row.max() + 1, column.max() + 1), np.nan)
    table[row, column] = values
    return np.asarray(correct(table)[row, column], dtype=np.float64)
