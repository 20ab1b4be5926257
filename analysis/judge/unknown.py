"""Requests of which it isn't known whether they are bad: what holds whether they are or not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from analysis.evidence import RequestEvidence
from analysis.metric_result import Classification, Estimate, MetricResult
from analysis.requests.bucket_counts import BucketCounts

# Where more than so much of a version is unknown, nothing that rests on the rest is a pass.
_MOST_UNKNOWN = 0.5


def worst_case(evidence: RequestEvidence) -> RequestEvidence:
    """The same where all requests that may be bad are, of every version."""
    return replace(
        evidence,
        counts={
            name: BucketCounts(counts.total, counts.bad + evidence.unknown.get(name, 0.0))
            for name, counts in evidence.counts.items()
        },
    )


def with_unknown(
    found: MetricResult, worst: MetricResult, unknown: tuple[float, float]
) -> MetricResult:
    """What both say: harm lies between the two, and a verdict stands where both agree.

    found: where no unknown request is bad; worst: where all are, against the baseline alone, as
    clients that leave are nobody's failure of an objective. Unknown requests of either version are
    taken to be as bad as the other's: a version that has no more of them than the other isn't worse
    for it. unknown: their share of the baseline's and the candidate's requests.
    """
    agreed = _agreed(found, worst, unknown)
    return replace(
        found,
        classification=agreed,
        since=found.since if agreed is Classification.FAIL else None,
        difference=_hull(found.difference, worst.difference),
        relative=_hull(found.relative, worst.relative),
        excess=_hull(found.excess, worst.excess),
        probability_within_margin=float(
            np.minimum(found.probability_within_margin, worst.probability_within_margin)
        ),
        gross=found.gross and worst.gross,
        unknown_baseline=unknown[0],
        unknown_candidate=unknown[1],
    )


def unknown_shares(
    evidence: RequestEvidence, metric: str, variants: tuple[str, str]
) -> tuple[float, float]:
    """Of each version, the share of a metric's requests that may or may not be bad."""
    row = evidence.metrics.index(metric)

    def share(variant: str) -> float:
        total = float(evidence.counts[variant].total[row].sum())
        unknown = evidence.unknown.get(variant)
        return float(unknown[row].sum()) / total if unknown is not None and total else 0.0

    return share(variants[0]), share(variants[1])


def _agreed(
    found: MetricResult, worst: MetricResult, unknown: tuple[float, float]
) -> Classification:
    own, other = found.classification, worst.classification
    if found.objective is not None and found.objective.violated:
        return own
    if Classification.NO_DATA in (own, other):
        return Classification.NO_DATA
    if own is not other or (own is Classification.PASS and max(unknown) > _MOST_UNKNOWN):
        return Classification.UNCERTAIN
    return own


def _hull(one: Estimate, other: Estimate) -> Estimate:
    return Estimate(one.value, min(one.lower, other.lower), max(one.upper, other.upper))
