"""User metrics: harm watched at every look, gain tested once, at the planned end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.special import ndtr

from analysis.evidence import UserEvidence
from analysis.fixed.comparison import Sample
from analysis.judge.late_users import why_late
from analysis.judge.outcome_sizes import why_other_unit
from analysis.judge.outcome_times import why_mistimed
from analysis.judge.segments import SegmentTable, compare_segments
from analysis.judge.stopped_outcomes import why_stopped
from analysis.judge.unread_outcomes import bare_name, why_lost, why_misnamed, why_unread
from analysis.judge.user_harm import UserHarm, bound_harm
from analysis.metric_result import Classification, Estimate, MetricResult
from analysis.plan import Margin, MetricPlan, Plan, Role, Unit
from analysis.users.outcome_reach import OutcomeReach

_MOST_NAMES = 5
# Where one variant's users all did it, so many of the other's must have.
_NEARLY_ALL = 0.9
# So many empty values among others leave open what they mean.
_EMPTY_SHARE = 0.1
# Where so many users have one, a row doesn't say that it happened.
_ROW_PER_USER = 0.9
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
    approved = plan.approved.get((metric.name, candidate))
    if approved is not None:
        metric = replace(metric, margin=Margin(approved))
    is_share = metric.name in evidence.proportions
    variants = evidence.samples.get(metric.name, {}).get(candidate, (_NO_USERS, _NO_USERS))
    tightest = plan.planned_users(metric, candidate)
    harm = bound_harm(plan, metric, variants, is_share=is_share, n_opt=tightest, at_end=at_end)
    comparison, error = harm.comparison, float(harm.standard_error)
    excess = Estimate(float(harm.value), float(harm.lower), float(harm.upper))
    # Bounds of harm become bounds of the difference, turned round where more is better.
    multipliers = float(harm.lower_z), float(harm.upper_z)
    down, up = multipliers[::-1] if metric.higher_is_better else multipliers
    relative_low, relative_high = (
        comparison.relative_interval(down)[0],
        comparison.relative_interval(up)[1],
    )
    difference, spread = float(comparison.difference), float(comparison.standard_error)
    with np.errstate(divide="ignore", invalid="ignore"):
        lift = float(comparison.difference / np.abs(comparison.baseline.mean))
    margin = metric.allowed_harm
    final = evidence.final_users.get(metric.name, {})
    unknown = _why_unknown(plan, metric, evidence, candidate)
    state = _classify(plan, metric, excess, at_end=at_end)
    if unknown is None and approved is None and state is Classification.PASS:
        unknown = _why_no_pass(plan, evidence, metric, candidate, harm)
    is_certain = error > 0 and unknown is None
    return MetricResult(
        metric=metric.name,
        baseline_variant=plan.baseline,
        candidate_variant=candidate,
        unit=metric.unit,
        role=metric.role,
        classification=state if unknown is None else Classification.NO_DATA,
        baseline=float(comparison.baseline.mean),
        candidate=float(comparison.candidate.mean),
        difference=Estimate(difference, difference - down * spread, difference + up * spread),
        relative=Estimate(lift, float(relative_low), float(relative_high)),
        excess=excess,
        standard_error=error,
        margin=margin.absolute + margin.relative * abs(float(comparison.baseline.mean)),
        probability_within_margin=float(ndtr(-excess.value / error)) if is_certain else np.nan,
        exposure_baseline=final.get(plan.baseline, float(comparison.baseline.n)),
        exposure_candidate=final.get(candidate, float(comparison.candidate.n)),
        weight=metric.weight,
        critical=metric.critical,
        group=metric.group,
        is_share=is_share,
        higher_is_better=metric.higher_is_better,
        counted=metric.counted,
        variance_removed=evidence.variance_removed.get(metric.name),
        tightest_at_users=tightest,
        approved=approved,
        unknown=unknown,
        margin_relative=margin.relative,
    )


def _why_unknown(
    plan: Plan, metric: MetricPlan, evidence: UserEvidence, candidate: str
) -> str | None:
    """Why nothing is known of a metric whatever its numbers say, if so.

    Where more is better and nobody did it, where there are no outcomes at all, or where a name
    differs from the metric's in its form only, it may just not have been recorded.
    """
    if metric.name in evidence.unknown:
        return evidence.unknown[metric.name]
    variants = evidence.samples.get(metric.name, {}).get(candidate, ())
    if not variants or any(
        float(variant.mean) != 0 or float(variant.variance) != 0 for variant in variants
    ):
        return None
    reaches = evidence.reach.get(metric.name, ())
    is_known = not reaches or (evidence.outcome_names and not _resembling(evidence, reaches))
    if not metric.higher_is_better and is_known:
        return None
    final = evidence.final_users.get(metric.name, {})
    users = " and ".join(f"{final.get(v, 0):,.0f} of {v}" for v in (plan.baseline, candidate))
    return f"none of the users did it ({users}), so nothing is known{_recorded(evidence, reaches)}"


def _resembling(evidence: UserEvidence, reaches: Sequence[OutcomeReach]) -> bool:
    """Whether an outcome that no row has is there in another form (Purchase, purchase_)."""
    missing = {bare_name(reach.outcome) for reach in reaches if not reach.rows}
    return any(bare_name(name) in missing for name in evidence.outcome_names)


def _why_no_pass(
    plan: Plan, evidence: UserEvidence, metric: MetricPlan, candidate: str, harm: UserHarm
) -> str | None:
    """Why a metric that passes by its numbers doesn't all the same, if so."""
    arms, room = (plan.baseline, candidate), -float(harm.upper)
    values = float(harm.comparison.baseline.mean), float(harm.comparison.candidate.mean)
    is_share = metric.name in evidence.proportions
    return (
        _why_contradicted(evidence, metric, candidate)
        or why_lost(evidence, metric)
        or why_misnamed(evidence, metric)
        or why_stopped(evidence, metric, arms)
        or why_mistimed(evidence, metric)
        or why_other_unit(evidence, metric, arms)
        or why_late(plan, evidence, metric, candidate)
        or _why_ambiguous(evidence, metric)
        or (_why_everybody(metric, arms, values) if is_share else None)
        or why_unread(evidence, metric, arms, room=room, values=values)
        or _why_negative(metric, arms, values)
    )


