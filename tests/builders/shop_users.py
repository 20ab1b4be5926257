"""Users of a shop in two countries and on two devices, with metrics of each kind."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from flows.formats.time import milliseconds_of
from flows.ingest.users.pull_users import pull_users
from flows.spec.experiment import Experiment
from tests.builders.user_specs import Rows, day, spec_of, write_csv

SHOP_METRICS: dict[str, Any] = {
    "bought": {"kind": "proportion", "outcome": "buy"},
    "spend": {
        "kind": "mean",
        "outcome": "buy",
        "cap": "90%",
        "adjust": [{"before": "14d"}, {"before": "14d", "outcome": "view"}],
    },
    "clicks": {"kind": "ratio", "outcome": "click", "per": "view", "window": "3d"},
    "adjusted": {
        "kind": "ratio",
        "outcome": "click",
        "per": "view",
        "window": "3d",
        "adjust": [{"before": "10d"}],
    },
    "back": {"kind": "retention", "outcome": "view", "day": 2},
    "within": {
        "kind": "mean",
        "outcome": "buy",
        "cap": "90%",
        "adjust": [{"before": "14d"}],
        "stratify": True,
    },
    "by-device": {
        "kind": "ratio",
        "outcome": "click",
        "per": "view",
        "window": "3d",
        "stratify": ["device"],
    },
    "p80": {"kind": "quantile", "outcome": "buy", "quantile": 0.8},
}


def shop_spec(**changes: Any) -> Experiment:
    sources = {
        "exposures": {"files": "exposures*", "segments": ["country", "device"]},
        "outcomes": {"files": "outcomes*"},
    }
    return spec_of(sources, metrics=SHOP_METRICS, **changes)


def write_exposed(folder: Path, rows: Rows, name: str) -> None:
    timed = [(u, v, day(at).isoformat(), c, d) for u, v, at, c, d in rows]
    write_csv(folder / name, "user_id,variant,exposed_at,country,device", timed)


def history(seed: int, users: int) -> tuple[Rows, Rows]:
    """Exposures (some users twice, some in both arms) and outcomes over 30 days."""
    rng = np.random.default_rng(seed)
    exposures: Rows = []
    for user in range(users):
        at, arm = rng.uniform(0, 25), "ab"[user % 2]
        country, device = rng.choice(["ke", "ph", ""]), rng.choice(["app", "web"])
        exposures.append((user, arm, at, country, device))
        if rng.random() < 0.2:
            other = "ab"[1 - user % 2] if rng.random() < 0.3 else arm
            exposures.append((user, other, min(at + rng.uniform(0, 9), 29), country, device))
    names = rng.choice(["buy", "click", "view"], size=users * 12, p=[0.2, 0.3, 0.5])
    times = rng.uniform(-10, 30, size=users * 12)
    who = rng.integers(0, users, size=users * 12)
    values = np.where(names == "buy", np.round(rng.gamma(1.5, 30, users * 12), 2), 1.0)
    outcomes: Rows = list(
        zip(who.tolist(), names.tolist(), times.tolist(), values.tolist(), strict=True)
    )
    return exposures, outcomes


def pull_shop(folder: Path, until: datetime, **changes: Any) -> None:
    pull_users(
        shop_spec(**changes), folder / "w.duckdb", spec_dir=folder, until_ms=milliseconds_of(until)
    )


def values_of(
    exposures: Rows, outcomes: Rows, arm: str, name: str, span: tuple[float, float]
) -> dict[int, float]:
    """By user of one arm only: the total of an outcome between two days after the exposure."""
    first: dict[int, float] = {}
    arms = defaultdict[int, set[str]](set)
    for user, variant, at, *_ in exposures:
        first[user] = min(at, first.get(user, 99.0))
        arms[user].add(variant)
    totals = {user: 0.0 for user, seen in arms.items() if seen == {arm}}
    for user, outcome, at, value in outcomes:
        if user in totals and outcome == name and span[0] <= at - first[user] < span[1]:
            totals[user] += value
    return totals
