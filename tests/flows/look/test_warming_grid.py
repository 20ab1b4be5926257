"""Requests of pods that start after the plan's own warm-up, from the counters' samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analysis.counting.counters import Reason
from analysis.requests.bucket_counts import BucketCounts
from flows.formats.time import milliseconds_of
from flows.look.rows_of import EVERYBODY, RowsOf
from flows.look.warming_grid import read_warming
from flows.plan.from_spec import plan_of
from flows.spec.experiment import Experiment
from flows.warehouse.connection import open_writer, transaction
from tests.builders.kept_for_pods import keep_for_pods
from tests.builders.small_warehouse import BUCKET, CHECKOUT, INFINITY, START
from tests.builders.written_samples import write_samples

SPEC = Experiment.model_validate(CHECKOUT | {"plan": {"start": START, "warm_up": "30s"}})
PLAN = plan_of(SPEC, start_ms=milliseconds_of(START))
BUCKETS = 40
# By pod and variant: why the sample of a bucket is what it is, where it isn't the usual reason.
Starts = dict[tuple[str, str], dict[int, Reason]]


def _warming(
    path: Path, starts: Starts, of: RowsOf = EVERYBODY, cohort: str = ""
) -> dict[str, BucketCounts]:
    """Each pod has 10 requests of the cohort a bucket, 4 of them slow, from its first bucket on."""
    series, samples = [], []
    for number, ((pod, variant), reasons) in enumerate(starts.items()):
        for le, delta in ((100.0, 6), (INFINITY, 10)):
            series_id = 10 * number + int(le == INFINITY)
            series.append(("latency_bucket", series_id, variant, cohort, pod, le))
            begin = min(reasons)
            samples += [
                (START, series_id, START + (i + 1) * BUCKET, 0.0, delta, int(reasons.get(i, 0)))
                for i in range(begin, BUCKETS)
            ]
    with open_writer(path) as con, transaction(con):
        con.executemany(
            "insert into series (experiment, metric, series_id, role, variant, cohort, target, "
            "route, outcome, response_code, grpc_status, response_flags, le_ms, labels) "
            "values ('checkout', ?, ?, 'latency', ?, ?, ?, '', 'success', '', '', '', ?, '{}')",
            series,
        )
        write_samples(con, "checkout", samples)
        keep_for_pods(con)
        return read_warming(con, SPEC, PLAN, BUCKETS, [None, 100.0], of)


CANARY, STABLE = ("10.0.0.2:15020", "canary"), ("10.0.0.1:15020", "stable")
OLD = {0: Reason.BASELINE}


@pytest.mark.parametrize(
    ("starts", "expected"),
    [
        ({STABLE: OLD, CANARY: OLD}, {}),
        # Within the plan's own warm-up.
        ({STABLE: OLD, CANARY: {0: Reason.BIRTH}}, {}),
        ({STABLE: OLD, CANARY: OLD | {20: Reason.RESTART}}, {"canary": (20, 22)}),
        ({STABLE: OLD, CANARY: OLD | {20: Reason.RESET}}, {"canary": (20, 22)}),
        ({STABLE: OLD, CANARY: {20: Reason.BIRTH}}, {"canary": (20, 22)}),
        ({STABLE: OLD | {10: Reason.RESTART}, CANARY: OLD}, {"stable": (10, 12)}),
        # Nobody saw it start; a new kind of answer; a pod that crashes in a loop has one warm-up.
        ({STABLE: OLD, CANARY: {20: Reason.BASELINE}}, {}),
        ({STABLE: OLD, CANARY: OLD | {20: Reason.BIRTH}}, {}),
        (
            {STABLE: OLD, CANARY: OLD | dict.fromkeys(range(10, 40, 2), Reason.RESTART)},
            {"canary": (10, 12)},
        ),
        # A gateway answers for both.
        ({STABLE: OLD, ("10.0.0.1:15020", "canary"): OLD | {20: Reason.RESTART}}, {}),
    ],
)
def test_which_requests_are_of_pods_that_warm_up(
    starts: Starts, expected: dict[str, tuple[int, int]], tmp_path: Path
) -> None:
    found = _warming(tmp_path / "w.duckdb", starts)
    assert set(found) == set(expected)
    for variant, (begin, end) in expected.items():
        total, bad = np.zeros((2, BUCKETS)), np.zeros((2, BUCKETS))
        total[1, begin:end], bad[1, begin:end] = 10, 4
        assert found[variant].total.tolist() == total.tolist()
        assert found[variant].bad.tolist() == bad.tolist()


@pytest.mark.parametrize(
    ("of", "found"),
    [
        (EVERYBODY, {"canary"}),
        (RowsOf("premium"), {"canary"}),
        # What another cohort's pods served late excuses nothing in this one.
        (RowsOf("standard"), set()),
        (RowsOf("standard", "stable"), set()),
        (RowsOf("standard", "canary"), {"canary"}),
    ],
)
def test_a_cohort_is_excused_by_its_own_requests_only(
    of: RowsOf, found: set[str], tmp_path: Path
) -> None:
    starts: Starts = {STABLE: OLD, CANARY: OLD | {20: Reason.RESTART}}
    assert set(_warming(tmp_path / "w.duckdb", starts, of, "premium")) == found
