"""1,000 users in each of two variants, of whom 10 % of a complain and as many of b as asked."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from flows.formats.time import milliseconds_of
from flows.ingest.users.pull_users import pull_users
from flows.look.evaluate import score_experiment
from flows.look.verdict_document import VerdictDocument
from flows.spec.experiment import Experiment
from tests.builders.user_formats import CSV, Row
from tests.builders.user_specs import LOOK, START, day

METRIC = {
    "kind": "proportion",
    "outcome": "complaint",
    "better": "lower",
    "window": "1d",
    "role": "guardrail",
    "margin": 0.05,
}
KINDS: dict[str, dict[str, Any]] = {
    "proportion": METRIC,
    "count": {**METRIC, "kind": "count"},
    "mean": {**METRIC, "kind": "mean", "margin": 0.5},
    "goal": {**METRIC, "role": "goal", "margin": None},
}
USERS = range(1, 2001)


def chance(user: int, what: str) -> float:
    """A number from 0 to 1 that is the user's own."""
    return (zlib.crc32(f"{user} {what}".encode()) % 10_000) / 10_000


def is_lost(row: Row, share: float) -> bool:
    return row["user_id"] % 2 == 0 and chance(row["user_id"], "lost") < share


def complaints(share_of_b: float = 0.2, share_of_a: float = 0.1) -> list[dict[str, Any]]:
    return [
        {
            "user_id": user,
            "outcome": "complaint",
            "occurred_at": day(0) + timedelta(minutes=5 * user + 90),
            "value": 10,
            "experiment": "quiz",
        }
        for user in USERS
        if chance(user, "complains") < (share_of_a if user % 2 else share_of_b)
    ]


def look(
    folder: Path,
    rows: list[dict[str, Any]],
    metric: dict[str, Any] = METRIC,
    *,
    warehouse: Path | None = None,
    users: Sequence[int] = USERS,
    **changes: object,
) -> VerdictDocument:
    """The verdict on these outcomes of the usual users."""
    exposures = [
        {
            "user_id": user,
            "variant": "a" if user % 2 else "b",
            "exposed_at": day(0) + timedelta(minutes=5 * user),
        }
        for user in users
    ]
    CSV(folder, "exposures", exposures)
    CSV(folder, "outcomes", rows)
    asked = Experiment.model_validate(written(metric) | changes)
    warehouse = warehouse or folder / "w.duckdb"
    pull_users(asked, warehouse, spec_dir=folder, until_ms=milliseconds_of(LOOK))
    return score_experiment(asked, warehouse, at=LOOK)


def spec_for(metric: dict[str, Any]) -> Experiment:
    return Experiment.model_validate(written(metric))


def written(metric: dict[str, Any]) -> dict[str, Any]:
    """The spec as a person writes it."""
    fields = {name: value for name, value in metric.items() if value is not None}
    return {
        "experiment": "quiz",
        "service": "quiz",
        "variants": {"a": {}, "b": {}},
        "split": {"a": 50, "b": 50},
        "metrics": {"complained": fields},
        "plan": {
            "start": START.isoformat(),
            "duration": "14d",
            "look_every": "1d",
            "bucket": "1h",
        },
        "sources": {"exposures": {"files": "exposures*"}, "outcomes": {"files": "outcomes*"}},
    }


def later(**by: float) -> Callable[[Row], dict[str, Any]]:
    return lambda row: {"occurred_at": row["occurred_at"] + timedelta(**by)}