def _why_negative(
    metric: MetricPlan, arms: tuple[str, str], values: tuple[float, float]
) -> str | None:
    """Why a metric doesn't pass of which less is better, and of which there is less than nothing.

    Refunds that are written as negative amounts are the more the lower they are.
    """
    if metric.higher_is_better or values[1] >= 0:
        return None
    return (
        f"less is better, and {arms[1]} has {values[1]:.4g}, {arms[0]} {values[0]:.4g}: where "
        "amounts of harm are written as negative numbers, less of them is more harm. Write them as "
        "positive ones, set better: higher, or approve the metric"
    )


def _why_everybody(
    metric: MetricPlan, arms: tuple[str, str], shares: tuple[float, float]
) -> str | None:
    """Why a share doesn't pass where all users of one variant did it, and not of the other."""
    everybody, other = (1, 0) if metric.higher_is_better else (0, 1)
    if shares[everybody] < 1 or shares[other] > _NEARLY_ALL:
        return None
    return (
        f"every user of {arms[everybody]} did it and {shares[other]:.1%} of {arms[other]}: is "
        "exposure noted only with the outcome? Note it for all users, or approve the metric"
    )


def _why_contradicted(evidence: UserEvidence, metric: MetricPlan, candidate: str) -> str | None:
    """Why a metric that passes doesn't, where an earlier look proved the opposite.

    Bounds that hold at every look can't prove both of one effect. Harm that is proven now counts
    whatever was shown before.
    """
    failed_at = evidence.failed_before.get((metric.name, candidate))
    if failed_at is None:
        return None
    return (
        f"the look at {failed_at:%Y-%m-%d %H:%M} UTC proved harm beyond the margin and this one "
        "excludes it, so users of different times differ and nothing is declared. Approve the "
        "metric, or start the plan anew"
    )


def _why_ambiguous(evidence: UserEvidence, metric: MetricPlan) -> str | None:
    """Why a metric that passes doesn't, where nearly all users have a row and some have no value.

    Without a value it happened; but where others have one, empty may well mean that it didn't.
    """
    for reach in evidence.reach.get(metric.name, ()):
        variants = reach.by_variant.values()
        users, rows = sum(v.users for v in variants), sum(v.counted for v in variants)
        empty = sum(v.valueless for v in variants)
        with_row = sum(v.with_row * v.each for v in variants)
        if with_row >= _ROW_PER_USER * users and _EMPTY_SHARE * rows < empty < rows:
            return (
                f"{empty:,} of {rows:,} outcomes {reach.outcome!r} have no value, the others have "
                "one: it isn't known whether those happened. Write 0 or leave the row out where it "
                "did not, and 1 where it did"
            )
    return None


def _recorded(evidence: UserEvidence, reaches: Sequence[OutcomeReach]) -> str:
    """What is recorded instead, where the outcome's name is not."""
    missing = [repr(reach.outcome) for reach in reaches if not reach.rows]
    if not missing:
        return ""
    named = [f"{name!r} ({rows:,} rows)" for name, rows in evidence.outcome_names.items()]
    others = f"there are {', '.join(named[:_MOST_NAMES])}" if named else "there is none at all"
    return f": no outcome is named {' or '.join(missing)}, {others}"


def judge_segments(plan: Plan, evidence: UserEvidence | None) -> tuple[SegmentTable, ...]:
    """Every user metric of every candidate by segment; empty without segments."""
    if evidence is None or not evidence.segments:
        return ()
    return tuple(
        compare_segments(
            metric.name,
            candidate,
            {
                dimension: {name: pairs[metric.name][candidate] for name, pairs in parts.items()}
                for dimension, parts in evidence.segments.items()
                if all(metric.name in pairs for pairs in parts.values())
            },
            is_share=metric.name in evidence.proportions,
            alpha=plan.alpha,
            n_opt=plan.planned_users(metric, candidate),
        )
        for candidate in plan.candidates
        for metric in plan.metrics
        if metric.unit is Unit.USER
    )


def _classify(plan: Plan, metric: MetricPlan, excess: Estimate, *, at_end: bool) -> Classification:
    if not np.isfinite(excess.value):
        return Classification.NO_DATA
    if plan.is_users_fixed_horizon and not at_end:
        return Classification.UNCERTAIN
    if excess.lower > 0:
        return Classification.FAIL
    decisive = metric.role is not Role.GOAL or at_end
    return Classification.PASS if excess.upper <= 0 and decisive else Classification.UNCERTAIN
