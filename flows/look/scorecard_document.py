"""The scorecard as others read it: one row per comparison, in verdicts and in `analyze`."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from analysis.scorecard.scorecard import Cells, Scorecard


class OfCell(BaseModel):
    """One cell of a record of arrays."""

    @classmethod
    def of(cls, found: object, i: int, **more: object) -> Self:
        """Each field that isn't given is at i in the record's array of its name."""
        own = {name: getattr(found, name)[i] for name in cls.model_fields if name not in more}
        return cls.model_validate({**own, **more})


class Interval(OfCell):
    """An interval of the difference, and of the relative difference; null: unbounded."""

    lower: float
    upper: float
    relative_lower: float
    relative_upper: float


class PosteriorDocument(OfCell):
    """A Bayesian answer, with the prior that it rests on."""

    prior: str
    chance_to_win: float
    expected_loss: float = Field(description="Of choosing the candidate, in the metric's unit.")
    expected_loss_baseline: float
    lift: float
    lower: float
    upper: float


class ScorecardRow(BaseModel):
    """One candidate against the baseline, by every method that applies."""

    model_config = ConfigDict(ser_json_inf_nan="null")

    experiment: str
    metric: str
    segment: str
    type: str
    baseline: str
    candidate: str
    users_baseline: float
    users_candidate: float
    estimate_baseline: float
    estimate_candidate: float
    difference: float
    standard_error: float
    degrees_of_freedom: float = Field(description="Of Student's t (Welch).")
    relative: float
    p_value: float = Field(description="Two-sided, for one look.")
    p_holm: float = Field(description="Adjusted over the experiment: family-wise error.")
    p_fdr: float = Field(description="Adjusted over the experiment: Benjamini, Hochberg.")
    fixed: Interval = Field(description="Holds at one planned look.")
    anytime: Interval = Field(description="Holds at all looks at once.")
    tightest_at_users: float = Field(
        description="Users of both variants for whom the answers at all looks are tuned."
    )
    log_e: float = Field(description="Evidence of a difference, at every look.")
    anytime_p: float
    discovery: bool = Field(description="By e-BH over the experiment; holds at every look.")
    variance_removed: float | None = Field(
        description="By the covariate and the strata; null without either."
    )
    other_p: dict[str, float] = Field(
        default_factory=dict, description="By other tests of a share: z, Fisher, Boschloo, Barnard."
    )
    posterior: PosteriorDocument
    share_posterior: PosteriorDocument | None = Field(
        description="Exact, of the first 300 shares; null for others."
    )
    split_p: float = Field(description="Of the configured split, for one look.")
    split_log_e: float = Field(description="Evidence of a mismatch, at every look.")


def row_of(
    identity: dict[str, str],
    cells: Cells,
    card: Scorecard,
    i: int,
    *,
    variance_removed: float | None,
    share_posterior: PosteriorDocument | None,
    tightest_at_users: float,
    other_p: dict[str, float] | None = None,
) -> ScorecardRow:
    """One cell's row. identity: experiment, metric, segment, type, baseline and candidate."""
    comparison = card.comparison
    return ScorecardRow.model_validate(
        {
            **identity,
            "users_baseline": float(cells.baseline.n[i]),
            "users_candidate": float(cells.candidate.n[i]),
            "estimate_baseline": float(cells.baseline.mean[i]),
            "estimate_candidate": float(cells.candidate.mean[i]),
            "standard_error": float(comparison.standard_error[i]),
            "degrees_of_freedom": float(comparison.degrees_of_freedom[i]),
            **{name: float(getattr(card, field)[i]) for name, field in _NUMBERS.items()},
            "fixed": Interval.of(card.fixed, i),
            "anytime": Interval.of(card.anytime, i),
            "discovery": bool(card.discovery[i]),
            "variance_removed": variance_removed,
            "posterior": PosteriorDocument.of(card.posterior, i, prior=card.posterior.prior),
            "share_posterior": share_posterior,
            "tightest_at_users": tightest_at_users,
            "other_p": other_p or {},
        }
    )


_NUMBERS = {
    "difference": "difference",
    "relative": "relative",
    "p_value": "p_value",
    "p_holm": "holm",
    "p_fdr": "fdr",
    "log_e": "log_e",
    "anytime_p": "anytime_p",
    "split_p": "split_p",
    "split_log_e": "split_log_e",
}
