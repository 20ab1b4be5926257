"""The users of a look as a scorecard: every metric of every candidate, whole and by segment."""

from __future__ import annotations

import numpy as np

from analysis.evidence import UserEvidence
from analysis.fixed.comparison import Sample
from analysis.plan import MetricPlan, Plan, Unit
from analysis.scorecard.bayes import NormalPrior
from analysis.scorecard.scorecard import Cells, make_scorecard
from flows.look.scorecard_document import ScorecardRow, row_of
from flows.spec.experiment import Experiment

_Row = tuple[MetricPlan, str, str, Sample, Sample]


def scorecard_of(
    spec: Experiment, plan: Plan, users: UserEvidence | None
) -> tuple[ScorecardRow, ...]:
    """Every comparison of a look, in the order of the plan; empty without user metrics.

    Each row's posterior rests on its own metric's prior, which it names.
    """
    if users is None:
        return ()
    rows = [
        row
        for candidate in plan.candidates
        for metric in plan.metrics
        if metric.unit is Unit.USER
        for row in _rows(metric, candidate, users)
    ]
    if not rows:
        return ()
    cells = _cells(plan, users, rows)
    tightest = np.array([plan.planned_users(metric, candidate) for metric, candidate, *_ in rows])
    # A look has few rows: the whole scorecard for each prior costs less than a second way to one.
    cards = {
        prior: make_scorecard(cells, alpha=plan.alpha, n_opt=tightest, prior=prior)
        for prior in dict.fromkeys(_prior(metric) for metric, *_ in rows)
    }
    return tuple(
        row_of(
            {
                "experiment": plan.experiment,
                "metric": metric.name,
                "segment": segment,
                "type": spec.user_metrics[metric.name].kind,
                "baseline": plan.baseline,
                "candidate": candidate,
            },
            cells,
            cards[_prior(metric)],
            i,
            variance_removed=users.variance_removed.get(metric.name),
            share_posterior=None,
            tightest_at_users=float(tightest[i]),
        )
        for i, (metric, candidate, segment, _, _) in enumerate(rows)
    )


def _prior(metric: MetricPlan) -> NormalPrior:
    return NormalPrior(0.0, metric.prior_sd)


def _rows(metric: MetricPlan, candidate: str, users: UserEvidence) -> list[_Row]:
    """One metric of one candidate: all users, then segment by segment."""
    parts = {"": users.samples} | {
        f"{dimension} = {name}": pairs
        for dimension, segments in users.segments.items()
        for name, pairs in segments.items()
    }
    return [
        (
            metric,
            candidate,
            part,
            *pairs[metric.name][candidate],
        )
        for part, pairs in parts.items()
        if metric.name in pairs
    ]


def _cells(plan: Plan, users: UserEvidence, rows: list[_Row]) -> Cells:
    # Under several splits a sample is no count of users; the quality check holds each to its own.
    shares = plan.user_shares
    both = {c: shares.get(plan.baseline, 0.0) + shares.get(c, 0.0) for c in plan.candidates}
    return Cells(
        Sample.stacked([row[3] for row in rows]),
        Sample.stacked([row[4] for row in rows]),
        np.array([metric.name in users.proportions for metric, *_ in rows]),
        np.zeros(len(rows), dtype=np.int64),
        np.array([shares.get(c, 0.0) / both[c] if both[c] else np.nan for _, c, *_ in rows]),
    )
