"""Real incidents as series of values: our judge beside Kayenta's, on the same windows.

Nezha: the front's success rate and latencies, three minutes before each fault against the three in
it, and the sixteen quiet hours after the last one in pairs of three minutes.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.kayenta.classify import classify_metrics
from analysis.kayenta.config import CanaryConfig, Direction, MetricConfig
from analysis.kayenta.paired_values import ValueLabel, judge_values
from analysis.kayenta.score import canary_score
from tests.builders.incident_rows import DATA, MISSING

Window = tuple[NDArray[np.float64], NDArray[np.float64]]
SUCCESS = "SuccessRate(%)"
LATENCIES = [f"LatencyP{level}(s)" for level in (50, 90, 95, 99)]
CONFIGS = [
    MetricConfig(name=SUCCESS, direction=Direction.DECREASE, groups=("front",)),
    *(MetricConfig(name=name, groups=("front",)) for name in LATENCIES),
]
# Of PetShop, in the places of Nezha's.
SITE = ["Average", "p50", "p90", "p99"]
QUIET_FROM_S = 1_661_155_800


@pytest.fixture(scope="module")
def windows() -> tuple[list[Window], list[Window]]:
    """Faults, and healthy pairs."""
    folder = DATA / "nezha" / "2022-08-22"
    if not folder.exists():
        pytest.skip(MISSING.format(folder))
    with (folder / "front_service.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    at_s = np.array([float(row["TimeStamp"]) for row in rows])
    values = np.array([[float(row[name]) for row in rows] for name in (SUCCESS, *LATENCIES)])
    listed = json.loads((folder / "2022-08-22-fault_list.json").read_text())
    begun = [
        int(np.searchsorted(at_s, int(fault["inject_timestamp"]) + 10))
        for hour in listed.values()
        for fault in hour
    ]
    quiet = np.flatnonzero(at_s > QUIET_FROM_S)
    starts = [int(quiet[first]) + 3 for first in range(0, len(quiet) - 6, 6)]
    faults, healthy = (
        [(values[:, first - 3 : first], values[:, first : first + 3]) for first in some]
        for some in ([first for first in begun if first >= 3], starts)
    )
    return faults, healthy


@pytest.fixture(scope="module")
def issues() -> list[Window]:
    """PetShop's issues of two rows of five minutes: the site's availability and latencies."""
    folder = DATA / "petshop" / "dataset"
    if not folder.exists():
        pytest.skip(MISSING.format(folder))
    found = []
    for path in sorted(folder.glob("*/train/issue_*")):
        alarm = float(json.loads((path / "target.json").read_text())["target"]["timestamp"])
        with (path / "metrics.csv").open(newline="") as file:
            services, metrics, statistics, _, *lines = csv.reader(file)
        keys = list(zip(services, metrics, statistics, strict=True))
        wanted = [("availability", "Average"), *(("latency", s) for s in SITE)]
        columns = [keys.index(("PetSite", *key)) for key in wanted]
        at_s = np.array([float(line[0]) for line in lines])
        values = np.array([[float(line[column]) for line in lines] for column in columns])
        before = np.flatnonzero(at_s + 300 <= alarm + 75)[-2:]
        during = np.flatnonzero(at_s >= alarm - 10)[:2]
        if len(before) == len(during) == 2:
            found.append((values[:, before], values[:, during]))
    return found


def _by_kayenta(window: Window) -> str:
    judged = classify_metrics(list(zip(*window, strict=True)), CONFIGS)
    config = CanaryConfig(name="front", metrics=tuple(CONFIGS), group_weights={"front": 100.0})
    return canary_score(config, judged).label.value.lower()


def _by_ours(window: Window) -> str:
    labels = {one.label for one in judge_values(list(zip(*window, strict=True)), CONFIGS)}
    if labels & {ValueLabel.HIGH, ValueLabel.LOW}:
        return "fail"
    return "pass" if labels == {ValueLabel.PASS} else "uncertain"


def _counted(windows: Sequence[Window]) -> tuple[Counter[str], Counter[str]]:
    return Counter(map(_by_ours, windows)), Counter(map(_by_kayenta, windows))


def test_at_least_as_many_faults_are_found_as_by_kayenta(
    windows: tuple[list[Window], list[Window]],
) -> None:
    ours, kayenta = _counted(windows[0])
    assert len(windows[0]) == 24
    assert ours["fail"] >= kayenta["fail"] + kayenta["marginal"] == 12


def test_at_least_as_many_healthy_windows_pass_as_by_kayenta(
    windows: tuple[list[Window], list[Window]],
) -> None:
    ours, kayenta = _counted(windows[1])
    assert len(windows[1]) == 158
    assert ours["pass"] >= kayenta["pass"] == 146
    assert ours["fail"] <= 0.05 * 158


def test_at_least_as_many_issues_of_two_rows_are_found_as_by_kayenta(issues: list[Window]) -> None:
    ours, kayenta = _counted(issues)
    assert len(issues) == 10
    assert ours["fail"] >= kayenta["fail"] == 8
    assert ours["pass"] == 0
