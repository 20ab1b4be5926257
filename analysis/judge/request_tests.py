"""All tests of request metrics: harm since any start, gross failure, objectives, pods."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from analysis.arrays import BoolArray, FloatArray
from analysis.evidence import RequestEvidence
from analysis.judge.levels import Levels, side_of_zero
from analysis.judge.planned_end import find_final_harm
from analysis.judge.recent_health import find_recent, judge_objectives, watched_from
from analysis.judge.request_pods import bad_pods_of, with_pods
from analysis.judge.started_harm import (
    BOUND_PART,
    EXACT_PART,
    NO_HARM,
    FoundHarm,
    find_started_harm,
)
from analysis.judge.total_failure import gross_failures, gross_failures_alone
from analysis.metric_result import Classification, Estimate, Objective, Recent
from analysis.plan import MetricPlan, Plan, PodPolicy
from analysis.requests.bounds import Estimator
from analysis.requests.bucket_counts import BucketCounts
from analysis.requests.paired_buckets import PairedBuckets, pair_buckets
from analysis.requests.pods import BadPod
from analysis.requests.recent import since_bucket

# Buckets that are worth one independent one, from which on a version's states are said to last.
_LASTING = 6.0
_BUCKETS_TO_SEE_STATES = 20.0


@dataclass(frozen=True, slots=True)
class RequestTests:
    """What all tests say of every request metric of one candidate; lists are by metric.

    Shares and bounds are of the judged buckets, those after the warm-up. present: the excess of
    the pods that there are; excess, excesses: of whatever pods there might be.
    """

    levels: Levels

    counts: tuple[BucketCounts, BucketCounts]
    pairs: PairedBuckets
    excess: Estimator
    absolute: FloatArray
    relative_margin: FloatArray
    excesses: list[Estimate]
    present: list[Estimate]
    differences: list[Estimate]
    objectives: list[Objective | None]
    gross: BoolArray
    alone: BoolArray
    pods: list[tuple[BadPod, ...]]
    started: list[FoundHarm]
    recent: list[Recent | None]

    @classmethod
    def of(
        cls,
        plan: Plan,
        evidence: RequestEvidence,
        metrics: list[MetricPlan],
        candidate: str,
        counts: tuple[BucketCounts, BucketCounts] | None = None,
    ) -> RequestTests:
        """All of them at once; counts: both versions' [metrics, buckets], if not the evidence's."""
        variants, names = (plan.baseline, candidate), [metric.name for metric in metrics]
        baseline, own = counts or (evidence.counts_of(variant, names) for variant in variants)
        # A signal at one of several edges must hold whichever is chosen.
        choices = np.array([max(1, evidence.choices.get(metric.name, 1)) for metric in metrics])
        alpha = np.array([plan.request_alpha(metric) for metric in metrics]) / choices
        approved = [plan.approved.get((metric.name, candidate)) or 0.0 for metric in metrics]
        absolute = np.maximum([metric.allowed_harm.absolute for metric in metrics], approved)
        relative = np.array([metric.allowed_harm.relative for metric in metrics])
        first = first_judged(plan, baseline.total.shape[1])
        judged = since_bucket(baseline, start := first or 0), since_bucket(own, start)
        watched = watched_from(plan, evidence.stage[start:])
        ends = [None if metric.objective is None else watched for metric in metrics]
        of_requests = pair_buckets(*judged)
        pairs = with_pods(of_requests, evidence, metrics, variants)
        excess = pairs.contrast(1 + relative)
        levels = Levels(plan, BOUND_PART * alpha, known=first is not None)
        own_levels = replace(levels, alpha=alpha)
        excesses = levels.bounded(excess, shift=absolute)
        present = levels.bounded(of_requests.contrast(1 + relative), shift=absolute)
        started = [NO_HARM] * len(metrics)
        if first is not None:
            started = find_started_harm(
                plan, (baseline, own), metrics, alpha, absolute, pairs, first
            )
            final = find_final_harm(plan, judged, metrics, (absolute, relative), pairs, first)
            started = [
                one if one.since is not None else last or one
                for one, last in zip(started, final, strict=True)
            ]
        counted = _Counted.of(plan, evidence, metrics, (baseline, own), candidate, alpha, pairs)
        return cls(
            levels=levels,
            counts=(baseline, own),
            pairs=pairs,
            excess=excess,
            absolute=absolute,
            relative_margin=relative,
            excesses=excesses,
            present=present,
            differences=levels.bounded(pairs.contrast()),
            objectives=judge_objectives(
                own_levels, metrics, judged, pairs, watched, (absolute, relative)
            ),
            gross=counted.gross(plan, metrics, candidate, present, started),
            alone=counted.alone,
            pods=counted.pods,
            started=started,
            recent=find_recent(levels, judged, start, (absolute, relative), excesses, pairs, ends),
        )

    def relative(self) -> list[Estimate]:
        """The relative differences, by the same tests; they cost more than all the rest."""
        plan, pairs, levels = self.levels.plan, self.pairs, self.levels
        low, high = pairs.relative_bounds(
            lower_alpha=levels.alpha,
            upper_alpha=plan.promote_alpha,
            lower_n_opt=plan.harm_buckets,
            upper_n_opt=plan.promote_buckets,
            factor=1 + self.relative_margin,
        )
        if not levels.known:
            low, high = (np.full_like(low, end) for end in (-np.inf, np.inf))
        point = pairs.candidate / np.where(pairs.baseline > 0, pairs.baseline, np.nan) - 1
        return [Estimate(*map(float, row)) for row in zip(point, low, high, strict=True)]

    def margin(self, i: int) -> float:
        """The allowed harm of a metric as a share."""
        baseline = np.nan_to_num(self.pairs.baseline[i])
        return float(self.absolute[i] + self.relative_margin[i] * baseline)

    def pods_differ(self, i: int) -> bool:
        """Whether only what pods differ by leaves it undecided."""
        if self.started[i].present and self.started[i].since is None:
            return self.excesses[i].lower <= 0
        return _decides(self.present[i]) and not _decides(self.excesses[i])

    def persists(self, i: int) -> bool:
        """Whether a version's own states last for so long that they look like harm, or hide it."""
        n = float(self.pairs.buckets[i])
        lasting = n / max(float(self.excess.degrees[i]) + 1, 1.0)
        return n >= _BUCKETS_TO_SEE_STATES and lasting > _LASTING

    def classify(self, i: int) -> Classification:
        """The worst of what the metric's tests say; a pass is of the last part as well."""
        harmed = bool(self.gross[i]) or self.started[i].since is not None
        recent = self.recent[i]
        whole = self.excesses[i] if recent is None or recent.calm is None else recent.calm
        found = classify(whole, self.objectives[i], gross=harmed)
        if found is Classification.PASS and recent is not None and not recent.within_margin:
            return Classification.UNCERTAIN
        return found


