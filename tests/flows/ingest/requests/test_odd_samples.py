"""Values that no counter has, between those that count: nothing is lost, nothing counts twice."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.builders.scraped_source import ScrapedSource
from tests.flows.ingest.requests.test_pull_requests import (
    HOUR,
    START,
    add_pod,
    istio,
    pull,
    requests,
    scrapes,
)

ODD = {"NaN": math.nan, "infinite": math.inf, "-inf": -math.inf, "negative": -5.0, "large": 2e16}
FIRST = START + 60_000
TIMES = scrapes(FIRST, START + 2 * HOUR)
PLACES: dict[str, Callable[[int], bool]] = {
    "the first": lambda i: i == 0,
    "every seventh": lambda i: i % 7 == 3,
    "every second": lambda i: i % 2 == 1 and i < len(TIMES) - 1,
    "ten minutes": lambda i: 100 <= i < 140,
    "at a window's edge": lambda i: abs(TIMES[i] - START - HOUR) < 60_000,
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
@pytest.mark.parametrize("is_odd", PLACES.values(), ids=PLACES)
def test_odd_values_change_no_count(
    tmp_path: Path, odd: float, is_odd: Callable[[int], bool]
) -> None:
    source = ScrapedSource()
    for version, pod in (("v1", "a"), ("v2", "b")):
        add_pod(source, istio(version, pod), FIRST, TIMES[-1])
    source.add(istio("v2", "b"), {t: odd for i, t in enumerate(TIMES) if is_odd(i)})
    result = pull(source, tmp_path / "warehouse.duckdb")
    assert requests(tmp_path / "warehouse.duckdb") == dict.fromkeys(
        ("stable", "canary"), 10 * len(TIMES)
    )
    assert any("the values before them are taken" in one for one in result.warnings)
