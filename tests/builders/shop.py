"""A shop whose baseline has a history of a quarter of an hour, for tests of calibration."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from flows.calibration.calibration_document import CalibrationDocument
from flows.calibration.request_outcomes import HistoryDocument
from flows.spec.experiment import Experiment
from flows.warehouse.connection import open_writer, transaction

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
BUCKET = timedelta(seconds=15)
EDGES = (10.0, 100.0, 1000.0, float("inf"))
SHOP: dict[str, Any] = {
    "experiment": "shop",
    "service": "shop",
    "mesh": "istio",
    "variants": {"stable": {"version": "v1"}, "canary": {"version": "v2"}},
    "split": {"stable": 80, "canary": 20},
    "metrics": {
        "errors": {"kind": "error_share", "margin": 0.01, "objective": 0.05},
        "slow": {"kind": "slow_share", "above": "100ms", "margin": 0.02},
    },
    "plan": {"duration": "10m", "look_every": "30s", "minimum_duration": "2m"},
    "sources": {"requests": {"prometheus": "http://localhost:9090"}},
}


def shop_warehouse(
    path: Path,
    buckets: int = 60,
    skipped: tuple[int, ...] = (),
    latency_shares: tuple[float, ...] = (0.3, 0.6, 0.09, 0.01),
) -> Path:
    """About 1500 requests a bucket, 1 % failed, a tenth above 100 ms; all windows pulled."""
    rng = np.random.default_rng(11)
    requests, latency = [], []
    for number in range(buckets):
        total, at = int(rng.poisson(1500)), START + number * BUCKET
        failed = int(rng.binomial(total, 0.01))
        counts = (("success", "200", "", "", total - failed), ("failure", "503", "", "", failed))
        extra = (("injected", "503", "", "FI", 9), ("abandoned", "0", "", "DC", 4))
        cells = np.cumsum(rng.multinomial(total, latency_shares))
        if number in skipped:
            continue
        requests += [[START, at, "stable", "", *row] for row in (*counts, *extra)]
        latency += [
            [START, at, "stable", *row, 0] for row in zip(EDGES, cells.tolist(), strict=True)
        ]
        requests.append([START, at, "canary", "", "failure", "503", "", "", 77])
    with open_writer(path) as con, transaction(con):
        # Tables at once: row by row they take ten times as long.
        for table, rows in (("request_buckets", requests), ("latency_buckets", latency)):
            con.register("shop_rows", pd.DataFrame([["shop", *row] for row in rows]))
            con.execute(f"insert into {table} select *, '' from shop_rows")
            con.unregister("shop_rows")
        con.execute(
            "insert into pulls values ('shop', 'requests', ?, ?, 1, 10, 4, [], 'x', '')",
            [START, START + buckets * BUCKET],
        )
    return path


def spec(**changes: Any) -> Experiment:
    """The shop's, but for the changes."""
    return Experiment.model_validate({**SHOP, **changes})


def history_of(document: CalibrationDocument) -> HistoryDocument:
    """Of requests."""
    assert document.history is not None
    return document.history
