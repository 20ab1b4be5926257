"""What a look reads of requests: those that are lost, pods, and edges as its metrics count them."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from analysis.evidence import Evidence
from flows.ingest.pulled_windows import PulledWindows
from flows.look.read_evidence import read_evidence
from flows.plan.from_spec import plan_of
from flows.spec.experiment import Experiment
from flows.warehouse.connection import open_reader, open_writer, transaction
from tests.builders.kept_for_pods import keep_for_pods
from tests.builders.small_warehouse import BUCKET, CHECKOUT, START, small_warehouse
from tests.builders.written_samples import write_samples

SPEC = Experiment.model_validate(CHECKOUT)
# With a candidate that has no traffic yet.
VARIANTS = {"stable": {"version": "v1"}, "canary": {"version": "v2"}, "later": {"version": "v3"}}
THREE = Experiment.model_validate({**CHECKOUT, "variants": VARIANTS, "plan": {"duration": "30m"}})
START_MS = round(START.timestamp() * 1000)
# What small_warehouse has seen, cancelled and injected ones included.
STABLE, CANARY, UNSEEN = 212.0, 104.0, 12.5


def lost_share(
    path: Path, spec: Experiment = SPEC, /, **gaps: list[tuple[int, float]]
) -> dict[str, float]:
    """gaps: by variant, in which bucket each ended, and the requests that were counted over it."""
    small_warehouse(path)
    with open_writer(path) as con, transaction(con):
        for variant, events in gaps.items():
            for bucket, requests in events:
                con.execute(
                    "insert into exposure_lost values ('checkout', ?, ?, ?, 'gap', 1, ?, '')",
                    [START, START + bucket * BUCKET, variant, requests],
                )
    return dict(evidence_of(path, spec).coverage.lost_share)


def evidence_of(path: Path, spec: Experiment = SPEC) -> Evidence:
    plan = plan_of(spec, start_ms=START_MS)
    with open_reader(path) as con:
        return read_evidence(
            con, spec, plan, PulledWindows.of(con, spec), at_ms=START_MS + 9 * BUCKET.seconds * 1000
        )


def test_what_was_counted_over_a_shared_gap_is_not_compared(tmp_path: Path) -> None:
    path = tmp_path / "w.duckdb"
    lost_share(path)
    before = evidence_of(path).requests
    with open_writer(path) as con, transaction(con):
        con.execute("update exposure_lost set cause = 'gap', bucket_start = ?", [START])
        con.execute("insert into exposure_lost values "
                    "('checkout', ?, ?, 'stable', 'gap', 1, 9, '')", [START, START])  # fmt: skip
    after = evidence_of(path).requests
    assert before is not None
    assert after is not None
    assert before.counts["stable"].total[0].sum() == 200
    assert after.counts["stable"].total[0].sum() == 0
    assert after.requests["stable"].sum() == 0


@pytest.mark.parametrize("later", [0, 1])
def test_a_gap_of_all_versions_loses_nothing(tmp_path: Path, later: int) -> None:
    found = lost_share(tmp_path / "w.duckdb", stable=[(2, 100)], canary=[(2 + later, 10)])
    assert found["stable"] == 0
    assert found["canary"] == pytest.approx(UNSEEN / (CANARY + UNSEEN))


def test_a_gap_of_one_version_counts_as_lost(tmp_path: Path) -> None:
    found = lost_share(tmp_path / "w.duckdb", stable=[(2, 100)])
    assert found["stable"] == pytest.approx(100 / (STABLE + 100))
    assert found["canary"] == pytest.approx(UNSEEN / (CANARY + UNSEEN))


def test_gaps_at_other_times_are_not_shared(tmp_path: Path) -> None:
    found = lost_share(tmp_path / "w.duckdb", stable=[(2, 100)], canary=[(4, 10)])
    assert found == {
        "stable": pytest.approx(100 / (STABLE + 100)),
        "canary": pytest.approx((UNSEEN + 10) / (CANARY + UNSEEN + 10)),
        "unattributed": pytest.approx(3 / (STABLE + CANARY + 3)),
    }


def test_a_candidate_without_requests_hides_nothing_of_another(tmp_path: Path) -> None:
    """Slow requests of no version were known until every candidate had some."""
    two, three = (
        evidence_of(small_warehouse(tmp_path / name), spec).requests
        for name, spec in (("two.duckdb", SPEC), ("three.duckdb", THREE))
    )
    assert two is not None
    assert three is not None
    assert two.edges_ms["p99"] == 100
    assert (three.metrics, three.edges_ms, three.choices) == (
        two.metrics,
        two.edges_ms,
        two.choices,
    )
    for variant in ("stable", "canary"):
        assert three.counts[variant].total.tolist() == two.counts[variant].total.tolist()
        assert three.counts[variant].bad.tolist() == two.counts[variant].bad.tolist()
    assert three.counts["later"].total.sum() == 0


def test_a_candidate_without_requests_shows_no_gap(tmp_path: Path) -> None:
    gaps = {"stable": [(2, 100.0)], "canary": [(2, 10.0)]}
    found = lost_share(tmp_path / "w.duckdb", THREE, **gaps)
    assert found["stable"] == 0
    assert found["canary"] == pytest.approx(UNSEEN / (CANARY + UNSEEN))


def test_a_gap_of_the_baseline_alone_counts_as_lost_whatever_another_has(tmp_path: Path) -> None:
    found = lost_share(tmp_path / "w.duckdb", THREE, stable=[(2, 100)])
    assert found["stable"] == pytest.approx(100 / (STABLE + 100))


# variant, pod, outcome, flags, then (seconds after the start, requests)
Row = tuple[str, str, str, str, list[tuple[int, int]]]
ROWS: list[Row] = [
    ("canary", "canary-a", "success", "", [(0, 1000), (15, 90), (30, 80)]),
    ("canary", "canary-a", "failure", "", [(15, 10), (61, 1000)]),
    ("canary", "canary-a", "injected", "DI,FI", [(15, 7)]),
    ("canary", "canary-a", "abandoned", "", [(15, 5)]),
    ("canary", "canary-b", "success", "", [(15, 50)]),
    ("stable", "stable-a", "success", "", [(15, 500), (60, 400)]),
    ("unattributed", "gateway", "failure", "", [(15, 3)]),
]


def _warehouse(path: Path, rows: list[Row]) -> Path:
    with open_writer(path) as con, transaction(con):
        for i, (variant, pod, outcome, flags, counts) in enumerate(rows):
            con.execute(
                "insert into series values "
                "('checkout', ?, 'x', 'requests', ?, ?, '', ?, '', '', ?, null, '{}', '')",
                [i, variant, pod, outcome, flags],
            )
            times = [(START + timedelta(seconds=seconds), requests) for seconds, requests in counts]
            write_samples(con, "checkout", [(START, i, at, n, n, 0) for at, n in times])
        keep_for_pods(con)
    return path


def _pods(path: Path, at: datetime) -> dict[str, dict[str, tuple[float, float]]]:
    plan = plan_of(SPEC, start_ms=START_MS)
    with open_reader(path) as con:
        evidence = read_evidence(
            con, SPEC, plan, PulledWindows.of(con, SPEC), at_ms=round(at.timestamp() * 1000)
        )
    assert evidence.requests is not None
    assert set(evidence.requests.pods) <= {"errors"}
    return {
        variant: {
            name: (total, bad)
            for name, total, bad in zip(
                pods.names, pods.total.tolist(), pods.bad.tolist(), strict=True
            )
        }
        for variant, pods in evidence.requests.pods.get("errors", {}).items()
    }


def test_pods_count_answers_of_the_looks_window_without_injected_faults(tmp_path: Path) -> None:
    path = _warehouse(tmp_path / "w.duckdb", ROWS)
    found = _pods(path, START + timedelta(seconds=60))
    assert found == {
        "canary": {"canary-a": (180, 10), "canary-b": (50, 0)},
        "stable": {"stable-a": (900, 0)},
    }


def test_pods_are_counted_in_stretches_of_five_minutes(tmp_path: Path) -> None:
    """A sample at the end of a stretch belongs to it."""
    late: Row = ("canary", "canary-b", "failure", "", [(300, 4), (301, 5)])
    path = _warehouse(tmp_path / "w.duckdb", [*ROWS, late])
    plan = plan_of(SPEC, start_ms=START_MS)
    with open_reader(path) as con:
        evidence = read_evidence(
            con, SPEC, plan, PulledWindows.of(con, SPEC), at_ms=START_MS + 330_000
        )
    assert evidence.requests is not None
    found = evidence.requests.pods["errors"]["canary"].stretches
    assert found is not None
    assert found.total.tolist() == [[1180, 0], [54, 5]]
    assert found.bad.tolist() == [[1010, 0], [4, 5]]


def test_a_target_that_answers_for_both_versions_is_no_pod(tmp_path: Path) -> None:
    gateway: Row = ("stable", "canary-a", "success", "", [(15, 500)])
    path = _warehouse(tmp_path / "w.duckdb", [*ROWS, gateway])
    assert _pods(path, START + timedelta(seconds=60)) == {}


def test_without_samples_no_pods_are_known(tmp_path: Path) -> None:
    path = _warehouse(tmp_path / "w.duckdb", [])
    assert _pods(path, START + timedelta(seconds=60)) == {}


def test_requests_are_not_slow_while_a_version_lacks_the_edge(tmp_path: Path) -> None:
    """A rollout in the middle takes the edge at 100 ms away: there nothing is known at it.

    Left out, they would vanish from the comparison; they may have been slow, or not.
    """
    inf = float("inf")
    rows = [
        (0, variant, edge, at_most)
        for variant in ("canary", "stable")
        for edge, at_most in ((100.0, 90), (inf, 100))
    ]
    rows += [(15, "stable", 100.0, 90), (15, "stable", inf, 100), (15, "canary", inf, 100)]
    with open_writer(tmp_path / "w.duckdb") as con, transaction(con):
        con.executemany(
            "insert into latency_buckets values ('checkout', ?, ?, ?, ?, ?, 0, '')",
            [(START, START + timedelta(seconds=at), *row) for at, *row in rows],
        )
    plan = plan_of(SPEC, start_ms=START_MS)
    with open_reader(tmp_path / "w.duckdb") as con:
        evidence = read_evidence(
            con, SPEC, plan, PulledWindows.of(con, SPEC), at_ms=START_MS + 30_000
        )
    assert evidence.requests is not None
    slow = evidence.requests.metrics.index("p99")
    canary, stable = (evidence.requests.counts[name] for name in ("canary", "stable"))
    assert canary.total[slow].tolist() == [100, 100]
    assert canary.bad[slow].tolist() == [10, 0]
    assert evidence.requests.unknown["canary"][slow].tolist() == [0, 100]
    assert stable.bad[slow].tolist() == [10, 10]
