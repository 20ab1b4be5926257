"""The spec's `plan` and `quality` sections: when, how often, at what risk, on how good data."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from flows.spec.fields import Duration, Instant, Number, Share, Strict, Whole


class StageSpec(Strict):
    """A stretch of the plan with one configured split."""

    duration: Duration = Field(description="Length; when delivered: the shortest.")
    at_most: Duration | None = Field(
        None, description="When delivered: the longest; by default twice the duration."
    )
    weights: dict[str, Annotated[Number, Field(ge=0, le=100)]] = Field(
        description="Percent of the traffic for each variant, 0 for none; must sum to 100."
    )
    approval: bool = Field(
        False, description="When delivered: a person must approve before the stage begins."
    )

    @property
    def longest(self) -> timedelta:
        """How long the stage may last before a person is asked."""
        return self.at_most or 2 * self.duration


class PlanSpec(Strict):
    """When the experiment runs, how often it is judged, and at which risk of a false alarm."""

    start: Instant | None = Field(
        None, description="Without it, the first bucket in which a candidate has requests."
    )
    duration: Duration | None = Field(
        None,
        description="Length, when the split doesn't change: by default 30m; of an experiment with "
        "metrics per user only, twice the longest window, if that is longer.",
    )
    stages: list[StageSpec] = Field(
        default_factory=list,
        description="Stretches of time with a split each.",
    )
    look_every: Duration = Field(
        timedelta(minutes=1), description="How often a run looks at the experiment."
    )
    bucket: Duration = Field(
        timedelta(seconds=15),
        description="The unit of time; not shorter than a scrape interval. Buckets shorter than "
        "15s are judged several as one, once there are 48 of these.",
    )
    alpha: Annotated[Share, Field(gt=0, le=0.5)] = Field(
        0.05, description="Error rate of the whole experiment, over all looks and metrics."
    )
    users: Annotated[Whole, Field(ge=1)] | None = Field(
        None,
        description="Users expected in all variants over the whole plan: where the bounds that "
        "hold at every look are tightest. Without it, by the rate of arrivals at the first look.",
    )
    warm_up: Duration | None = Field(
        None,
        description="Time from the start in which requests are counted, but only a total failure "
        "is judged: code is compiled, caches are filled. Errors that go on after it count from "
        "their beginning. As long after a pod starts its slow requests prove no harm. By default "
        "90s, at most a twentieth of the plan.",
    )
    minimum_duration: Duration = Field(timedelta(minutes=5), description="No promote before.")
    minimum_requests: Annotated[Whole, Field(ge=1)] = Field(
        100, description="No promote before each variant has this many requests (or users)."
    )


class Quality(Strict):
    """When the data is not good enough for any verdict but `invalid`."""

    split_tolerance: Annotated[Share, Field(gt=0)] = Field(
        0.25, description="How far the odds of the split may be off, relatively: requests."
    )
    user_split_tolerance: Annotated[Share, Field(gt=0)] = Field(
        0.01, description="How far the odds of the split may be off, relatively: users."
    )
    lost_exposure: Annotated[Share, Field(gt=0, le=1)] = Field(
        0.1, description="Largest share of requests that may have gone unseen."
    )
    mixed_users: Annotated[Share, Field(gt=0, le=1)] = Field(
        0.01, description="Largest share of users that may have been seen in two variants."
    )
    injected_faults: Annotated[Share, Field(gt=0, le=1)] = Field(
        0.01, description="Largest share of requests in which the mesh may have injected a fault."
    )
    test_traffic: Annotated[Share, Field(ge=0, lt=1)] = Field(
        0.0,
        description="Largest share of requests that a candidate may have though its weight is 0: "
        "tests of the new version by a route of their own. A fifth of split_tolerance, as odds, is "
        "allowed anyway (4.8 % of requests by default): 0 and any share below that change nothing. "
        "It is not for new sessions, which have the same fifth, nor for users, who have that of "
        "user_split_tolerance (0.2 % of users by default).",
    )
    stale_after: Duration = Field(
        timedelta(minutes=5), description="Data that ends this long before the look is stale."
    )
