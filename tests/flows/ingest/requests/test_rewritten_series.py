"""Series that end and begin under other labels, or whose samples lie out of order, count once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.builders.scraped_source import ScrapedSource
from tests.flows.ingest.requests.test_pull_requests import (
    HOUR,
    SCRAPE,
    START,
    add_evidence,
    istio,
    pull,
    requests,
    rows,
    scrapes,
)

LATENCY = "istio_request_duration_milliseconds_bucket"
# The pods have counted so much before the first sample, and so much more at each scrape.
BEFORE = {"200": 90_000, "503": 4_000, "500": 500}
GROWS = {"200": 100, "503": 4, "500": 2}
TIMES = scrapes(START - HOUR, START + 2 * HOUR)
AT = START + HOUR // 3

Labels = Mapping[str, str]
REWRITES: dict[str, tuple[str, Mapping[str, Mapping[str, str]]]] = {
    "a label more in one metric": (
        "istio_requests_total",
        {code: {"team": "shop"} for code in BEFORE},
    ),
    "codes as classes": (
        "istio_requests_total",
        {code: {"response_code": f"{code[0]}xx", "was": code} for code in BEFORE},
    ),
    "failures alone": (
        "istio_requests_total",
        {code: {"response_code": "5xx", "was": code} for code in ("503", "500")},
    ),
    "one code alone": ("istio_requests_total", {"503": {"response_flags": "UF"}}),
    "a label less": ("istio_requests_total", {code: {"response_flags": ""} for code in BEFORE}),
    "latencies alone": (LATENCY, {code: {"team": "shop"} for code in BEFORE}),
}


def a_service(metric: str, rewrite: Mapping[str, Labels]) -> ScrapedSource:
    source = ScrapedSource()
    for version in ("v1", "v2"):
        evidence = istio(version, version)
        add_evidence(source, evidence, dict.fromkeys(TIMES, 1), START - 9 * HOUR)
        for code, before in BEFORE.items():
            counted = {t: before + GROWS[code] * i for i, t in enumerate(TIMES)}
            for name, more in (("istio_requests_total", {}), (LATENCY, {"le": "+Inf"})):
                old = istio(version, version, __name__=name, response_code=code, **more)
                new = {**old, **rewrite.get(code, {})} if name == metric else old
                source.add(old, {t: n for t, n in counted.items() if t < AT})
                source.add(new, {t: n for t, n in counted.items() if t >= AT})
    return source


@pytest.mark.parametrize(("metric", "rewrite"), REWRITES.values(), ids=REWRITES)
def test_series_rewritten_in_part_are_not_counted_again(
    tmp_path: Path, metric: str, rewrite: Mapping[str, Labels]
) -> None:
    pull(a_service(metric, rewrite), tmp_path / "warehouse.duckdb")
    scraped = 2 * HOUR // SCRAPE
    every = scraped * sum(GROWS.values())
    # What a series had between its last sample under the old labels and the first under the new.
    lost = sum(GROWS[code] for code in rewrite)
    counted = requests(tmp_path / "warehouse.duckdb")
    latencies = rows(
        tmp_path / "warehouse.duckdb",
        "select variant, sum(requests) from latency_buckets where isinf(le_ms) group by variant",
    )
    own = every - lost if metric == "istio_requests_total" else every
    assert counted == {"stable": own, "canary": own}
    own = every - lost if metric == LATENCY else every
    assert dict(latencies) == {"stable": own, "canary": own}


@pytest.mark.parametrize("failed", [1, 40])
def test_a_new_code_beside_one_that_ended_is_counted(tmp_path: Path, failed: int) -> None:
    source = a_service("", {})
    gone = istio("v2", "v2", response_code="404")
    source.add(gone, {t: 5_000 for t in TIMES if t < AT})
    first = istio("v2", "v2", response_code="504")
    source.add(first, {t: failed for t in TIMES if t >= AT})
    pull(source, tmp_path / "warehouse.duckdb")
    every = 2 * HOUR // SCRAPE * sum(GROWS.values())
    assert requests(tmp_path / "warehouse.duckdb") == {"stable": every, "canary": every + failed}


def two_writers(skew_ms: int, phase_ms: int, *, per_s: float, old: int) -> ScrapedSource:
    """Two servers that write the same series; the clock of one of them is off."""
    source, began = ScrapedSource(), START - HOUR
    scraped = [(t, t) for t in TIMES] + [(t + phase_ms, t + phase_ms + skew_ms) for t in TIMES]
    for version in ("v1", "v2"):
        labels = istio(version, version)
        counted = {stamp: float(old + int(per_s * (t - began) / 1000)) for t, stamp in scraped}
        source.add(labels, dict(sorted(counted.items())))
        add_evidence(source, labels, dict.fromkeys(sorted(counted), 1), began - 9 * HOUR)
    return source


@pytest.mark.parametrize(
    ("skew_ms", "phase_ms"),
    [(0, 7_000), (-300, 7_000), (-8_000, 7_000), (-500, 300), (500, 14_800), (-20_000, 7_000)],
)
@pytest.mark.parametrize("per_s", [0.05, 1.0, 500.0])
def test_samples_of_two_clocks_count_once(
    tmp_path: Path, skew_ms: int, phase_ms: int, per_s: float
) -> None:
    source = two_writers(skew_ms, phase_ms, per_s=per_s, old=100_000)
    pull(source, tmp_path / "warehouse.duckdb")
    counted = requests(tmp_path / "warehouse.duckdb")
    true = per_s * 2 * HOUR / 1000
    # Up to what comes while a clock is off.
    assert counted["stable"] == counted["canary"]
    assert counted["stable"] == pytest.approx(true, abs=per_s * (abs(skew_ms) + SCRAPE) / 1000 + 2)


def test_a_counter_that_began_again_counts_whole_beside_that(tmp_path: Path) -> None:
    """A crash between any two scrapes: each life counts as much as the one before."""
    source = ScrapedSource()
    for version in ("v1", "v2"):
        labels = istio(version, version)
        source.add(labels, {t: 40.0 - 3 * (i % 3) for i, t in enumerate(TIMES)})
        for t in TIMES:
            add_evidence(source, labels, {t: 1}, t - 9_000)
    pull(source, tmp_path / "warehouse.duckdb")
    inside = [40 - 3 * (i % 3) for i, t in enumerate(TIMES) if t > START]
    expected = sum(inside)
    assert requests(tmp_path / "warehouse.duckdb") == {"stable": expected, "canary": expected}
