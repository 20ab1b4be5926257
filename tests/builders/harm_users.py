"""Users of two variants, one of them harmed or not, in any format and shape that people have.

A cell is one line of the harm matrix: a file format, what is odd about the rows, and the harm.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import numpy as np
import polars as pl

from flows.ingest.users.pull_users import pull_users
from flows.look.evaluate import score_experiment
from flows.look.verdict_document import VerdictDocument
from flows.spec.experiment import Experiment

START = datetime(2026, 10, 1, tzinfo=UTC)
LOOK = START + timedelta(days=14)
USERS = 1200
BUY = 0.5

FORMATS = ("csv", "csv.gz", "json", "jsonl", "jsonl.gz", "parquet", "hive csv", "hive parquet")
CONDITIONS = (
    "clean",
    "late",
    "renamed",
    "float ids",
    "padded ids",
    "upper-case ids",
    "foreign ids",
    "empty",
    "duplicated",
    "shifted clocks",
)
# Where the conversions never reach users, nothing can be said in favour of a candidate.
UNKNOWABLE = ("foreign ids", "empty")


@dataclass(frozen=True, slots=True)
class UserCell:
    """One line of the matrix; is_harmed: b's conversions are halved."""

    file_format: str
    condition: str
    is_harmed: bool
    seed: int = 1

    def __str__(self) -> str:
        harm = "halved" if self.is_harmed else "none"
        return f"users/{self.file_format}, {harm}, {self.condition}, seed {self.seed}"


def cells(seeds: int = 1) -> Iterator[UserCell]:
    """All of them."""
    for file_format in FORMATS:
        for condition in CONDITIONS:
            for is_harmed in (False, True):
                for seed in range(1, seeds + 1):
                    yield UserCell(file_format, condition, is_harmed, seed)


def verdict_of(cell: UserCell, folder: Path) -> VerdictDocument:
    """What a look at the plan's end says of the cell, its files pulled into an empty warehouse."""
    spec = _spec(cell.file_format)
    warehouse = folder / "warehouse.duckdb"
    exposures, outcomes = _rows(cell)
    _write(exposures, folder, "exposures", cell.file_format)
    written = _write(outcomes, folder, "outcomes", cell.file_format)
    if cell.condition == "duplicated":
        _write(outcomes, folder, "outcomes-again", cell.file_format)
    _pull(spec, warehouse, folder)
    if cell.condition == "renamed":
        written.rename(written.with_name(written.name.replace("outcomes", "outcomes-other")))
        _pull(spec, warehouse, folder)
    return score_experiment(spec, warehouse, at=LOOK)


def _spec(file_format: str) -> Experiment:
    inside = "/*/*" if file_format.startswith("hive") else ""
    return Experiment.model_validate(
        {
            "experiment": "quiz",
            "service": "quiz",
            "variants": {"a": {}, "b": {}},
            "split": {"a": 50, "b": 50},
            "metrics": {
                "bought": {
                    "kind": "proportion",
                    "outcome": "buy",
                    "window": "1d",
                    "role": "guardrail",
                    "margin": 0.1,
                }
            },
            "plan": {
                "start": START,
                "duration": "14d",
                "look_every": "1d",
                "bucket": "1h",
                "minimum_duration": "1h",
            },
            "sources": {
                "exposures": {"files": f"exposures*{inside}"},
                "outcomes": {"files": f"outcomes*{inside}"},
            },
        }
    )


def _pull(spec: Experiment, warehouse: Path, folder: Path) -> None:
    until_ms = round(LOOK.timestamp() * 1000)
    pull_users(spec, warehouse, spec_dir=folder, until_ms=until_ms)


def _rows(cell: UserCell) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Exposures and outcomes, all columns as text."""
    rng = np.random.default_rng(cell.seed)
    ids = [str(UUID(int=int(n))) for n in rng.integers(1, 2**63, USERS)]
    if cell.condition in ("float ids", "padded ids"):
        ids = [str(n) for n in range(1, USERS + 1)]
    at = [START + timedelta(minutes=10 * n) for n in range(USERS)]
    variant = ["ab"[n % 2] for n in range(USERS)]
    late = cell.condition == "late"
    share = [
        BUY / 2 if cell.is_harmed and v == "b" and (not late or n >= USERS // 2) else BUY
        for n, v in enumerate(variant)
    ]
    buys = np.flatnonzero(rng.random(USERS) < share)
    if cell.condition == "empty":
        buys = buys[:0]
    shifted = timedelta(hours=2)
    zone = "+02:00" if cell.condition == "shifted clocks" else "+00:00"
    ahead = shifted if cell.condition == "shifted clocks" else timedelta(0)
    outcomes = {
        "user_id": [_written_id(ids[n], cell.condition) for n in buys],
        "outcome": ["buy"] * len(buys),
        "occurred_at": [
            (at[n] + timedelta(hours=1) + ahead).strftime("%Y-%m-%dT%H:%M:%S") + zone for n in buys
        ],
        "value": ["1"] * len(buys),
    }
    exposures = {
        "user_id": ids,
        "variant": variant,
        "exposed_at": [one.strftime("%Y-%m-%dT%H:%M:%SZ") for one in at],
    }
    text = dict.fromkeys(outcomes, pl.String)
    return pl.DataFrame(exposures), pl.DataFrame(outcomes, schema=text)


def _written_id(one: str, condition: str) -> str:
    return {
        "float ids": f"{one}.0",
        "padded ids": f" {one} ",
        "upper-case ids": one.upper(),
        "foreign ids": f"user:{one}",
    }.get(condition, one)


def _write(frame: pl.DataFrame, folder: Path, name: str, file_format: str) -> Path:
    """The file or folder with the rows."""
    if file_format.startswith("hive"):
        part = folder / name / "region=eu"
        part.mkdir(parents=True)
        _write_file(frame, part / f"part.{file_format.removeprefix('hive ')}")
        return folder / name
    path = folder / f"{name}.{file_format}"
    _write_file(frame, path)
    return path


def _write_file(frame: pl.DataFrame, path: Path) -> None:
    kind = path.name.split(".", 1)[1]
    if kind == "parquet":
        frame.write_parquet(path)
        return
    match kind.removesuffix(".gz"):
        case "csv":
            text = frame.write_csv()
        case "json":
            text = frame.write_json()
        case _:
            text = frame.write_ndjson()
    data = text.encode()
    path.write_bytes(gzip.compress(data) if kind.endswith(".gz") else data)
