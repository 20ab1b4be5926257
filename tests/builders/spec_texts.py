"""Texts of specs, and what is said of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.formats.problems import InputError
from flows.workspace.experiments import load_spec

SHORTEST = """\
experiment: exam
service: exam-service
namespace: edtech-production
mesh: istio
variants:
  stable: {version: v2.0.0}
  canary: {version: v2.1.0}
sources:
  requests: {prometheus: "http://prometheus:9090"}
"""


USERS = """\
experiment: exam
service: exam-service
variants: {a: {}, b: {}}
metrics: {done: {kind: proportion, outcome: done}}
sources: {exposures: {files: e.csv}, outcomes: {files: o.csv}}
"""


COUNTERS = "{conversions: {prometheus: http://p:9090, metric: conversions_total}}"


STAGES = """\
plan:
  stages:
    - {duration: 8d, weights: {a: 90, b: 10}}
    - {duration: 8d, weights: {a: 50, b: 50}}
"""


def problems_of(folder: Path, text: str | bytes) -> list[str]:
    """What is said of a spec, as line: text."""
    path = folder / "exam.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError) as caught:
        load_spec(path)
    return [str(problem).removeprefix(f"{path}:") for problem in caught.value.problems]
