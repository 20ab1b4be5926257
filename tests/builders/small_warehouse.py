"""A small warehouse with a bit of everything, whose every number can be worked out by hand."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from flows.ingest.users.kept_sums import keep_sums
from flows.spec.experiment import Experiment
from flows.warehouse.connection import open_writer, transaction
from flows.warehouse.statements import statement

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
BUCKET = timedelta(seconds=15)
INFINITY = float("inf")

CHECKOUT = {
    "experiment": "checkout",
    "service": "checkout",
    "namespace": "shop",
    "mesh": "istio",
    "variants": {"canary": {"version": "v2"}, "stable": {"version": "v1", "baseline": True}},
    "metrics": {
        "errors": {"kind": "error_share"},
        "p99": {"kind": "slow_share", "above": "80ms", "quantile": 0.99},
    },
    "sources": {"requests": {"prometheus": "http://localhost:9090"}},
}
QUIZ = {
    "experiment": "quiz",
    "service": "quiz",
    "variants": {"a": {}, "b": {}},
    "metrics": {
        "bought": {"kind": "proportion", "outcome": "purchase", "window": "1d12h"},
        "spend": {"kind": "mean", "outcome": "purchase", "window": "1d12h"},
    },
    "sources": {"exposures": {"files": "exposures.csv"}, "outcomes": {"files": "outcomes.csv"}},
}


def small_warehouse(path: Path) -> Path:
    """Two experiments: checkout counts requests and was looked at twice, quiz counts users."""
    with open_writer(path) as con, transaction(con):
        for fields, looks in ((CHECKOUT, (("hold", 70.0), ("rollback", 0.0))), (QUIZ, ())):
            _add_spec(con, fields, looks)
        _add_requests(con)
        _add_users(con)
        keep_sums(con, Experiment.model_validate(QUIZ), None)
    return path


def _add_spec(con: Any, fields: dict[str, Any], looks: tuple[tuple[str, float], ...]) -> None:
    spec = Experiment.model_validate(fields)
    named = {"experiment": spec.experiment, "spec_hash": spec.spec_hash}
    con.execute(statement("load/spec"), {**named, "spec": spec.model_dump_json(), "used_at": START})
    for number, (decision, score) in enumerate(looks or (("invalid", None),), start=1):
        look_at = START + number * timedelta(minutes=1)
        con.execute(
            statement("load/look"),
            {
                **named,
                "look_at": look_at,
                "window_start": START,
                "watermark": look_at,
                "software_version": "0.1.0",
            },
        )
        con.execute(
            statement("load/verdict"),
            {
                "experiment": spec.experiment,
                "look_at": look_at,
                "decision": decision,
                "score": score,
                "reasons": [f"the {decision} reason", "another"],
                "verdict": json.dumps(_verdict(decision)),
            },
        )
        con.execute(
            "insert into metric_results values (?, ?, 'errors', ?, 'guardrail', 'fail', 0.01, "
            "0.04, 0.03, 0.02, 0.04, 3, 2, null, 0.005, 0.001, 1000, 100, true)",
            [spec.experiment, look_at, spec.candidates[0]],
        )


def _verdict(decision: str) -> dict[str, Any]:
    return {
        "exit_code": {"promote": 0, "rollback": 1, "hold": 3, "invalid": 4}[decision],
        "quality": [
            {"name": "has_data", "passed": True, "detail": "there is data"},
            {"name": "split", "passed": decision != "invalid", "detail": "the split is as it is"},
        ],
    }


def _add_requests(con: Any) -> None:
    """Two buckets; in the second, stable has none, and 3 requests reached no version."""
    first, second = START, START + BUCKET
    counts = [
        (first, "stable", "success", "200", "", 180),
        (first, "stable", "failure", "503", "UF,URX", 20),
        (first, "stable", "injected", "500", "FI", 7),
        (first, "stable", "abandoned", "0", "DC", 5),
        (first, "canary", "success", "200", "", 100),
        (second, "canary", "abandoned", "0", "DC", 4),
        (second, "unattributed", "failure", "503", "UH", 3),
    ]
    con.executemany(
        "insert into request_buckets values ('checkout', ?, ?, ?, '', ?, ?, '', ?, ?, '')",
        [(START, *row) for row in counts],
    )
    edges = [
        (first, "stable", (5, 40), (100, 190), (INFINITY, 200)),
        (first, "canary", (5, 0), (100, 100), (INFINITY, 100)),
        (second, "canary", (5, 0), (100, 0), (INFINITY, 0)),
    ]
    for bucket, variant, *cumulative in edges:
        con.executemany(
            "insert into latency_buckets values ('checkout', ?, ?, ?, ?, ?, 0, '')",
            [(START, bucket, variant, le, at_most) for le, at_most in cumulative],
        )
    con.execute(
        "insert into exposure_lost values ('checkout', ?, ?, 'canary', 'restart', 1, 12.5, '')",
        [START, second],
    )
    con.execute(
        "insert into optional_counters values "
        "('checkout', ?, ?, 'canary', 'envoy_cluster_upstream_rq_retry', 9, '')",
        [START, first],
    )
    for start_h, end_h, warnings in ((0, 1, ["slow"]), (1, 2, ["slow", "away"]), (3, 4, [])):
        con.execute(
            "insert into pulls values ('checkout', 'requests', ?, ?, 1, 10, 4, ?, 'x', '')",
            [START + timedelta(hours=start_h), START + timedelta(hours=end_h), warnings],
        )


def _add_users(con: Any) -> None:
    """Known until noon of day 3, with a window of a day and a half."""
    hour = timedelta(hours=1)
    exposures = [
        ("early", "a", 0),
        ("early", "a", 30),  # again: the first counts
        ("buyer", "a", 1),
        ("idle", "a", 2),
        ("next-day", "a", 13),
        ("young", "a", 40),  # the window still runs
        ("b-buyer", "b", 0),
        ("mixed", "a", 0),
        ("mixed", "b", 5),
        ("stranger", "c", 0),  # no variant of the spec
    ]
    con.executemany(
        "insert into exposures (experiment, part, user_id, variant, exposed_at) "
        "values ('quiz', 'p', ?, ?, ?)",
        [(user, variant, START + at * hour) for user, variant, at in exposures],
    )
    outcomes = [
        ("early", "purchase", -1, 100.0),  # before the exposure
        ("early", "purchase", 36, 100.0),  # the window's end: too late
        ("buyer", "purchase", 1, 5.0),  # at the exposure itself
        ("buyer", "purchase", 36, 7.0),
        ("next-day", "visit", 14, 1.0),  # another outcome
        ("young", "purchase", 41, 50.0),
        ("b-buyer", "purchase", 2, 4.0),
        ("mixed", "purchase", 6, 1000.0),
        ("nobody", "purchase", 6, 1000.0),
    ]
    con.executemany(
        "insert into outcomes values ('quiz', 'p', ?, ?, ?, ?)",
        [(user, outcome, START + at * hour, value) for user, outcome, at, value in outcomes],
    )
    for source in ("exposures", "outcomes"):
        con.execute(
            "insert into pulls values ('quiz', ?, 'epoch', ?, 1, 10, 1, [], 'x', '')",
            [source, START + 60 * hour],
        )
