"""A look's latency table, from the warehouse into the verdict and the views."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from flows.look.evaluate import score_experiment
from flows.look.request_grid import RequestGrid
from flows.look.verdict_document import VerdictDocument, verdict_schema
from flows.plan.effective import plan_at
from flows.spec.experiment import Experiment
from flows.warehouse.connection import open_reader, open_writer, transaction
from tests.builders.small_warehouse import BUCKET, CHECKOUT, INFINITY, START

SPEC = Experiment.model_validate(CHECKOUT | {"plan": {"start": START}})
# variant: edge, requests at most so slow in each bucket
Counts = dict[str, list[tuple[float, int]]]
EQUAL: Counts = {
    "stable": [(5, 40), (100, 190), (INFINITY, 200)],
    "canary": [(5, 20), (100, 95), (INFINITY, 100)],
}
SLOWER: Counts = {
    "stable": [(5, 100), (100, 190), (INFINITY, 200)],
    "canary": [(5, 10), (100, 60), (INFINITY, 100)],
}
BUCKETS = 40


def _warehouse(path: Path, counts: Counts) -> Path:
    rows = [
        (START, START + i * BUCKET, variant, le, at_most)
        for i in range(BUCKETS)
        for variant, edges in counts.items()
        for le, at_most in edges
    ]
    with open_writer(path) as con, transaction(con):
        con.executemany(
            "insert into latency_buckets values ('checkout', ?, ?, ?, ?, ?, 0, '')", rows
        )
    return path


def _look(path: Path, counts: Counts) -> VerdictDocument:
    return score_experiment(SPEC, _warehouse(path, counts), at=START + BUCKETS * BUCKET)


def test_equal_latencies_are_shown_without_a_note(tmp_path: Path) -> None:
    document = _look(tmp_path / "w.duckdb", EQUAL)
    (table,) = document.latency
    assert (table.requests_baseline, table.requests_candidate) == (200 * BUCKETS, 100 * BUCKETS)
    shares = [(row.edge_ms, row.baseline, row.candidate) for row in table.slower_than]
    assert shares == [(5, pytest.approx(0.8), pytest.approx(0.8)), (100, 0.05, 0.05)]
    assert not any("latencies" in note for note in document.notes)
    median = table.quantiles[0]
    assert (median.baseline.lower_ms, median.baseline.upper_ms) == (5, 100)


def test_slower_candidate_is_noted_and_decides_nothing_by_itself(tmp_path: Path) -> None:
    document = _look(tmp_path / "w.duckdb", SLOWER)
    edges = "p99: slow is slower than 100 ms, not 80 ms as asked for: "
    assert document.notes == (
        f"{edges}the next bucket edge that all versions export",
        "canary's latencies are slower than stable's at every edge (5 to 100 ms)",
    )


def test_edge_that_a_rollout_brings_is_named(tmp_path: Path) -> None:
    path = _warehouse(tmp_path / "w.duckdb", EQUAL)
    with open_writer(path) as con:
        con.execute(
            "update latency_buckets set le_ms = 50 "
            "where variant = 'canary' and le_ms = 5 and bucket_start >= ?",
            [START + 20 * BUCKET],
        )
    document = score_experiment(SPEC, path, at=START + BUCKETS * BUCKET)
    (table,) = document.latency
    assert (table.dropped_baseline, table.dropped_candidate) == ((5,), (5, 50))
    assert [row.edge_ms for row in table.slower_than] == [100]
    assert "the edges 5 ms of stable and 5, 50 ms of canary" in document.notes[1]


def test_same_look_gives_the_same_bytes_and_follows_the_schema(tmp_path: Path) -> None:
    path = tmp_path / "w.duckdb"
    first = _look(path, SLOWER).to_json()
    assert score_experiment(SPEC, path, at=START + BUCKETS * BUCKET).to_json() == first
    jsonschema.validate(json.loads(first), json.loads(verdict_schema()))


def test_version_without_latency_has_no_table(tmp_path: Path) -> None:
    assert _look(tmp_path / "w.duckdb", {"stable": EQUAL["stable"]}).latency == ()


def test_early_look_has_open_ends(tmp_path: Path) -> None:
    path = _warehouse(tmp_path / "w.duckdb", EQUAL)
    document = score_experiment(SPEC, path, at=START + timedelta(seconds=15))
    data: dict[str, Any] = json.loads(document.to_json())
    p99 = data["latency"][0]["quantiles"][-1]
    assert p99["candidate"]["upper_ms"] is None
    assert p99["difference"]["lower"] is None


def test_views_show_what_the_verdict_says(tmp_path: Path) -> None:
    path = tmp_path / "w.duckdb"
    (table,) = _look(path, SLOWER).latency
    with open_reader(path) as con:
        quantiles = con.execute(
            "select candidate, quantile, baseline_lower_ms, candidate_upper_ms, "
            "difference_lower_ms, difference_interpolated_ms from marts.latency_quantiles "
            "order by quantile"
        ).fetchall()
        shares = con.execute(
            "select edge_ms, candidate_share, difference_lower, candidate_requests "
            "from marts.slower_shares order by edge_ms"
        ).fetchall()
    finite = [
        tuple(None if value in {INFINITY, -INFINITY} else value for value in row)
        for row in (
            (
                "canary",
                row.quantile,
                row.baseline.lower_ms,
                row.candidate.upper_ms,
                row.difference.lower,
                row.difference.value,
            )
            for row in table.quantiles
        )
    ]
    assert quantiles == finite
    assert shares == [
        (row.edge_ms, row.candidate, row.difference.lower, table.requests_candidate)
        for row in table.slower_than
    ]


@pytest.mark.parametrize("described", [(), ("200",), ("200", "503")])
def test_kinds_of_response_are_known_with_and_without_their_series(
    tmp_path: Path, described: tuple[str, ...]
) -> None:
    kinds = {"200": ("success", 90), "503": ("failure", 10)}
    with open_writer(tmp_path / "w.duckdb") as con:
        for code, (outcome, requests) in kinds.items():
            con.execute(
                "insert into request_buckets select 'checkout', ?, ?, "
                "unnest(['stable', 'canary']), '', ?, ?, '', '', ?, ''",
                [START, START, outcome, code, requests],
            )
        for number, code in enumerate(described):
            con.execute(
                "insert into series (experiment, series_id, metric, role, variant, target, route, "
                "outcome, response_code, grpc_status, response_flags, labels, cohort) values "
                "('checkout', ?, 'm', 'requests', 'stable', 't', '', ?, ?, '', '', '{}', '')",
                [number, kinds[code][0], code],
            )
        grid = RequestGrid(con, SPEC, plan_at(con, SPEC, at=START + BUCKET), 1)
    for variant in ("stable", "canary"):
        found = grid.responses[variant]
        assert [(kind.code, kind.outcome.value) for kind in found.kinds[:-1]] == [
            ("503", "failure"),
            ("200", "success"),
        ]
        assert found.counts[:, 0].tolist() == [10, 90, 0]
