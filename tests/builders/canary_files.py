"""Canary configs and values as the tests of `verdict judge` write them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from flows.formats.problems import InputError


def metric(name: str, group: str = "health", **canary: Any) -> dict[str, Any]:
    """One metric of a config, as Spinnaker stores it; canary: how it is judged."""
    return {
        "name": name,
        "groups": [group],
        "query": {"type": "prometheus", "metricName": name, "serviceType": "prometheus"},
        "scopeName": "default",
        "analysisConfigurations": {"canary": {"direction": "increase", **canary}},
    }


def canary_config(
    *metrics: dict[str, Any], weights: dict[str, float] | None = None
) -> dict[str, Any]:
    """A config as Spinnaker stores it, with its own fields."""
    return {
        "id": "41ef64d3",
        "name": "exam-canary",
        "description": "",
        "configVersion": "1",
        "createdTimestamp": 1700000000000,
        "updatedTimestampIso": "2026-01-31T12:00:00Z",
        "applications": ["exam"],
        "judge": {"name": "NetflixACAJudge-v1.0", "judgeConfigurations": {}},
        "metrics": list(metrics),
        "templates": {"standard": "namespace='${namespace}'"},
        "classifier": {
            "groupWeights": weights or {},
            "scoreThresholds": {"pass": 95, "marginal": 75},
        },
    }


def problems_of(read: Callable[[], object]) -> list[str]:
    """What is said of a file, as line: text."""
    with pytest.raises(InputError) as caught:
        read()
    return [
        f"{problem.line}: {problem.field}: {problem.message}" for problem in caught.value.problems
    ]