@dataclass(frozen=True, slots=True)
class _Counted:
    """What exact counts say, those of the warm-up as well: by metric."""

    exact: BoolArray
    alone: BoolArray
    pods: list[tuple[BadPod, ...]]

    @classmethod
    def of(
        cls,
        plan: Plan,
        evidence: RequestEvidence,
        metrics: list[MetricPlan],
        variants: tuple[BucketCounts, BucketCounts],
        candidate: str,
        alpha: FloatArray,
        pairs: PairedBuckets,
    ) -> _Counted:
        return cls(
            gross_failures(
                plan, *variants, metrics, EXACT_PART * alpha, pairs.overdispersion_baseline
            ),
            gross_failures_alone(
                plan, evidence, *variants, metrics, alpha, pairs.overdispersion_candidate
            ),
            [
                bad_pods_of(plan, evidence, candidate, pairs, alpha, row)
                for row in enumerate(metrics)
            ],
        )

    def gross(
        self,
        plan: Plan,
        metrics: list[MetricPlan],
        candidate: str,
        present: list[Estimate],
        started: list[FoundHarm],
    ) -> BoolArray:
        """Whether a failure is gross: bool[metrics]."""
        # Of the pods that there are: a grossly bad one hurts users, whatever others there might be.
        hurt = [one.lower > 0 or harm.present for one, harm in zip(present, started, strict=True)]
        bad = [any(pod.gross and pod.variant == candidate for pod in found) for found in self.pods]
        # A signal holds by what is proven beyond its margin; only an outage is more.
        decides = np.array([metric.role.decides for metric in metrics])
        found = self.exact | self.alone | (np.array(bad) & np.array(hurt))
        if plan.pods is PodPolicy.ROLLBACK:
            found |= np.array([any(pod.harms for pod in pods) for pods in self.pods])
        return np.asarray(found & decides)


def first_judged(plan: Plan, buckets: int) -> int | None:
    """The first bucket after the warm-up; None while it lasts."""
    return plan.warm_up_buckets if buckets > plan.warm_up_buckets else None


def _decides(excess: Estimate) -> bool:
    return side_of_zero(excess.lower, excess.upper) in {Classification.FAIL, Classification.PASS}


def classify(excess: Estimate, objective: Objective | None, *, gross: bool) -> Classification:
    """The worst of what the metric's tests say."""
    against_baseline = side_of_zero(excess.lower, excess.upper)
    if gross or against_baseline is Classification.FAIL or (objective and objective.violated):
        return Classification.FAIL
    if objective is None or against_baseline is Classification.NO_DATA:
        return against_baseline
    if objective.state is Classification.FAIL:  # of both versions
        return Classification.UNCERTAIN
    return against_baseline if objective.state is Classification.PASS else objective.state
