"""What one metric says of one candidate at one look."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from analysis.plan import Role, Unit
from analysis.requests.pods import BadPod


class Classification(StrEnum):
    """pass: harm is within the margin with confidence; fail: beyond it with confidence."""

    PASS = "pass"
    FAIL = "fail"
    UNCERTAIN = "uncertain"
    NO_DATA = "no_data"


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its bounds; a bound that is not known is infinite."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Objective:
    """An absolute objective: the value that must not be exceeded (undercut, where more is better).

    shared: the baseline exceeds it too, so the candidate is not to blame. as_before: none is set;
        it is what the baseline had, and the margin, while there was something to compare.
    """

    limit: float
    candidate: Estimate
    state: Classification
    shared: bool
    as_before: bool = False

    @property
    def violated(self) -> bool:
        """Surely exceeded, and by the candidate alone."""
        return self.state is Classification.FAIL and not self.shared


@dataclass(frozen=True, slots=True)
class ResponseShare:
    """A kind of response (503/UO) that the candidate has more of: its share in both versions."""

    name: str
    baseline: float
    candidate: float

    @property
    def difference(self) -> float:
        """What it adds to the metric's difference."""
        return self.candidate - self.baseline


@dataclass(frozen=True, slots=True)
class HarmPart:
    """What one metric adds to a harm of several: its difference, and that in margins."""

    metric: str
    difference: float
    margins: float


@dataclass(frozen=True, slots=True)
class HarmSince:
    """Harm beyond the margin that is proven of the time since a start, be it the plan's.

    start_ms: milliseconds since the epoch; from_start: it is the first that is judged.
    baseline, candidate: shares since then. lower: the harm since then is at least this, and margin
    may be.
    """

    start_ms: int
    from_start: bool
    baseline: float
    candidate: float
    lower: float
    margin: float


@dataclass(frozen=True, slots=True)
class Recent:
    """What a promote asks beside the whole plan: the last part, and where the trend leads.

    start_ms: of the last part; excess: of it. ahead: mean excess of the time to until_ms, if the
    trend goes on; None at the plan's end. calm: excess of the whole time without the storms that
    hit the baseline too, where only they keep the whole from being within the margin.
    """

    start_ms: int
    excess: Estimate
    ahead: Estimate | None
    until_ms: int
    calm: Estimate | None = None

    @property
    def within_margin(self) -> bool:
        """Whether harm is excluded of the last part and of what lies ahead."""
        return self.excess.upper <= 0 and (self.ahead is None or self.ahead.upper <= 0)


@dataclass(frozen=True, slots=True)
class MetricResult:
    """What one metric says of one candidate at one look.

    baseline, candidate: estimates over the window (shares, means per user, ratios of them).
    difference: candidate minus baseline; relative: candidate / baseline - 1.
    excess: harm beyond what is allowed, in the metric's unit: above 0 is too much. Its lower
        bound holds at the metric's share of the harm half of alpha, its upper bound at the level
        of a promote; both hold at every look.
    margin: the allowed harm in the metric's unit. margin_relative: that as a part of the baseline's
        size, where the spec says it so; else 0.
    exposure_*: requests or users seen.
    gross: the exact test found a gross failure; alone: where the candidate had all the traffic.
    edge_ms: for slow requests, the bucket edge at which they are counted.
    variance_removed: share of the variance that covariates and strata take away; None without.
    tightest_at_users: of user metrics, the users of both variants for whom the bounds that hold at
        every look are tuned: as many as the plan expects.
    bad_pods: pods that are worse than their siblings by more than the margin, of either version.
    unknown: of no data, why nothing is known whatever the users did, and what would help.
    persists: a version's own states last for minutes, which can hardly be told from harm.
    since: where harm since a start is proven, of requests; log_e: evidence for it, log of alpha
        times the e-value, proven from 0 on.
    recent: the last part and the trend, where the whole is within the margin; of requests.
    pods_differ: the bounds decide nothing only because pods of one version differ beyond chance.
    outcome: of requests, how those ended that are counted; "" of slow ones, and of users.
    counted: of the spec's own counters and queries, of ratios and quantiles of users, what values
        are of, as in a sentence.
    causes: the kinds of response that a difference is made of, those that weigh most first.
    unknown_*: share of the requests that may or may not be bad, as they were cut off or no series
        tells; the bounds hold for both.
    outage: surely most of the candidate's clients got no answer, beyond what the baseline's do.
    approved: the difference that a person has approved of a signal; None without.
    parts: of several metrics together, those that lean to harm; its unit is then their margins, and
        it is there only where it is proven. together_since_ms: since when it is.
    """

    metric: str
    baseline_variant: str
    candidate_variant: str
    unit: Unit
    role: Role
    classification: Classification
    baseline: float
    candidate: float
    difference: Estimate
    relative: Estimate
    excess: Estimate
    standard_error: float
    margin: float
    probability_within_margin: float
    exposure_baseline: float
    exposure_candidate: float
    weight: float
    critical: bool
    group: str
    is_share: bool
    higher_is_better: bool
    gross: bool = False
    alone: bool = False
    objective: Objective | None = None
    edge_ms: float | None = None
    variance_removed: float | None = None
    bad_pods: tuple[BadPod, ...] = ()
    pods_differ: bool = False
    persists: bool = False
    since: HarmSince | None = None
    log_e: float | None = None
    recent: Recent | None = None
    tightest_at_users: float | None = None
    unknown: str | None = None
    outcome: str = ""
    counted: str = ""
    causes: tuple[ResponseShare, ...] = ()
    unknown_baseline: float = 0.0
    unknown_candidate: float = 0.0
    outage: bool = False
    approved: float | None = None
    parts: tuple[HarmPart, ...] = ()
    together_since_ms: int | None = None
    margin_relative: float = 0.0

    @property
    def relative_harm(self) -> Estimate | None:
        """The harm as a part of the baseline's size; None unless the margin is one.

        By inversion of the test of the excess its bounds lie on the same side of the margin; where
        they don't, or there are none, as the baseline may be 0, it is None too.
        """
        rise, allowed = self.relative, self.margin_relative
        has_bound = math.isfinite(rise.lower) or math.isfinite(rise.upper)
        if not allowed or not has_bound or not math.isfinite(rise.value):
            return None
        turned = Estimate(-rise.value, -rise.upper, -rise.lower)
        harm = turned if self.higher_is_better else rise
        sides = (harm.lower > allowed, harm.upper <= allowed)
        return harm if sides == (self.excess.lower > 0, self.excess.upper <= 0) else None

    @property
    def rolls_back(self) -> bool:
        """Whether it is proven harm that a verdict must go back for."""
        return self.outage or (self.role.decides and self.classification is Classification.FAIL)

    @property
    def holds(self) -> bool:
        """Whether a person must decide: about a signal, or a pod that harms its users."""
        is_signal = self.role is Role.SIGNAL and self.classification is Classification.FAIL
        return is_signal or self.asks_about_pods

    @property
    def asks_about_pods(self) -> bool:
        """Whether a pod of the candidate surely harms its users, and nothing is rolled back for."""
        return not self.rolls_back and any(pod.harms for pod in self.bad_pods)


def may_take_more(metrics: tuple[MetricResult, ...]) -> bool:
    """Whether a candidate that isn't decided may get more traffic.

    Every guardrail has data and is rather within its margin than beyond it, and no signal holds.
    """
    return not any(metric.holds for metric in metrics) and all(
        metric.classification is not Classification.NO_DATA
        and metric.probability_within_margin >= 0.5
        for metric in metrics
        if metric.role is Role.GUARDRAIL
    )
