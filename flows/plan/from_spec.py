"""From the spec that a person wrote to the plan that the analysis judges by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from analysis.plan import Margin, MetricPlan, Plan, RequestCohort, Role, Stage, Unit
from flows.formats.time import milliseconds
from flows.spec.experiment import Experiment
from flows.spec.measured import CounterRate, CounterRatio, Gauge, MeasuredMetric
from flows.spec.metrics import ErrorShare, OutcomeShare, RequestMetric, SlowShare, UserMetric
from flows.spec.signals import (
    BaselineEdge,
    ExcusedFailures,
    Signal,
    Unattributed,
    Unmeasured,
    UnusualAnswers,
    default_signals,
)

if TYPE_CHECKING:
    from analysis.evidence import QualityLimits

_WHAT_SIGNALS_COUNT: dict[type, str] = {
    Unmeasured: "unmeasured",
    UnusualAnswers: "unusual",
    ExcusedFailures: "excused",
    Unattributed: "unattributed",
}

# Chosen by benchmarks/late_harm.py: three minutes of slow answers end in no false rollback.
_WARM_UP_MS = 90_000
_LARGEST_WARM_UP = 20  # of the plan, one part in so many


def plan_of(spec: Experiment, *, start_ms: int) -> Plan:
    """The plan of an experiment that starts at start_ms (spec.plan.start, or as observed)."""
    stages: list[Stage] = []
    begin = start_ms
    for stage in spec.stages:
        end = begin + milliseconds(stage.duration)
        stages.append(Stage(begin, end, compared_shares(spec, stage.weights)))
        begin = end
    return Plan(
        experiment=spec.experiment,
        baseline=spec.baseline,
        candidates=spec.candidates,
        metrics=(
            *(_metric_plan(spec, name, metric) for name, metric in spec.metrics.items()),
            *(_signal_plan(name, signal) for name, signal in default_signals(spec).items()),
        ),
        stages=tuple(stages),
        bucket_ms=milliseconds(spec.plan.bucket),
        alpha=spec.plan.alpha,
        minimum_ms=milliseconds(spec.plan.minimum_duration),
        minimum_exposure=spec.plan.minimum_requests,
        look_every_ms=milliseconds(spec.plan.look_every),
        is_split_assumed=not spec.plan.stages and spec.split is None and len(stages) > 1,
        is_users_fixed_horizon=spec.sources.is_timeless,
        warm_up_ms=_warm_up_ms(spec, begin - start_ms),
        pods=spec.pods,
        cohorts=tuple(
            RequestCohort(
                name,
                {variant: weight / 100 for variant, weight in (cohort.split or {}).items()},
                cohort.told_by,
            )
            for name, cohort in spec.cohorts.items()
        ),
    )


def compared_shares(spec: Experiment, weights: Mapping[str, float]) -> dict[str, float]:
    """Share of each variant in the requests that are compared, by a stage's weights in percent.

    A fresh baseline has as many as the candidate, as long as there are; the rest goes elsewhere.
    """
    shares = {name: weight / 100 for name, weight in weights.items()}
    share = shares.get(spec.candidates[0], 0.0)
    if spec.delivery is None or not spec.delivery.is_fresh or not 0 < share < 1:
        return shares
    fresh = min(share, 1 - share)
    whole = share + fresh
    return {spec.baseline: fresh / whole, spec.candidates[0]: share / whole}


def _warm_up_ms(spec: Experiment, length_ms: int) -> int:
    """As the spec says; by default long enough for a JVM, but not for much of a short plan."""
    if spec.plan.warm_up is not None:
        return milliseconds(spec.plan.warm_up)
    return min(_WARM_UP_MS, length_ms // _LARGEST_WARM_UP)


def limits_of(spec: Experiment) -> QualityLimits:
    """When the data is not good enough, as the spec says."""
    # What holds evidence imports what compares it, which a gate without news doesn't need.
    from analysis.evidence import QualityLimits  # noqa: PLC0415

    quality = spec.quality
    return QualityLimits(
        split_tolerance=quality.split_tolerance,
        user_split_tolerance=quality.user_split_tolerance,
        lost_share=quality.lost_exposure,
        mixed_share=quality.mixed_users,
        injected_share=quality.injected_faults,
        test_share=quality.test_traffic,
        stale_ms=milliseconds(quality.stale_after),
    )


def _signal_plan(name: str, signal: OutcomeShare | Signal) -> MetricPlan:
    by_kind = _WHAT_SIGNALS_COUNT.get(type(signal), "")
    return MetricPlan(
        name=name,
        unit=Unit.REQUEST,
        role=Role.SIGNAL,
        margin=Margin(signal.margin.absolute or 0.0),
        baseline_quantile=signal.quantile if isinstance(signal, BaselineEdge) else None,
        outcome=signal.outcome if isinstance(signal, OutcomeShare) else by_kind,
        is_default=True,
    )


def _metric_plan(
    spec: Experiment, name: str, metric: RequestMetric | UserMetric | MeasuredMetric
) -> MetricPlan:
    return MetricPlan(
        name=name,
        unit=_unit(metric),
        role=metric.role,
        margin=Margin(metric.margin.absolute or 0.0, metric.margin.relative or 0.0),
        higher_is_better=isinstance(metric, UserMetric | CounterRate | Gauge)
        and metric.better == "higher",
        objective=None if isinstance(metric, UserMetric) else metric.objective,
        quantile=metric.quantile if isinstance(metric, SlowShare) else None,
        weight=metric.weight,
        critical=metric.critical,
        group=metric.group,
        prior_sd=metric.prior if isinstance(metric, UserMetric) else 0.1,
        window_ms=_window_ms(spec, metric),
        adjusted_by=_adjusted_by(spec, metric),
        strata=spec.strata_of(metric) if isinstance(metric, UserMetric) else (),
        above_ms=milliseconds(metric.above) if isinstance(metric, SlowShare) else None,
        outcome=_outcome(metric),
        counted=metric.counted if isinstance(metric, MeasuredMetric | UserMetric) else "",
    )


def _unit(metric: RequestMetric | UserMetric | MeasuredMetric) -> Unit:
    if isinstance(metric, UserMetric):
        return Unit.USER
    if isinstance(metric, CounterRatio):
        return Unit.EVENT
    return Unit.BUCKET if isinstance(metric, MeasuredMetric) else Unit.REQUEST


def _outcome(metric: RequestMetric | UserMetric | MeasuredMetric) -> str:
    if isinstance(metric, OutcomeShare):
        return metric.outcome
    return "failure" if isinstance(metric, ErrorShare) else ""


def _window_ms(spec: Experiment, metric: RequestMetric | UserMetric | MeasuredMetric) -> int:
    """How long a user's value takes to be final; what counters say is final at once."""
    if not isinstance(metric, UserMetric):
        return 0
    counted = metric.kind == "proportion" and spec.sources.conversions is not None
    return 0 if counted else milliseconds(spec.span_of(metric)[1])


def _adjusted_by(spec: Experiment, metric: RequestMetric | UserMetric | MeasuredMetric) -> str:
    """What is known of users from before, and used: as in a sentence."""
    if not isinstance(metric, UserMetric):
        return ""
    strata = spec.strata_of(metric)
    before = ["what users did before"] if metric.adjust else []
    return " and ".join([*before, *([f"comparing within {' x '.join(strata)}"] if strata else [])])
