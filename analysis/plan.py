"""What an experiment sets out to compare, before any data: the input of every judgment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from analysis.stages import RequestCohort, Stage

# Stages and cohorts are known by this one name as well.
__all__ = ["Margin", "MetricPlan", "Plan", "PodPolicy", "RequestCohort", "Role", "Stage", "Unit"]

# Users of two variants at which sequences are tightest where no plan says how many to expect.
DEFAULT_USERS = 5000.0
_LEAST_TUNED_USERS = 100.0
# Harm is to be found in minutes and health within hours, however long a plan goes on: a sequence
# that is tightest days ahead says nothing before, and costs a tenth to a fifth less at the end.
_HARM_TUNED_MS, _PROMOTE_TUNED_MS = 30 * 60_000, 2 * 3_600_000
_LEAST_TUNED_BUCKETS = 30.0
# Of alpha, for signals together: beside the halves, as what they do is neither of the two errors.
# As much for single pods, and for several metrics together.
_SIGNALS_SHARE = _PODS_SHARE = _JOINT_SHARE = 0.1


class Role(StrEnum):
    """What follows from a metric.

    A guardrail must not get worse by more than its margin; a goal should improve. A signal that
    surely gets worse by more than its margin holds for a person: it never rolls back and never
    promotes. Info is shown, and counts for nothing.
    """

    GUARDRAIL = "guardrail"
    GOAL = "goal"
    SIGNAL = "signal"
    INFO = "info"

    @property
    def decides(self) -> bool:
        """Whether it can promote or roll back."""
        return self in (Role.GUARDRAIL, Role.GOAL)


class PodPolicy(StrEnum):
    """What follows from a pod of the candidate that surely harms its users."""

    ROLLBACK, ASK = "rollback", "ask"


class Unit(StrEnum):
    """What one observation of a metric is."""

    REQUEST = "request"
    USER = "user"
    EVENT = "event"  # of a counter of the spec's own; bad or not
    BUCKET = "bucket"  # of time, with one value: a rate's, or a query's


@dataclass(frozen=True, slots=True)
class Margin:
    """The largest acceptable harm: absolute, plus relative times the baseline's value."""

    absolute: float = 0.0
    relative: float = 0.0


@dataclass(frozen=True, slots=True)
class MetricPlan:
    """One metric and how it is judged.

    higher_is_better: the direction of gain; harm is measured against it.
    objective: a share of bad requests that must not be exceeded whatever the baseline does.
    above_ms: the latency from which on a request is slow, as asked for; None for other metrics.
    baseline_quantile: where instead the edge next to this quantile of the baseline's latency is it.
    outcome: how requests ended that count ("failure"), or what a signal counts ("unmeasured").
    counted: what values are of that are neither shares nor means per user.
    is_default: whether the spec doesn't name it; without data it then has no result.
    quantile: a latency quantile to report beside the share (0.99), if any.
    prior_sd: typical size of true relative effects, as a standard deviation around none.
    strata: dimensions of the users within which alone they are compared.
    adjusted_by: what takes noise off the users' values, as in a sentence; empty where nothing does.
    window_ms: how long after a user's first exposure its value is final; 0 for requests.
    """

    name: str
    unit: Unit
    role: Role
    margin: Margin
    higher_is_better: bool = False
    objective: float | None = None
    quantile: float | None = None
    weight: float = 1.0
    critical: bool = False
    group: str = "all"
    prior_sd: float = 0.1
    window_ms: int = 0
    adjusted_by: str = ""
    strata: tuple[str, ...] = ()
    above_ms: float | None = None
    baseline_quantile: float | None = None
    outcome: str = ""
    counted: str = ""
    is_default: bool = False

    @property
    def allowed_harm(self) -> Margin:
        """The margin; a goal may not be harmed at all."""
        return Margin() if self.role is Role.GOAL else self.margin

    @property
    def may_be_outage(self) -> bool:
        """Whether a signal's total failure is one of the version."""
        return self.role is Role.SIGNAL and self.outcome == "abandoned"


