"""What `verdict plan` says, as JSON."""

from __future__ import annotations

from pydantic import BaseModel, Field

from flows.formats.json_schema import JsonDocument


class DetectionRow(BaseModel):
    """Canaries of one kind at one share of the traffic; minutes are null if it takes longer."""

    share: float = Field(description="Of the traffic; the mean of the stages if as_planned.")
    as_planned: bool = Field(description="At the plan's own stages, one after the other.")
    harm: float = Field(description="Share of requests that is bad beside the baseline's.")
    rolled_back: float = Field(description="Share of such canaries, by the plan's end.")
    promoted: float
    median_minutes: float = Field(description="Until half of them are decided rightly.")
    slow_minutes: float = Field(description="Until nine in ten are.")


class DetectableHarm(BaseModel):
    """The harm that is rolled back by the plan's end in four of five cases; null if none is."""

    share: float
    as_planned: bool
    harm: float


class LateDetection(BaseModel):
    """Harm that begins in the middle of the plan; minutes since the plan's start, null if later."""

    share: float = Field(description="Of the traffic; the mean of the stages if as_planned.")
    as_planned: bool = Field(description="At the plan's own stages, one after the other.")
    harm: float = Field(description="Share of requests that is bad beside the baseline's.")
    begin_minutes: float
    found: float = Field(description="Share of such canaries that are found by the plan's end.")
    median_minutes: float = Field(description="When half of them are found.")
    by_minutes: float = Field(description="When 95 % of them are found.")


class RequestPlan(BaseModel):
    """One request metric."""

    metric: str
    requests_per_second: float
    bad: float = Field(description="Share of bad requests of the baseline.")
    overdispersion: float
    margin: float
    plan_minutes: float
    rows: tuple[DetectionRow, ...]
    detectable: tuple[DetectableHarm, ...]
    late: tuple[LateDetection, ...] = ()


class EffectRow(BaseModel):
    """Effects of one user metric at one share of the users; null where it takes longer."""

    share: float = Field(description="The candidate's; the mean over the plan if as_planned.")
    as_planned: bool = Field(description="At the plan's own stages, one after the other.")
    effects: tuple[float, ...] = Field(description="In the metric's unit.")
    days: tuple[float, ...] = Field(
        description="Until each is found in four of five cases, watched at every look."
    )
    smallest_fixed: float = Field(
        description="Found in four of five cases at the end, one look; null of a guardrail."
    )
    smallest_anytime: float = Field(description="The same, watched at every look.")


class UserPlan(BaseModel):
    """One user metric, in its unit; null where it can't be said, or can't be.

    A guardrail's harm is found beyond its margin, at every look; it has no single look at the end.
    """

    metric: str
    role: str = Field(description="guardrail or goal.")
    users_per_day: float
    baseline: float
    users_at_end: float = Field(description="Of both variants, with a final value by then.")
    detectable_fixed: float = Field(description="Effect found with 80 % power at the end.")
    detectable_anytime: float = Field(description="The same by bounds that hold at every look.")
    margin: float = Field(description="Harm that is allowed; for a goal its smallest gain.")
    users_for_margin: float = Field(description="Users to find as much, one look at the end.")
    users_for_margin_anytime: float = Field(
        description="The same, watched at every look; of a guardrail to exclude as much harm where "
        "there is none, as a promote has to."
    )
    days_for_margin_anytime: float
    power_for_margin: float = Field(description="To find as much, one look at the planned end.")
    rows: tuple[EffectRow, ...]


class PlanningDocument(JsonDocument):
    """What an experiment can see."""

    experiment: str
    history: str = Field(description="What the figures rest on.")
    requests: tuple[RequestPlan, ...]
    users: tuple[UserPlan, ...]
    unlike_pods: tuple[str, ...] = Field(
        (), description="By what else than their version the variants' pods differ."
    )
    waits: tuple[str, ...] = Field(
        (), description="What it waits for: experiments of `after` that aren't promoted."
    )
    not_planned: tuple[str, ...] = Field(
        (), description="Metrics that decide and of which nothing is said, each with the reason."
    )
