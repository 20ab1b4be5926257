"""Results of one metric, to change what a test is about."""

from __future__ import annotations

from analysis.metric_result import Classification, Estimate, MetricResult
from analysis.plan import Role, Unit

ERRORS = MetricResult(
    metric="errors",
    baseline_variant="stable",
    candidate_variant="canary",
    unit=Unit.REQUEST,
    role=Role.GUARDRAIL,
    classification=Classification.UNCERTAIN,
    baseline=0.005,
    candidate=0.007,
    difference=Estimate(0.002, -0.003, 0.007),
    relative=Estimate(0.4, -0.6, 1.4),
    excess=Estimate(-0.003, -0.008, 0.002),
    standard_error=0.002,
    margin=0.005,
    probability_within_margin=0.93,
    exposure_baseline=19_000,
    exposure_candidate=1_000,
    weight=1,
    critical=False,
    group="all",
    is_share=True,
    higher_is_better=False,
)
