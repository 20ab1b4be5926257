"""Series that show no harm and may hide some don't pass; what only looks so does.

Covers analysis.kayenta.doubtful_pass, flows.kayenta.value_warnings.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.arrays import FloatArray
from flows.formats.problems import InputError
from flows.kayenta.judge_files import judge_files
from flows.kayenta.judgement_document import JudgeKind, JudgementDocument
from tests.builders.canary_files import canary_config, metric

N = 60
NOISE = np.random.default_rng(1).normal(0, 3, (2, N))
USUAL, ALIKE = 100 + NOISE
COUNTS = np.cumsum(np.random.default_rng(2).poisson([[10], [14]], (2, N)), axis=1).astype(float)
NAN, LATE, SOME = np.nan, slice(12, N), slice(0, N, 12)


def _judged(
    folder: Path, control: FloatArray, experiment: FloatArray, judge: JudgeKind, **other: Any
) -> JudgementDocument:
    way = other.pop("direction", "increase")
    config, values = folder / "canary.json", folder / "values.json"
    config.write_text(json.dumps(canary_config(metric("a", direction=way))))
    sides = [
        [None if np.isnan(value) else value for value in side.tolist()]
        for side in (control, experiment)
    ]
    pair = {"name": "a", "values": {"control": sides[0], "experiment": sides[1]}, **other}
    values.write_text(json.dumps([pair]))
    return judge_files(config, values, judge=judge)


def _where(chosen: slice, values: FloatArray, other: float) -> FloatArray:
    found = values.copy()
    found[chosen] = other
    return found


@pytest.mark.parametrize(
    ("control", "experiment", "kind", "by_kayenta"),
    [
        (_where(LATE, USUAL, NAN), _where(LATE, ALIKE, 1000), "unpaired", False),
        (_where(SOME, USUAL, NAN), _where(SOME, ALIKE, 1000), "unpaired", False),
        (5000 + COUNTS[0], COUNTS[1], "counter", True),
        (5000 + COUNTS[0], 5000 + COUNTS[0], "counter", True),
        (2 * USUAL, ALIKE / 400, "other_unit", True),
        (np.array([200.0, 210, 205]), np.array([0.5, 0.51, 0.5]), "other_unit", True),
    ],
)  # fmt: skip
def test_what_may_hide_harm_does_not_pass(
    control: FloatArray, experiment: FloatArray, kind: str, by_kayenta: bool, tmp_path: Path
) -> None:
    found = _judged(tmp_path, control, experiment, JudgeKind.VERDICT)
    assert (found.decision.value, found.exit_code) == ("uncertain", 3)
    (said,) = [one.message for one in found.metrics[0].warnings if one.message in found.reason]
    assert kind in {one.kind for one in found.metrics[0].warnings}, said
    theirs = _judged(tmp_path, control, experiment, JudgeKind.KAYENTA)
    assert (kind in {one.kind for one in theirs.metrics[0].warnings}) == by_kayenta


@pytest.mark.parametrize(
    ("control", "experiment", "kinds"),
    [
        (USUAL, ALIKE, set()),
        (_where(SOME, USUAL, NAN), ALIKE, set()),
        (USUAL, _where(SOME, ALIKE, NAN), set()),
        (np.linspace(100, 200, N) + NOISE[0], np.linspace(100, 200, N) + NOISE[1], set()),
        (np.sort(USUAL), ALIKE[::-1] * 0.9, set()),
        (np.repeat([0.0, 1.0], [N - 1, 1]), np.repeat([0.0, 1.0], [N - 1, 1]), set()),
        (np.full(N, 7.0), np.full(N, 7.0), set()),
        (USUAL, ALIKE / 99, set()),
        (USUAL, np.zeros(N), {"dead_experiment"}),
        (np.zeros(N), np.zeros(N), set()),
        (USUAL, USUAL * 1.05, {"allowed"}),
    ],
)
def test_what_is_alike_or_better_passes(
    control: FloatArray, experiment: FloatArray, kinds: set[str], tmp_path: Path
) -> None:
    found = _judged(tmp_path, control, experiment, JudgeKind.VERDICT)
    assert found.decision.value == "pass", found.reason
    assert {one.kind.value for one in found.metrics[0].warnings} == kinds


@pytest.mark.parametrize(("way", "said"), [("decrease", True), ("increase", False)])
def test_a_sure_fall_within_the_default_margin_is_said(
    way: str, said: bool, tmp_path: Path
) -> None:
    """A success rate of 92 % beside 99.9 % is within 10 %."""
    found = _judged(
        tmp_path, 0.999 + NOISE[0] / 1e4, 0.92 + NOISE[1] / 1e3, JudgeKind.VERDICT, direction=way
    )
    assert found.decision.value == "pass"
    assert ("allowed" in {one.kind.value for one in found.metrics[0].warnings}) == said


def test_intervals_of_another_length_are_no_pairs(tmp_path: Path) -> None:
    scopes = {"control": {"stepMillis": 60_000}, "experiment": {"stepMillis": 30_000}}
    with pytest.raises(InputError, match="has an interval of 60 s in the control and of 30 s in"):
        _judged(tmp_path, USUAL, ALIKE, JudgeKind.VERDICT, scopes=scopes)
    assert _judged(tmp_path, USUAL, ALIKE, JudgeKind.KAYENTA, scopes=scopes).exit_code == 0
    scopes["control"]["stepMillis"] = 30_000
    assert _judged(tmp_path, USUAL, ALIKE, JudgeKind.VERDICT, scopes=scopes).exit_code == 0
