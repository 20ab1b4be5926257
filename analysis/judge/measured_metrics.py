"""Metrics of the spec's own counters and queries: ratios as requests are, others by their values.

A ratio's events are bad or not, as requests are, and have the same tests. Rates and gauges are
compared by their values in the same buckets, since the plan's start and since fixed later ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from analysis.arrays import FloatArray
from analysis.evidence import MeasuredEvidence
from analysis.judge.levels import Levels, side_of_zero
from analysis.judge.recent_health import least_last_part
from analysis.judge.request_metrics import judge_requests, probability_within
from analysis.judge.request_tests import classify, first_judged
from analysis.metric_result import (
    Classification,
    Estimate,
    HarmSince,
    MetricResult,
    Objective,
    Recent,
)
from analysis.plan import MetricPlan, Plan, Unit
from analysis.requests.bounds import Estimator
from analysis.requests.paired_buckets import PairedBuckets
from analysis.requests.recent import recent_of
from analysis.requests.value_pairs import BucketValues, pair_values

# Harm is looked for since the plan's start, and since the ends of all but the last of its parts.
_PARTS = 8
_LEAST_BUCKETS = 4
# Bounds of values that are all 0 are apart by the least that rounding is taken to be.
_NOTHING = 1e-148


def judge_measured(
    plan: Plan, evidence: MeasuredEvidence | None, candidate: str
) -> tuple[MetricResult, ...]:
    """Every metric of counters and queries of one candidate against the baseline.

    Where nothing is known of one, harm that its own data proves is harm all the same.
    """
    wanted = [m for m in plan.metrics if m.unit in (Unit.EVENT, Unit.BUCKET)]
    if not wanted:
        return ()
    if evidence is None:
        raise ValueError("the plan has metrics of counters, but no evidence of them was given")
    found = (
        *judge_requests(plan, evidence.events, candidate, unit=Unit.EVENT),
        *(
            _Values.of(plan, metric, evidence.values[metric.name], candidate).result
            for metric in wanted
            if metric.unit is Unit.BUCKET
        ),
    )
    return tuple(_known(one, evidence.unknown.get((one.metric, candidate))) for one in found)


def _known(result: MetricResult, why: str | None) -> MetricResult:
    """The result, unless its data is not enough for health: then it only says why."""
    if why is None or result.classification is Classification.FAIL:
        return result
    return replace(
        result,
        classification=Classification.NO_DATA,
        probability_within_margin=np.nan,
        unknown=why,
    )


@dataclass(frozen=True, slots=True)
class _Values:
    """One metric's values of one candidate, from the warm-up's end on, and how they are judged.

    Where more is better harm is how much less there is, so that estimates are mirrored.
    """

    plan: Plan
    metric: MetricPlan
    variants: tuple[BucketValues, BucketValues]
    seen: tuple[int, int]
    names: tuple[str, str]
    first: int
    levels: Levels

    @classmethod
    def of(
        cls, plan: Plan, metric: MetricPlan, values: Mapping[str, BucketValues], candidate: str
    ) -> _Values:
        names = (plan.baseline, candidate)
        buckets = len(values[candidate].weight)
        first = first_judged(plan, buckets)
        return cls(
            plan=plan,
            metric=metric,
            variants=(
                values[names[0]].between(first or 0, buckets),
                values[names[1]].between(first or 0, buckets),
            ),
            seen=(values[names[0]].known, values[candidate].known),
            names=names,
            first=first or 0,
            levels=Levels(plan, np.array([plan.request_alpha(metric)]), known=first is not None),
        )

    @property
    def buckets(self) -> int:
        """Buckets that are judged."""
        return len(self.variants[0].weight)

    @property
    def absolute(self) -> float:
        """The absolute margin, or the difference that a person has approved of a signal."""
        approved = self.plan.approved.get((self.metric.name, self.names[1])) or 0.0
        return max(self.metric.allowed_harm.absolute, approved)

    @property
    def factor(self) -> FloatArray:
        """What the baseline's value is multiplied by: a relative margin is of its size."""
        baseline = self._pair(0, self.buckets).baseline
        relative = self.metric.allowed_harm.relative * np.where(baseline < 0, -1.0, 1.0)
        return np.asarray(1 - relative if self.metric.higher_is_better else 1 + relative)

    @property
    def result(self) -> MetricResult:
        """What all tests of the metric say."""
        pairs = self._pair(0, self.buckets)
        excess = self._harm(pairs.contrast(self.factor))
        since = self._started_harm()
        whole = self._bounded(excess, part=0.5, shift=self.absolute)
        recent = self._recent() if whole.upper <= 0 else None
        objective = self._objective()
        found = classify(whole, objective, gross=since is not None)
        if found is Classification.PASS and not (recent is not None and recent.within_margin):
            found = Classification.UNCERTAIN
        baseline, candidate = float(pairs.baseline[0]), float(pairs.candidate[0])
        allowed = self.absolute + self.metric.allowed_harm.relative * abs(baseline)
        return MetricResult(
            metric=self.metric.name,
            baseline_variant=self.names[0],
            candidate_variant=self.names[1],
            unit=self.metric.unit,
            role=self.metric.role,
            classification=found,
            baseline=baseline,
            candidate=candidate,
            difference=self._difference(pairs.contrast(np.ones(1))),
            relative=self._relative(pairs),
            excess=whole,
            standard_error=float(excess.standard_error[0]),
            margin=float(np.nan_to_num(allowed)),
            probability_within_margin=probability_within(excess, np.array([self.absolute]), 0),
            exposure_baseline=float(self.seen[0]),
            exposure_candidate=float(self.seen[1]),
            weight=self.metric.weight,
            critical=self.metric.critical,
            group=self.metric.group,
            is_share=False,
            higher_is_better=self.metric.higher_is_better,
            objective=objective,
            since=since,
            recent=recent,
            counted=self.metric.counted,
            approved=self.plan.approved.get((self.metric.name, self.names[1])),
            margin_relative=0.0 if self.absolute else self.metric.allowed_harm.relative,
        )

    def _pair(self, begin: int, end: int) -> PairedBuckets:
        baseline, candidate = (variant.between(begin, end) for variant in self.variants)
        return pair_values(baseline, candidate)

    def _harm(self, estimator: Estimator) -> Estimator:
        if not self.metric.higher_is_better:
            return estimator
        lower, upper = estimator.over_time
        return replace(estimator, estimate=-estimator.estimate, over_time=(upper, lower))

    def _bounded(
        self,
        harm: Estimator,
        *,
        part: float,
        shift: float = 0.0,
        upper: FloatArray | None = None,
    ) -> Estimate:
        levels = replace(self.levels, alpha=part * self.levels.alpha)
        found = levels.bounded(harm, shift, upper=upper)[0]
        ends = (found.value, found.lower, found.upper)
        return Estimate(*(0.0 if abs(one) < _NOTHING else one for one in ends))

    def _difference(self, estimator: Estimator) -> Estimate:
        found = self._bounded(self._harm(estimator), part=0.5)
        if not self.metric.higher_is_better:
            return found
        return Estimate(-found.value, -found.upper, -found.lower)

    def _relative(self, pairs: PairedBuckets) -> Estimate:
        harm, promote = 0.5 * self.levels.alpha, self.plan.promote_alpha
        if not (self.levels.known and pairs.baseline[0] > 0 and pairs.candidate[0] >= 0):
            return Estimate(np.nan, -np.inf, np.inf)
        higher = self.metric.higher_is_better
        tightest = (self.plan.harm_buckets, self.plan.promote_buckets)
        low, high = pairs.relative_bounds(
            lower_alpha=np.array([promote]) if higher else harm,
            upper_alpha=float(harm[0]) if higher else promote,
            lower_n_opt=tightest[higher],
            upper_n_opt=tightest[not higher],
            factor=self.factor,
        )
        point = pairs.candidate / pairs.baseline - 1
        return Estimate(float(point[0]), float(low[0]), float(high[0]))

    def _started_harm(self) -> HarmSince | None:
        """The earliest start since which harm beyond the margin is proven, alpha shared."""
        step = max(1, self.plan.planned_buckets // _PARTS)
        later = [step * part for part in range(1, _PARTS)]
        for start in (0, *later):
            if self.buckets - start < _LEAST_BUCKETS:
                break
            pairs = self._pair(start, self.buckets)
            harm = self._harm(pairs.contrast(self.factor))
            part = 0.5 if start == 0 else 0.5 / len(later)
            lower = self._bounded(harm, part=part, shift=self.absolute).lower
            if lower > 0:
                baseline = float(pairs.baseline[0])
                margin = self.absolute + self.metric.allowed_harm.relative * abs(baseline)
                return HarmSince(
                    start_ms=self.plan.start_ms + (self.first + start) * self.plan.bucket_ms,
                    from_start=start == 0,
                    baseline=baseline,
                    candidate=float(pairs.candidate[0]),
                    lower=lower + margin,
                    margin=margin,
                )
        return None

    def _recent(self) -> Recent:
        plan, margin = self.plan, self.absolute
        now_ms = plan.start_ms + (self.first + self.buckets) * plan.bucket_ms
        found = recent_of(
            lambda *part: self._harm(self._pair(*part).contrast(self.factor)),
            self.buckets,
            least=least_last_part(plan),
            left=(plan.last_look_ms - now_ms) // plan.bucket_ms,
        )
        last = self._bounded(found.last, part=1, shift=margin, upper=found.last_upper)
        ahead = None
        if found.ahead is not None:
            high = found.ahead.upper(alpha=plan.promote_alpha, n_opt=plan.promote_buckets)
            ahead = self._bounded(found.ahead.line, part=1, shift=margin, upper=high)
        start_ms = plan.start_ms + (self.first + found.begin) * plan.bucket_ms
        return Recent(start_ms, last, ahead, now_ms + found.coming * plan.bucket_ms)

    def _objective(self) -> Objective | None:
        """The candidate's own value against the objective; to blame if the baseline meets it."""
        limit = self.metric.objective
        if limit is None:
            return None
        theirs, ours = (
            self._harm(pair_values(variant, variant).contrast(np.zeros(1)))
            for variant in self.variants
        )
        sign = -1.0 if self.metric.higher_is_better else 1.0
        beyond, others = (self._bounded(one, part=1, shift=sign * limit) for one in (ours, theirs))
        value, low, high = sign * (beyond.value + sign * limit), beyond.lower, beyond.upper
        ends = sorted((sign * (low + sign * limit), sign * (high + sign * limit)))
        return Objective(
            limit,
            Estimate(value, *ends),
            side_of_zero(beyond.lower, beyond.upper),
            shared=others.lower > 0,
        )
