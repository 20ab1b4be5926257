"""Harm that was counted while no pod was scraped is no less than what was seen as it came.

Covers analysis.judge.over_gaps, too.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.verdict import Decision
from tests.builders.harm_traffic import HARMS, MESHES, TrafficCell, verdict_of

# What no proxy of the mesh counts, or is a tenth of the harm that others are.
_UNTOLD = {("envoy", "cut bodies")}
_CELLS = [
    TrafficCell(mesh, reporter, harm, "unseen")
    for mesh, reporter in MESHES
    for harm in HARMS
    if (mesh, harm) not in _UNTOLD
]


@pytest.mark.parametrize("cell", _CELLS, ids=str)
def test_harm_in_a_gap_of_all_scrapes_is_never_promoted(cell: TrafficCell, tmp_path: Path) -> None:
    found = verdict_of(cell, tmp_path)
    assert found.decision is Decision.HOLD, found.reasons
    # Pods are counted by five minutes, gap or not: they may differ by it.
    whys = ("counted over a gap", "pods of")
    assert any(why in reason for reason in found.reasons for why in whys), found.reasons


@pytest.mark.parametrize("mesh", MESHES, ids=str)
def test_a_healthy_candidate_is_promoted_over_a_gap(mesh: tuple[str, str], tmp_path: Path) -> None:
    found = verdict_of(TrafficCell(*mesh, "none", "unseen"), tmp_path)
    assert found.decision is Decision.PROMOTE, found.reasons
