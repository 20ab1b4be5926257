"""Slow requests of pods that started a moment ago: no proof of harm, and no reason to overlook any.

A process that starts compiles its code and fills its caches, whenever that is. So harm must be
proven without such requests, and a pass too, if the mean of all requests is within the margin as
well: a version whose pods are for ever starting isn't promoted for that. Where most of a version's
requests are such, they are judged as any.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from analysis.evidence import RequestEvidence
from analysis.metric_result import Classification, MetricResult
from analysis.requests.bucket_counts import BucketCounts

# Of a version's requests, beyond which starting is how it runs.
_MOST_WARMING = 0.5


def warming_metrics(evidence: RequestEvidence, variants: tuple[str, str]) -> list[str]:
    """The metrics of which some requests of either version are those of pods that warm up."""
    some = np.zeros(len(evidence.metrics), dtype=np.bool_)
    most = np.zeros_like(some)
    for variant in variants:
        warming = evidence.warming.get(variant)
        if warming is not None:
            left_out, all_of_them = (
                counts.total.sum(axis=1) for counts in (warming, evidence.counts[variant])
            )
            some |= left_out > 0
            most |= left_out > _MOST_WARMING * all_of_them
    return [name for name, is_one in zip(evidence.metrics, some & ~most, strict=True) if is_one]


def without_warming(evidence: RequestEvidence) -> RequestEvidence:
    """The same without the requests of pods that warm up."""
    counts, unknown = dict(evidence.counts), dict(evidence.unknown)
    for variant, warming in evidence.warming.items():
        total, bad = counts[variant].total.copy(), counts[variant].bad.copy()
        # Mostly no pod starts.
        at = np.flatnonzero(warming.total.any(axis=0))
        total[:, at] = np.maximum(total[:, at] - warming.total[:, at], 0.0)
        bad[:, at] = np.clip(bad[:, at] - warming.bad[:, at], 0.0, total[:, at])
        counts[variant] = BucketCounts(total, bad)
        if variant in unknown:
            unknown[variant] = np.minimum(unknown[variant], total - bad)
    return replace(evidence, counts=counts, unknown=unknown, warming={})


def agreed(whole: MetricResult, settled: MetricResult) -> MetricResult:
    """What holds of a metric, from all requests and from those without pods that warm up.

    A total failure is one whoever starts.
    """
    found, rest = whole.classification, settled.classification
    if whole.gross or whole.outage or found is rest:
        return whole
    if rest is Classification.PASS and whole.excess.value <= 0:
        return replace(
            settled,
            exposure_baseline=whole.exposure_baseline,
            exposure_candidate=whole.exposure_candidate,
        )
    if Classification.NO_DATA in (found, rest):
        return replace(whole, classification=Classification.NO_DATA)
    return replace(
        whole,
        classification=Classification.UNCERTAIN,
        since=None,
        objective=settled.objective,
        excess=replace(whole.excess, lower=min(whole.excess.lower, settled.excess.lower)),
    )


def notes_on_warming(evidence: RequestEvidence | None) -> Iterator[str]:
    """Which requests prove no harm."""
    for variant, warming in {} if evidence is None else evidence.warming.items():
        requests = warming.total.sum(axis=1).max(initial=0.0)
        if requests:
            yield (
                f"{requests:,.0f} requests of {variant} went to pods that had just started: slow "
                "ones among them prove no harm, but the mean of all must be within the margin"
            )
