"""Which requests count as lost: those unseen, and those that one version alone has missed."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.look_evidence import read_evidence
from flows.look_plan import plan_of
from flows.spec import Experiment
from flows.warehouse import open_reader, open_writer, transaction
from tests.flows.small_warehouse import BUCKET, CHECKOUT, START, small_warehouse

SPEC = Experiment.model_validate(CHECKOUT)
START_MS = round(START.timestamp() * 1000)
# What small_warehouse has seen, cancelled and injected ones included.
STABLE, CANARY, UNSEEN = 212.0, 104.0, 12.5


def lost_share(path: Path, **gaps: float) -> dict[str, float]:
    small_warehouse(path)
    with open_writer(path) as con, transaction(con):
        for variant, requests in gaps.items():
            con.execute(
                "insert into exposure_lost values ('checkout', ?, ?, ?, 'gap', 1, ?)",
                [START, START, variant, requests],
            )
    plan = plan_of(SPEC, start_ms=START_MS)
    with open_reader(path) as con:
        evidence = read_evidence(con, SPEC, plan, at_ms=START_MS + 4 * BUCKET.seconds * 1000)
    return dict(evidence.coverage.lost_share)


def test_a_gap_of_all_versions_loses_nothing(tmp_path: Path) -> None:
    found = lost_share(tmp_path / "w.duckdb", stable=STABLE / 2, canary=CANARY / 2)
    assert found["stable"] == 0
    assert found["canary"] == pytest.approx(UNSEEN / (CANARY + UNSEEN))


def test_a_gap_of_one_version_counts_as_lost(tmp_path: Path) -> None:
    found = lost_share(tmp_path / "w.duckdb", stable=STABLE / 2)
    assert found["stable"] == pytest.approx(0.5 / 1.5)
    assert found["canary"] == pytest.approx(UNSEEN / (CANARY + UNSEEN))


def test_what_one_version_has_missed_beyond_the_other_counts(tmp_path: Path) -> None:
    found = lost_share(tmp_path / "w.duckdb", stable=STABLE / 4, canary=CANARY / 2)
    beyond = UNSEEN + CANARY / 4
    assert found == {
        "stable": 0,
        "canary": pytest.approx(beyond / (CANARY + beyond)),
        "unattributed": pytest.approx(3 / (STABLE + CANARY + 3)),
    }
