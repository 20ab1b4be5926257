"""What the HTML report needs to know of an experiment: its latest verdict and how it came."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from analysis.metric_result import Estimate
from analysis.requests.latency import QuantileRange
from analysis.verdict import Decision, Verdict


@dataclass(frozen=True, slots=True)
class PastHarm:
    """The harm of one metric and candidate at a look, and what was allowed, in the margin's unit.

    is_relative: that is the baseline's size, of which both are parts; else the metric's own.
    is_share: the unit is a share of requests or users. is_goal: what is wanted is a gain, which is
    harm with the other sign. decides: it can promote or roll back. exposure_*: requests or users.
    """

    metric: str
    candidate: str
    harm: Estimate
    allowed: float
    is_share: bool
    is_goal: bool = False
    decides: bool = True
    exposure_baseline: float = 0.0
    exposure_candidate: float = 0.0
    is_relative: bool = False

    @property
    def shown(self) -> Estimate:
        """The harm, or of a goal the gain."""
        if not self.is_goal:
            return self.harm
        return Estimate(-self.harm.value, -self.harm.upper, -self.harm.lower)

    @property
    def limit(self) -> float:
        """What the harm must stay below, or the gain above."""
        return -self.allowed if self.is_goal else self.allowed


@dataclass(frozen=True, slots=True)
class PastLook:
    """One look; score: 0..100, or None without data.

    is_of_older_spec: it judged by another spec than the latest look.
    """

    at: datetime
    decision: Decision
    score: float | None
    harms: tuple[PastHarm, ...]
    is_of_older_spec: bool = False


@dataclass(frozen=True, slots=True)
class VariantShare:
    """A variant's part of a stage: seen requests or users; configured and observed shares, 0..1."""

    variant: str
    seen: float
    observed: float | None
    configured: float | None


@dataclass(frozen=True, slots=True)
class StageSplit:
    """How the traffic was divided in one stage, up to the look.

    unit: what is counted, "requests" or "users with a final value".
    """

    start: datetime
    end: datetime
    unit: str
    variants: tuple[VariantShare, ...]


@dataclass(frozen=True, slots=True)
class TrafficPoint:
    """One variant's requests in a stretch of time that begins at `at`.

    per_second: all requests. success: of those that got an answer. quantiles: p50, p90, p99; the
    edges that each surely lies between. share: of all variants' requests; configured: what it
    should be. drift: share of all requests since the stage began, minus the configured one.
    """

    at: datetime
    variant: str
    per_second: float
    success: float | None
    share: float | None
    configured: float | None
    drift: float | None
    quantiles: tuple[QuantileRange, ...] = ()


@dataclass(frozen=True, slots=True)
class TrafficSeries:
    """Requests over time; step_s: how long a stretch is."""

    step_s: float
    points: tuple[TrafficPoint, ...]


NO_TRAFFIC = TrafficSeries(1.0, ())


@dataclass(frozen=True, slots=True)
class LatencyCurve:
    """Share of a variant's requests that took at most each edge, exact; the last edge is finite."""

    variant: str
    edges_ms: tuple[float, ...]
    shares: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ResponseCount:
    """One kind of response (503/UO) with its outcome: how many each variant had, in their order."""

    name: str
    outcome: str
    counts: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class PodCount:
    """A pod's requests, and those that failed. is_bad: surely worse than its siblings."""

    variant: str
    pod: str
    requests: float
    failed: float
    is_bad: bool


@dataclass(frozen=True, slots=True)
class LiftRow:
    """A user metric in all users or in a segment ("" are all), by the methods analysts ask for.

    relative, lower, upper: the lift, with bounds that hold at every look. p_value: for one look.
    expected_loss: of choosing the candidate, in the metric's unit, of users if is_share.
    """

    metric: str
    candidate: str
    segment: str
    users_baseline: float
    users_candidate: float
    relative: float
    lower: float
    upper: float
    p_value: float
    chance_to_win: float
    expected_loss: float
    notable: bool
    is_share: bool


@dataclass(frozen=True, slots=True)
class ExperimentReport:
    """The latest verdict of an experiment with all that led to it.

    variants: the baseline first. looks: oldest first, the last one is the latest; earlier_looks:
    how many more there were. spec: as judged, as YAML. spec_changed: today's file says otherwise.
    plan_start, plan_end: as known at the look. dashboard: uid of its Grafana dashboard.
    """

    verdict: Verdict
    service: str
    namespace: str
    description: str
    looks: tuple[PastLook, ...]
    earlier_looks: int
    split: tuple[StageSplit, ...]
    spec_hash: str
    software_version: str
    owner: str = ""
    variants: tuple[str, ...] = ()
    plan_start: datetime | None = None
    plan_end: datetime | None = None
    alpha: float = 0.05
    traffic: TrafficSeries = NO_TRAFFIC
    latency_curves: tuple[LatencyCurve, ...] = ()
    responses: tuple[ResponseCount, ...] = ()
    pods: tuple[PodCount, ...] = ()
    effects: tuple[LiftRow, ...] = ()
    spec: str = ""
    spec_changed: bool = False
    manifests: tuple[str, ...] = ()
    dashboard: str = ""


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """One experiment in the index.

    scores: of its latest looks, oldest first. asks: what a person is to decide; "" if nothing is.
    is_over: the look is at the plan's end, so that no later one is missing.
    """

    experiment: str
    service: str
    owner: str
    decision: Decision
    score: float | None
    reasons: tuple[str, ...]
    look_at: datetime
    scores: tuple[float | None, ...] = ()
    asks: str = ""
    is_over: bool = False


@dataclass(frozen=True, slots=True)
class BrokenSpec:
    """An experiment whose spec can't be read.

    problems: at least one. has_page: a page of the time before is there.
    """

    experiment: str
    problems: tuple[str, ...]
    has_page: bool
