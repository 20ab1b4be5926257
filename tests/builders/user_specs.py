"""Specs and files for tests of user data."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from analysis.evidence import UserEvidence
from analysis.fixed.comparison import Pair, Sample
from flows.formats.time import milliseconds_of
from flows.ingest.users.plan_splits import split_starts
from flows.ingest.users.pull_report import UserPull
from flows.ingest.users.pull_users import pull_users
from flows.look.user_statistics import read_user_statistics
from flows.plan.effective import plan_at
from flows.spec.experiment import Experiment
from flows.warehouse.connection import open_writer
from tests.builders.empty_warehouse import lay_out

START = datetime(2026, 1, 1, tzinfo=UTC)
LOOK = START + timedelta(days=60)

Rows = list[tuple[Any, ...]]


def spec_of(sources: dict[str, Any] | None = None, **changes: Any) -> Experiment:
    """An experiment with arms a and b, and one metric of each kind over a week; a long plan."""
    both = {"exposures": {"files": "exposures*"}, "outcomes": {"files": "outcomes*"}}
    fields: dict[str, Any] = {
        "experiment": "quiz",
        "service": "quiz",
        "variants": {"a": {}, "b": {}},
        "metrics": {
            "bought": {"kind": "proportion", "outcome": "purchase"},
            "visits": {"kind": "count", "outcome": "visit"},
            "spend": {"kind": "mean", "outcome": "purchase"},
        },
        "sources": both if sources is None else sources,
        "plan": {"duration": "60d"},
    }
    return Experiment.model_validate(fields | changes)


def day(number: float) -> datetime:
    """So many days after the start."""
    return START + timedelta(days=number)


def write_csv(path: Path, header: str, rows: Rows) -> None:
    """A CSV file with the given columns."""
    lines = [",".join("" if v is None else str(v) for v in row) for row in rows]
    path.write_text("\n".join((header, *lines)) + "\n", encoding="utf-8")


def write_exposures(folder: Path, rows: Rows, name: str = "exposures.csv") -> None:
    """Rows of user, variant and day."""
    timed = [(user, variant, day(at).isoformat()) for user, variant, at in rows]
    write_csv(folder / name, "user_id,variant,exposed_at", timed)


def write_outcomes(folder: Path, rows: Rows, name: str = "outcomes.csv") -> None:
    """Rows of user, outcome, day and value."""
    timed = [(user, outcome, day(at).isoformat(), value) for user, outcome, at, value in rows]
    write_csv(folder / name, "user_id,outcome,occurred_at,value", timed)


def pull(spec: Experiment, folder: Path) -> UserPull:
    """Pulls from the folder into its warehouse, up to the look."""
    lay_out(folder / "w.duckdb")
    return pull_users(spec, folder / "w.duckdb", spec_dir=folder, until_ms=milliseconds_of(LOOK))


def read(spec: Experiment, folder: Path, at: datetime = LOOK) -> UserEvidence:
    """The statistics of a look."""
    with open_writer(folder / "w.duckdb") as con:
        splits = split_starts(plan_at(con, spec, at=at))
        return read_user_statistics(con, spec, at, splits=splits)


def seen(folder: Path, exposures: Rows, outcomes: Rows, at: float | None = None) -> UserEvidence:
    """What a look sees after these rows were pulled."""
    write_exposures(folder, exposures)
    write_outcomes(folder, outcomes)
    pull(spec_of(), folder)
    return read(spec_of(), folder, LOOK if at is None else day(at))


def rows_of(folder: Path, query: str) -> Rows:
    """The answer of the warehouse."""
    with open_writer(folder / "w.duckdb") as con:
        rows: Rows = con.execute(query).fetchall()
    return rows


def numbers(sample: Sample) -> tuple[int, float, float]:
    """Users, mean and variance."""
    return int(sample.n), float(sample.mean), float(sample.variance)


def arms_of(pairs: Mapping[str, Pair], baseline: str = "a") -> dict[str, Sample]:
    """By variant, where the baseline is the same for every candidate."""
    return {baseline: next(iter(pairs.values()))[0]} | {v: pair[1] for v, pair in pairs.items()}


def sample_in(metrics: Mapping[str, Mapping[str, Pair]], name: str, variant: str) -> Sample:
    """One metric's estimate of one variant."""
    pairs = metrics[name]
    return pairs[variant][1] if variant in pairs else next(iter(pairs.values()))[0]
