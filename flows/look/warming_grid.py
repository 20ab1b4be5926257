"""Slow requests of pods that started a moment ago, laid out on the buckets of a look."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis.plan import Plan
from analysis.requests.bucket_counts import BucketCounts
from flows.formats.time import instant
from flows.ingest.requests.sample_runs import read_samples
from flows.look.on_grid import on_grid
from flows.look.rows_of import EVERYBODY, RowsOf
from flows.spec.experiment import Experiment
from flows.warehouse.statements import Connection, columns_of, run


def read_warming(
    con: Connection,
    spec: Experiment,
    plan: Plan,
    buckets: int,
    edges: Sequence[float | None],
    of: RowsOf = EVERYBODY,
) -> dict[str, BucketCounts]:
    """By variant that has some: [metrics, buckets], slow those above the metric's edge.

    edges: of each metric; None for those that don't count slow requests, as starting is no excuse
    for errors. of: whose requests are read.
    """
    if not plan.warm_up_ms or not any(edge is not None for edge in edges):
        return {}
    until_ms = plan.start_ms + buckets * plan.bucket_ms
    begun = run(
        con,
        "aggregate/begun_targets",
        experiment=spec.experiment,
        until=instant(until_ms),
        warm_until=instant(plan.start_ms + plan.warm_up_buckets * plan.bucket_ms),
    ).fetchall()
    if not begun:
        return {}
    began_ms = dict(begun)
    series = columns_of(
        con,
        "aggregate/warming_series",
        experiment=spec.experiment,
        targets=list(began_ms),
        cohort=of.cohort,
        borrowed=of.borrowed,
    )
    # Only as much as can be of a warm-up: the rest of the samples isn't read.
    first_ms = max(plan.start_ms, min(began_ms.values()) - 1)
    last_ms = min(until_ms, max(began_ms.values()) + plan.warm_up_ms - 1)
    ids = series["series_id"]
    samples = read_samples(con, spec.experiment, (first_ms, last_ms), ids)
    of_series = np.searchsorted(ids, samples.series_id)
    since_ms = np.array([began_ms[target] for target in series["target"]], np.int64)[of_series]
    warms_up = (samples.ts_ms >= since_ms) & (samples.ts_ms < since_ms + plan.warm_up_ms)
    of_series, at_most = of_series[warms_up], samples.delta[warms_up]
    index = (samples.ts_ms[warms_up] - 1 - plan.start_ms) // plan.bucket_ms
    variants, edge_of = series["variant"][of_series], series["le_ms"][of_series]
    found = {}
    for variant in (plan.baseline, *plan.candidates):
        own = variants == variant
        total, bad = np.zeros((2, len(edges), buckets))
        for i, edge in enumerate(edges):
            if edge is None or not own.any():
                continue
            total[i], fast = (
                on_grid(at_most[keep], (index[keep],), (buckets,))
                for keep in (own & (edge_of == le_ms) for le_ms in (np.inf, edge))
            )
            bad[i] = np.where(total[i] > 0, np.maximum(total[i] - fast, 0.0), 0.0)
        if total.any():
            found[variant] = BucketCounts(total, bad)
    return found
