"""Which requests count as lost: those unseen, and those that one version alone has missed."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.evidence import Evidence
from flows.look.read_evidence import read_evidence
from flows.plan.from_spec import plan_of
from flows.spec.experiment import Experiment
from flows.warehouse.connection import open_reader, open_writer, transaction
from tests.builders.small_warehouse import BUCKET, CHECKOUT, START, small_warehouse

SPEC = Experiment.model_validate(CHECKOUT)
START_MS = round(START.timestamp() * 1000)
# What small_warehouse has seen, cancelled and injected ones included.
STABLE, CANARY, UNSEEN = 212.0, 104.0, 12.5


def lost_share(path: Path, **gaps: list[tuple[int, float]]) -> dict[str, float]:
    """gaps: by variant, in which bucket each ended, and the requests that were counted over it."""
    small_warehouse(path)
    with open_writer(path) as con, transaction(con):
        for variant, events in gaps.items():
            for bucket, requests in events:
                con.execute(
                    "insert into exposure_lost values ('checkout', ?, ?, ?, 'gap', 1, ?)",
                    [START, START + bucket * BUCKET, variant, requests],
                )
    return dict(evidence_of(path).coverage.lost_share)


def evidence_of(path: Path) -> Evidence:
    plan = plan_of(SPEC, start_ms=START_MS)
    with open_reader(path) as con:
        return read_evidence(con, SPEC, plan, at_ms=START_MS + 9 * BUCKET.seconds * 1000)


def test_what_was_counted_over_a_shared_gap_is_not_compared(tmp_path: Path) -> None:
    path = tmp_path / "w.duckdb"
    lost_share(path)
    before = evidence_of(path).requests
    with open_writer(path) as con, transaction(con):
        con.execute("update exposure_lost set cause = 'gap', bucket_start = ?", [START])
        con.execute("insert into exposure_lost values "
                    "('checkout', ?, ?, 'stable', 'gap', 1, 9)", [START, START])  # fmt: skip
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
