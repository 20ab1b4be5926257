"""What `verdict analyze` says beside the scorecard, as JSON."""

from __future__ import annotations

import json
import math
from typing import Any

from pydantic import BaseModel, Field

from flows.formats.json_schema import JsonDocument, NullableNumbers
from flows.look.scorecard_document import Interval, OfCell, ScorecardRow


class AlwaysValid(OfCell):
    """A test that holds at every look: an interval, its evidence, and a p-value that agrees."""

    lower: float
    upper: float
    log_e: float
    p_value: float


class MixtureTest(AlwaysValid):
    """mSPRT of the difference, as other engines have it: its variance is taken as known."""

    mixture_variance: float = Field(description="tau^2, so that it is tightest as said.")


class RateRatio(AlwaysValid):
    """Events a user of the candidate over the baseline's; holds for Poisson events."""

    ratio: float
    dispersion: float = Field(
        description="Variance over mean of a user's events: far above 1 the test alarms falsely."
    )


class RelativeLift(OfCell):
    """A relative interval for one look, by a way that other engines go."""

    lower: float
    upper: float
    p_value: float
    method: str = Field(description="fieller where the baseline may be zero, else as named.")


class Within(OfCell):
    """Whether the difference lies within the margin, for one look; small p-values show it."""

    margin: float
    relative: bool = Field(description="The margin is a part of the baseline's size.")
    p_not_lower: float = Field(description="Of 'lower by the margin or more' (non-inferiority).")
    p_not_higher: float = Field(description="Of 'higher by the margin or more'.")
    p_equivalent: float = Field(description="Of 'beyond the margin on some side' (TOST).")
    lower: float = Field(description="Of the interval of level 1 - 2 alpha, in the margin's unit.")
    upper: float


class PlannedLook(BaseModel):
    """At one of several planned looks (Lan, DeMets; spending after O'Brien and Fleming)."""

    look: int
    looks: int
    multiplier: float = Field(description="Standard errors at which the plan stops.")
    interval: Interval = Field(description="Holds at all planned looks together.")
    crossed: bool


class Further(BaseModel):
    """Answers beside the scorecard's own; null where a method doesn't apply."""

    p_greater: float = Field(description="One-sided, of 'the candidate is not larger'.")
    p_less: float = Field(description="One-sided, of 'the candidate is not smaller'.")
    p_bonferroni: float = Field(description="Alpha shared out by weight.")
    p_hochberg: float
    p_by: float = Field(description="Benjamini, Yekutieli: under any dependence.")
    lift_delta: RelativeLift
    lift_log: RelativeLift
    msprt: MixtureTest
    anytime_t: AlwaysValid | None = Field(description="Of means: the variance is estimated.")
    exact_share: AlwaysValid | None = Field(
        description="Of shares: exact for any number of users, at every look."
    )
    rate_ratio: RateRatio | None = Field(description="Of counts.")
    within: Within | None = Field(description="With a margin.")
    planned_look: PlannedLook | None = Field(description="With planned looks.")

    def without_sequential(self, unbounded: Interval) -> Further:
        """The same where looks contradict each other: what holds over looks claims nothing."""
        bounds = {"lower": -math.inf, "upper": math.inf, "log_e": 0.0, "p_value": 1.0}
        tests = {name: getattr(self, name) for name in ("msprt", "anytime_t", "exact_share")}
        changed = {name: test and test.model_copy(update=bounds) for name, test in tests.items()}
        ratio, planned = self.rate_ratio, self.planned_look
        changed["rate_ratio"] = ratio and ratio.model_copy(update={**bounds, "lower": 0.0})
        changed["planned_look"] = planned and planned.model_copy(
            update={"interval": unbounded, "crossed": False}
        )
        return self.model_copy(update=changed)


class SplitShare(BaseModel):
    """One variant's share of the users; the intervals of all hold together, at every look."""

    variant: str
    configured: float
    observed: float
    lower: float
    upper: float


class OverVariants(BaseModel):
    """All variants of one metric at once: is any of them different, and is the split right?"""

    experiment: str
    metric: str
    segment: str
    variants: tuple[str, ...]
    test: str = Field(description="chi-square of shares; Welch's analysis of variance of others.")
    statistic: float
    degrees: float
    degrees_within: float = Field(description="Of F; null for a chi-square.")
    p_value: float
    split_p: float = Field(description="Chi-square of the configured split, for one look.")
    split_log_e: float = Field(description="Evidence against the split, at every look.")
    split_anytime_p: float
    split: tuple[SplitShare, ...] = Field(description="Empty where no split is configured.")


class SegmentsDiffer(BaseModel):
    """One dimension of the segments of one metric and candidate, for one look."""

    experiment: str
    metric: str
    baseline: str
    candidate: str
    dimension: str
    segments: int
    p_value: float = Field(description="Of equal effects in all segments (Cochran).")
    pooled: float
    stratified: float = Field(description="The effect, each segment weighed by its users.")
    reversed: bool = Field(description="Pooled and stratified contradict: Simpson's paradox.")


class OverLooks(BaseModel):
    """What all looks at one comparison say together."""

    experiment: str
    metric: str
    segment: str
    candidate: str
    looks: int
    direction: str = Field(description="higher or lower, by the first look that left 0 out; or ''.")
    declared_at: float | None = Field(description="That look's days since the start.")
    contradicted_at: float | None = Field(
        description="A later look that left 0 out on the other side: the effect isn't one."
    )
    lower: float = Field(description="Of the difference, at the last look; null: unbounded.")
    upper: float


class AnalyzedRow(ScorecardRow):
    """A row of the scorecard, with what only sums from elsewhere are asked for."""

    further: Further


class ScorecardDocument(JsonDocument):
    """All rows, and what they were computed with."""

    alpha: float
    tightest_at_users: float | None = Field(
        description="As asked; null where it follows each metric's plan or arrivals."
    )
    limits: tuple[str, ...] = Field(
        (), description="Which methods have no answer to which rows, and why."
    )
    rows: tuple[AnalyzedRow, ...]
    over_variants: tuple[OverVariants, ...]
    over_looks: tuple[OverLooks, ...] = Field(
        (), description="Where rows say `as_of`, and there are several: all looks together."
    )
    segments: tuple[SegmentsDiffer, ...] = Field(
        description="Where rows name segments: whether the effect differs between them."
    )


def scorecard_schema() -> str:
    """JSON Schema (draft 2020-12) of the answer."""
    schema: dict[str, Any] = ScorecardDocument.model_json_schema(
        mode="serialization", schema_generator=NullableNumbers
    )
    header = {"$schema": NullableNumbers.schema_dialect}
    return json.dumps({**header, **schema}, indent=2) + "\n"
