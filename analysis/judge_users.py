"""User metrics: harm watched at every look, gain tested once, at the planned end."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.special import ndtr, stdtrit

from analysis.comparison import Comparison, FloatArray, Sample, compare_means, compare_proportions
from analysis.confidence import one_sided_multiplier, student_adjusted
from analysis.evidence import UserEvidence
from analysis.metric_result import Classification, Estimate, MetricResult
from analysis.plan import MetricPlan, Plan, Role, Unit
from analysis.segments import SegmentTable, compare_segments

# Users at which the sequences are tightest, before a plan says how many to expect.
_N_OPT = 5000.0
_NO_USERS = Sample(np.array(0.0), np.array(np.nan), np.array(np.nan))


def judge_users(
    plan: Plan, evidence: UserEvidence | None, candidate: str, *, at_ms: int
) -> tuple[MetricResult, ...]:
    """Every user metric of one candidate against the baseline.

    Half of alpha watches for harm at every look; a goal's gain is tested at the planned end with
    the other half, nearly as sharp as a test that never looked before.
    """
    metrics = [metric for metric in plan.metrics if metric.unit is Unit.USER]
    if metrics and evidence is None:
        raise ValueError("the plan has user metrics, but no user evidence was given")
    return tuple(
        _judge(plan, metric, evidence, candidate, at_end=at_ms >= plan.last_look_ms)
        for metric in metrics
        if evidence is not None
    )


def _judge(
    plan: Plan, metric: MetricPlan, evidence: UserEvidence, candidate: str, *, at_end: bool
) -> MetricResult:
    is_share = metric.name in evidence.proportions
    samples = evidence.samples.get(metric.name, {})
    compare = compare_proportions if is_share else compare_means
    arms = (samples.get(variant, _NO_USERS) for variant in (plan.baseline, candidate))
    comparison = compare(*_never_certain(*arms, is_share=is_share))
    lower_z, upper_z = _multipliers(plan, metric, comparison, at_end=at_end)
    excess, error = _excess(metric, comparison, lower_z, upper_z)
    # Bounds of harm become bounds of the difference, turned round where more is better.
    down, up = (upper_z, lower_z) if metric.higher_is_better else (lower_z, upper_z)
    relative_low, relative_high = (
        comparison.relative_interval(down)[0],
        comparison.relative_interval(up)[1],
    )
    difference, spread = float(comparison.difference), float(comparison.standard_error)
    with np.errstate(divide="ignore", invalid="ignore"):
        lift = float(comparison.difference / np.abs(comparison.baseline.mean))
    margin = metric.allowed_harm
    return MetricResult(
        metric=metric.name,
        baseline_variant=plan.baseline,
        candidate_variant=candidate,
        unit=metric.unit,
        role=metric.role,
        classification=_classify(metric, excess, at_end=at_end),
        baseline=float(comparison.baseline.mean),
        candidate=float(comparison.candidate.mean),
        difference=Estimate(difference, difference - down * spread, difference + up * spread),
        relative=Estimate(lift, float(relative_low), float(relative_high)),
        excess=excess,
        standard_error=error,
        margin=margin.absolute + margin.relative * abs(float(comparison.baseline.mean)),
        probability_within_margin=float(ndtr(-excess.value / error)) if error > 0 else np.nan,
        exposure_baseline=float(comparison.baseline.n),
        exposure_candidate=float(comparison.candidate.n),
        weight=metric.weight,
        critical=metric.critical,
        group=metric.group,
        is_share=is_share,
        higher_is_better=metric.higher_is_better,
        variance_removed=evidence.variance_removed.get(metric.name),
    )


def judge_segments(plan: Plan, evidence: UserEvidence | None) -> tuple[SegmentTable, ...]:
    """Every user metric of every candidate by segment; empty without segments."""
    if evidence is None or not evidence.segments:
        return ()
    return tuple(
        compare_segments(
            metric.name,
            (plan.baseline, candidate),
            {
                dimension: {name: samples[metric.name] for name, samples in parts.items()}
                for dimension, parts in evidence.segments.items()
                if all(metric.name in samples for samples in parts.values())
            },
            is_share=metric.name in evidence.proportions,
            alpha=plan.alpha,
            n_opt=_N_OPT,
        )
        for candidate in plan.candidates
        for metric in plan.metrics
        if metric.unit is Unit.USER
    )


def _never_certain(baseline: Sample, candidate: Sample, *, is_share: bool) -> tuple[Sample, Sample]:
    """The samples, with a variance that a few equal values can't bring to zero.

    Shares: by Laplace's rule of succession, as for requests. Means: a variant of equal values
    (30 users, none of whom bought) varies as the other one does; if none differs in either,
    nothing is known.
    """
    if is_share:
        return _smoothed(baseline), _smoothed(candidate)
    largest = np.fmax(baseline.variance, candidate.variance)
    known = np.where(largest > 0, largest, np.inf)
    return _varying(baseline, known), _varying(candidate, known)


def _varying(sample: Sample, otherwise: FloatArray) -> Sample:
    return replace(sample, variance=np.where(sample.variance == 0, otherwise, sample.variance))


def _smoothed(sample: Sample) -> Sample:
    p = (sample.n * sample.mean + 1) / (sample.n + 2)
    return replace(sample, variance=np.maximum(sample.variance, p * (1 - p)))


def _multipliers(
    plan: Plan, metric: MetricPlan, comparison: Comparison, *, at_end: bool
) -> tuple[float, float]:
    """Standard errors to the lower and to the upper bound of harm.

    The lower bound holds at every look. So does the upper one, but for a goal at the planned end.
    """
    n = float(comparison.baseline.n + comparison.candidate.n)
    dof = float(np.minimum(comparison.degrees_of_freedom, n))
    sequential = [
        float(student_adjusted(one_sided_multiplier(n, alpha=level, n_opt=_N_OPT), dof))
        for level in (plan.harm_alpha(metric), plan.promote_alpha)
    ]
    if metric.role is Role.GOAL and at_end and n > 2:
        return sequential[0], float(-stdtrit(max(dof, 1.0), plan.promote_alpha))
    return sequential[0], sequential[1]


def _excess(
    metric: MetricPlan, comparison: Comparison, lower_z: float, upper_z: float
) -> tuple[Estimate, float]:
    """Harm beyond what is allowed, with its bounds, and its standard error.

    What is allowed relatively is a part of the baseline's size, whatever its sign.
    """
    sign = -1.0 if metric.higher_is_better else 1.0
    allowed = metric.allowed_harm
    factor = 1 + sign * allowed.relative * float(np.sign(comparison.baseline.mean))
    value = sign * float(comparison.candidate.mean - factor * comparison.baseline.mean)
    variance = comparison.candidate.variance_of_mean + factor**2 * (
        comparison.baseline.variance_of_mean
    )
    error, excess = float(np.sqrt(variance)), value - allowed.absolute
    return Estimate(excess, excess - lower_z * error, excess + upper_z * error), error


def _classify(metric: MetricPlan, excess: Estimate, *, at_end: bool) -> Classification:
    if not np.isfinite(excess.value):
        return Classification.NO_DATA
    if excess.lower > 0:
        return Classification.FAIL
    decisive = metric.role is Role.GUARDRAIL or at_end
    return Classification.PASS if excess.upper <= 0 and decisive else Classification.UNCERTAIN
