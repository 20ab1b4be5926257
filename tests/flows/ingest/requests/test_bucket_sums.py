"""Sums by bucket: as exact as sums of the samples themselves, however sparse they are."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

from flows.ingest.requests.bucket_sums import sums_by_cell, sums_table
from flows.ingest.requests.counts import WindowCounts
from flows.ingest.requests.mesh.family import SeriesRole
from flows.ingest.requests.series import SeriesRow
from flows.ingest.requests.windows import Window

HOUR = 3_600_000


@pytest.mark.parametrize("cells", [50, 1_000_000])
def test_every_cell_with_a_sample_has_its_sum_and_no_other_is_named(cells: int) -> None:
    rng = np.random.default_rng(7)
    cell = rng.choice(np.arange(0, cells, 2), 400)
    amount = rng.integers(0, 3, 400).astype(np.float64)

    found, sums = sums_by_cell(cell, amount, cells)

    assert found.tolist() == sorted(set(cell.tolist()))
    assert sums.tolist() == [amount[cell == one].sum() for one in found]


def test_nothing_adds_up_to_nothing() -> None:
    none = np.zeros(0, np.int64)
    found, sums = sums_by_cell(none, np.zeros(0), 10)
    assert (len(found), len(sums)) == (0, 0)


def row(number: int, role: SeriesRole = SeriesRole.REQUESTS, code: str = "200") -> SeriesRow:
    return SeriesRow(
        series_id=number,
        metric="m",
        role=role,
        variant="canary",
        cohort="",
        target=f"pod{number}",
        route="",
        outcome="success",
        response_code=code,
        grpc_status="",
        response_flags="",
        cut_off=False,
        le_ms=None,
        labels="{}",
    )


def window(start_ms: int, series: list[int], ts_ms: list[int], delta: list[float]) -> WindowCounts:
    return WindowCounts(
        Window(start_ms, start_ms + HOUR),
        np.searchsorted(series, np.arange(6)).astype(np.int64),
        np.array(ts_ms, np.int64),
        np.zeros(len(series)),
        np.array(delta, np.float64),
        np.zeros(len(series), np.uint8),
        (),
        0,
    )


def test_pods_of_one_response_are_one_and_edges_of_histograms_stay_apart() -> None:
    latency = SeriesRole.LATENCY
    rows = [row(11), row(12), row(13, code="503"), row(14, latency), row(15, latency)]
    written = [
        window(0, [0, 0, 1, 2, 3, 4], [15_000, 15_001, 1, HOUR, 5, 5], [1, 2, 4, 8, 16, 0]),
        window(HOUR, [1, 4], [HOUR + 1, 2 * HOUR], [32, 64]),
    ]

    found = sums_table(rows, written, 15_000)

    sums = defaultdict[tuple[int, int, int], float](float)
    for window_start, bucket, series, delta in zip(
        *(found[name].cast("int64").to_pylist() for name in ("window_start", "bucket_start")),
        found["series_id"].to_pylist(),
        found["delta"].to_pylist(),
        strict=True,
    ):
        sums[window_start, bucket, series] += delta
    assert sums == {
        (0, 0, 11): 1 + 4,
        (0, 15_000, 11): 2,
        (0, HOUR - 15_000, 13): 8,
        (0, 0, 14): 16,
        (0, 0, 15): 0,
        (HOUR, HOUR, 11): 32,
        (HOUR, 2 * HOUR - 15_000, 15): 64,
    }
    assert len(found) == len(sums)
