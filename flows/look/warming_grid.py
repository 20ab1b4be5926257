"""Slow requests of pods that started a moment ago, laid out on the buckets of a look."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis.plan import Plan
from analysis.requests.bucket_counts import BucketCounts
from flows.formats.time import instant, milliseconds_of
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
    times_ms = [milliseconds_of(began) for _, began in begun]
    rows = columns_of(
        con,
        "aggregate/look_warming",
        experiment=spec.experiment,
        targets=[target for target, _ in begun],
        began=[began for _, began in begun],
        # Only as much as can be of a warm-up: the rest of the samples isn't read.
        since=instant(max(plan.start_ms, min(times_ms) - 1)),
        until=instant(min(until_ms, max(times_ms) + plan.warm_up_ms)),
        warm_up_ms=plan.warm_up_ms,
        bucket_ms=plan.bucket_ms,
        cohort=of.cohort,
        borrowed=of.borrowed,
    )
    start = rows["bucket_start"].astype("datetime64[ms]").astype(np.int64)
    index = (start - plan.start_ms) // plan.bucket_ms
    found = {}
    for variant in (plan.baseline, *plan.candidates):
        own = rows["variant"] == variant
        total, bad = np.zeros((2, len(edges), buckets))
        for i, edge in enumerate(edges):
            if edge is None or not own.any():
                continue
            total[i], fast = (
                on_grid(rows["at_most"][keep], (index[keep],), (buckets,))
                for keep in (own & (rows["le_ms"] == le_ms) for le_ms in (np.inf, edge))
            )
            bad[i] = np.where(total[i] > 0, np.maximum(total[i] - fast, 0.0), 0.0)
        if total.any():
            found[variant] = BucketCounts(total, bad)
    return found
