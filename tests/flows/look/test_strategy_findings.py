"""What a strategy finds is read from the kept counters, and decides as it says."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from analysis.strategies.declaration import Found
from flows.look.strategy_findings import strategy_findings
from flows.plan.from_spec import plan_of
from flows.spec.experiment import Experiment
from flows.warehouse.connection import open_writer
from tests.builders.measured_rows import add_measured

_START = datetime(2026, 1, 1, 12, tzinfo=UTC)
_BUCKETS = 40
_SPEC = {
    "experiment": "shop",
    "service": "shop",
    "mesh": "istio",
    "variants": {"stable": {"version": "v1"}, "canary": {"version": "v2"}},
    "split": {"stable": 50, "canary": 50},
    "strategy": {"kind": "rate-limiting", "tokens": 40, "fill": "15s", "tiers": ["a", "b"]},
    "plan": {"duration": "10m"},
    "sources": {"requests": {"prometheus": "http://localhost:9090"}},
}


def _findings(
    path: Path,
    counted: dict[tuple[str, str], float],
    missing: Mapping[str, range] = {},
    **strategy: object,
) -> list[tuple[Found, str]]:
    """By variant and part, as many events in every bucket.

    missing: buckets without, by variant or its part. strategy: another than the spec's.
    """
    spec = Experiment.model_validate({**_SPEC, "strategy": strategy or _SPEC["strategy"]})
    rows = [
        ("shop", "(strategy)", _START, _START + at * timedelta(seconds=15), *key, amount)
        for at in range(_BUCKETS)
        for key, amount in counted.items()
        if at not in missing.get(key[0], missing.get("/".join(key), ()))
    ]
    with open_writer(path / "warehouse.duckdb") as con:
        add_measured(con, rows)
        start_ms = int(_START.timestamp() * 1000)
        plan = plan_of(spec, start_ms=start_ms)
        found = strategy_findings(con, spec, plan, at_ms=start_ms + _BUCKETS * 15_000)
    return [(one.found, one.detail) for one in found]


_ASKED = {
    ("stable", "requests:a"): 40.0,
    ("canary", "requests:a"): 40.0,
    ("canary", "requests:b"): 40.0,
}


@pytest.mark.parametrize(
    ("refused", "found", "says"),
    [
        (
            {("canary", "refusals:a"): 10.0, ("canary", "refusals:b"): 30.0},
            Found.GOOD,
            "let 2.7 requests a second pass",
        ),
        ({("canary", "refusals:a"): 39.0}, Found.HARM, "refuses 97.5% of user_tier a"),
        ({}, Found.HARM, "let 5.3 requests a second pass"),
    ],
)
def test_counts_by_label_are_found(
    tmp_path: Path, refused: dict[tuple[str, str], float], found: Found, says: str
) -> None:
    said = _findings(tmp_path, {**_ASKED, **refused})

    assert any(one is found and says in detail for one, detail in said), said


def test_a_counter_without_a_series_holds_and_is_named(tmp_path: Path) -> None:
    found = _findings(tmp_path, {("canary", "requests:a"): 40.0})

    said = "nothing is known of requests of stable: no series matches (istio_requests_total{"
    assert [(one, detail[: len(said)]) for one, detail in found] == [(Found.WAIT, said)]


_NO_EJECTIONS = "nothing is known of ejections of canary: no series matches"


@pytest.mark.parametrize(
    ("exported", "missing", "says"),
    [
        ({"canary": 0.0, "stable": 0.0}, range(0), ""),
        # The baseline may have no outlier detection at all.
        ({"canary": 0.0}, range(0), ""),
        ({"stable": 0.0}, range(0), _NO_EJECTIONS),
        ({}, range(0), _NO_EJECTIONS),
        ({"canary": 0.0}, range(18, 40), "the last value of ejections of canary is 330 s old"),
        ({"canary": 0.0}, range(10, 20), "ejections of canary has no value in 25% of the time"),
    ],
)
def test_ejections_that_are_not_exported_are_not_none(
    tmp_path: Path, exported: Mapping[str, float], missing: range, says: str
) -> None:
    requests = {(variant, "requests"): 40.0 for variant in ("stable", "canary")}
    ejections = {(variant, "ejections"): amount for variant, amount in exported.items()}

    found = _findings(
        tmp_path,
        {**requests, **ejections},
        {"canary/ejections": missing},
        kind="pools-and-outliers",
    )

    waits = [detail for one, detail in found if one is Found.WAIT]
    assert [says] == [detail[: len(says)] for detail in waits] if says else not waits
    assert says or {one for one, _ in found} == {Found.GOOD}


@pytest.mark.parametrize(
    ("arm", "missing", "says"),
    [
        ("canary", range(4), None),
        ("canary", range(18, 20), None),
        ("canary", range(10, 20), "requests of canary has no value in 25% of the time"),
        ("stable", range(18, 40), "the last value of requests of stable is 330 s old"),
    ],
)
def test_a_counter_that_stops_is_no_good_news(
    tmp_path: Path, arm: str, missing: range, says: str | None
) -> None:
    kept = {("canary", "refusals:a"): 10.0, ("canary", "refusals:b"): 30.0}

    found = _findings(tmp_path, {**_ASKED, **kept}, {arm: missing})

    waits = [detail for one, detail in found if one is Found.WAIT]
    assert [detail.split(" (limit")[0] for detail in waits] == ([says] if says else [])