@dataclass(frozen=True, slots=True)
class Plan:
    """One experiment's variants, metrics, stages and risks.

    alpha: error rate of the experiment, over all looks, metrics and candidates.
    minimum_ms, minimum_exposure: no promote before this much time and this many requests (users)
        of each variant.
    tuned_ms: the length that the tests are tuned for, where the stages' real lengths are known
        only afterwards; it must not depend on what the looks saw.
    warm_up_ms: time from the start in which only a total failure is judged: caches are filled.
    users: how many are expected in all variants over that length, as known before any comparison;
        None where nobody said.
    approved: by signal and candidate, or metric and pod, how much of it a person has approved.
    pods: what follows from a single pod that surely harms its users.
    is_split_assumed: whether the stages are defaults, as the spec names no split.
    is_start_observed: whether it starts with a candidate's first request: nobody said when.
    is_users_fixed_horizon: whether users are judged once, at the end, by tests that hold once.
    cohorts: those that are judged apart; comparisons: how many share what watches for harm.
    """

    experiment: str
    baseline: str
    candidates: tuple[str, ...]
    metrics: tuple[MetricPlan, ...]
    stages: tuple[Stage, ...]
    bucket_ms: int
    alpha: float
    minimum_ms: int
    minimum_exposure: int
    look_every_ms: int
    tuned_ms: int | None = None
    users: float | None = None
    approved: Mapping[tuple[str, str], float] = field(default_factory=dict)
    is_users_fixed_horizon: bool = False
    is_split_assumed: bool = False
    is_start_observed: bool = False
    warm_up_ms: int = 0
    pods: PodPolicy = PodPolicy.ASK
    cohorts: tuple[RequestCohort, ...] = ()
    comparisons: int = 1

    @property
    def start_ms(self) -> int:
        """When the first stage begins."""
        return self.stages[0].start_ms

    @property
    def end_ms(self) -> int:
        """When the last stage ends: the planned end."""
        return self.stages[-1].end_ms

    @property
    def last_look_ms(self) -> int:
        """The end of the last whole bucket: where the plan is at its end for every look."""
        return self.start_ms + (self.end_ms - self.start_ms) // self.bucket_ms * self.bucket_ms

    def named(self, metric: str, candidate: str) -> str:
        """A metric in a sentence: with its candidate where there are several."""
        return f"{metric} of {candidate}" if len(self.candidates) > 1 else metric

    @property
    def planned_buckets(self) -> int:
        """How many buckets the whole plan has."""
        return max(1, self.planned_ms // self.bucket_ms)

    @property
    def warm_up_buckets(self) -> int:
        """Buckets at the start that are not judged by their shares."""
        return -(-self.warm_up_ms // self.bucket_ms)

    @property
    def harm_buckets(self) -> float:
        """Where bounds that prove harm are tightest: halfway, but soon in a long plan."""
        return max(1.0, min(self.planned_buckets / 2, self._tuned_buckets(_HARM_TUNED_MS)))

    @property
    def promote_buckets(self) -> float:
        """Where bounds that exclude harm are tightest: at the end, but sooner in a long plan."""
        return min(float(self.planned_buckets), self._tuned_buckets(_PROMOTE_TUNED_MS))

    def _tuned_buckets(self, longest_ms: int) -> float:
        return max(longest_ms / self.bucket_ms, _LEAST_TUNED_BUCKETS)

    @property
    def planned_ms(self) -> int:
        """The length that the tests are tuned for."""
        return self.end_ms - self.start_ms if self.tuned_ms is None else self.tuned_ms

    def planned_users(self, metric: MetricPlan, candidate: str) -> float:
        """Users of the baseline and a candidate with a final value at the planned end.

        There the metric's confidence sequences are tightest. Users who come too late for their
        window don't count; nor do those of other candidates.
        """
        if self.users is None:
            return DEFAULT_USERS
        shares = [self.expected_share(name) or 0.0 for name in (self.baseline, candidate)]
        pair = sum(shares) or 2 / (1 + len(self.candidates))
        final = max(0.0, 1 - metric.window_ms / max(self.planned_ms, 1))
        return max(self.users * pair * final, _LEAST_TUNED_USERS)

    @property
    def splits(self) -> tuple[Stage, ...]:
        """Stretches of one split each: stages that follow one another with the same one are one.

        Users are compared within one. Where some stages say none and the rest the same, it is one.
        """
        said = [stage.shares for stage in self.stages if stage.shares]
        if not said or all(shares == said[0] for shares in said):
            return (Stage(self.start_ms, self.end_ms, said[0] if said else {}),)
        found: list[Stage] = []
        for stage in self.stages:
            if found and found[-1].shares == stage.shares:
                found[-1] = replace(found[-1], end_ms=stage.end_ms)
            else:
                found.append(stage)
        return tuple(found)

    @property
    def user_shares(self) -> dict[str, float]:
        """The split of users where it never changes; else empty."""
        return self.splits[0].shares if len(self.splits) == 1 else {}

    def expected_share(self, variant: str) -> float | None:
        """The variant's share of users over the whole plan, as they come evenly; None if unsaid."""
        said = [stage for stage in self.splits if stage.shares]
        length = sum(stage.end_ms - stage.start_ms for stage in said)
        if not length:
            return said[0].shares.get(variant, 0.0) if said else None
        weighed = (one.shares.get(variant, 0.0) * (one.end_ms - one.start_ms) for one in said)
        return sum(weighed) / length

    @property
    def _watching(self) -> float:
        """Of alpha, what each comparison has to watch for harm."""
        return self.alpha / self.comparisons

    def harm_alpha(self, metric: MetricPlan) -> float:
        """The metric's part of the half of alpha that watches for harm (weighted Bonferroni).

        Shared over metrics by weight and over candidates equally, so that any false rollback has a
        probability of at most alpha / 2. Signals share a part of their own: it bounds false holds.
        """
        if not metric.role.decides:
            others = sum(not other.role.decides for other in self.metrics) or 1
            return self._watching * _SIGNALS_SHARE / others / len(self.candidates)
        return self._watching / 2 * self._part(metric)

    def pod_alpha(self, metric: MetricPlan) -> float:
        """What a deciding metric's test of single pods has."""
        return self._watching * _PODS_SHARE * self._part(metric)

    @property
    def joint_alpha(self) -> float:
        """What each test of several metrics together (with signals, and without) has."""
        return self._watching * _JOINT_SHARE / 2 / len(self.candidates)

    def _part(self, metric: MetricPlan) -> float:
        """A deciding metric's part: by weight, and for each candidate."""
        deciding = sum(other.weight for other in self.metrics if other.role.decides)
        return metric.weight / (deciding * len(self.candidates))

    def request_alpha(self, metric: MetricPlan) -> float:
        """What each of a request metric's tests that can fail it has of the metric's part.

        The difference, the gross failure and, with an objective, its violation; also its gross
        violation, where a stage leaves a candidate alone with the traffic. A signal has no gross
        failure but, where it may be one, an outage.
        """
        if not metric.role.decides:
            tests = 1 + metric.may_be_outage + (metric.objective is not None)
            return self.harm_alpha(metric) / tests
        leaves = any(stage.is_without(self.baseline) for stage in self.stages)
        tests = 2 if metric.objective is None else 3 + leaves
        return self.harm_alpha(metric) / tests

    @property
    def promote_alpha(self) -> float:
        """The level of each bound that a promote rests on.

        All guardrails must pass at once, so no correction over metrics is needed
        (intersection-union test, Berger 1982); candidates share it.
        """
        return self.alpha / 2 / len(self.candidates)
