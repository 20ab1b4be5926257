"""What all metrics have in common: that no harm was seen shows health only where some could be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from analysis.judge.judge_metrics import with_room_for_harm
from analysis.metric_result import Classification, Estimate, Objective
from analysis.plan import Role
from tests.builders.metric_results import ERRORS


def _objective(state: Classification) -> Objective:
    return Objective(0.98, Estimate(0.97, 0.96, 0.979), state, shared=False)


@pytest.mark.parametrize(
    ("baseline", "candidate", "margin", "changes", "is_known"),
    [
        (1.0, 1.0, 0.005, {}, False),
        (0.999, 0.998, 0.005, {}, False),
        (0.98, 0.98, 0.005, {}, True),
        (1.0, 0.01, 0.005, {}, True),  # it mends what failed
        (0.0, 0.0, 0.005, {}, True),
        (0.9, 0.9, 0.18, {}, False),  # 20 % of 90 %
        (0.003, 0.001, 0.005, {"higher_is_better": True}, False),
        (0.003, 0.02, 0.005, {"higher_is_better": True}, True),
        (0.2, 0.2, 0.005, {"higher_is_better": True}, True),
        (1.0, 1.0, 0.005, {"role": Role.INFO}, True),
        (1.0, 1.0, 0.005, {"is_share": False}, True),
        (0.97, 0.97, 0.05, {"objective": _objective(Classification.PASS)}, True),
        (0.97, 0.97, 0.05, {"objective": _objective(Classification.UNCERTAIN)}, False),
        (1.0, 1.0, 0.005, {"classification": Classification.FAIL}, True),
    ],
)
def test_a_margin_that_no_harm_can_exceed_shows_nothing(
    baseline: float, candidate: float, margin: float, changes: dict[str, object], is_known: bool
) -> None:
    result = replace(
        ERRORS,
        **{"classification": Classification.PASS, **changes},  # type: ignore[arg-type]
        baseline=baseline,
        candidate=candidate,
        margin=margin,
    )
    found = with_room_for_harm(result)
    assert (found is result) == is_known
    if not is_known:
        assert found.classification is Classification.NO_DATA
        assert found.unknown is not None
        assert f"no harm can exceed the margin of {100 * margin:.2f} points" in found.unknown
