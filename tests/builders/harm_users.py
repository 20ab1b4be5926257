"""Users of two variants, one of them harmed or not, in any format and table that people have.

A cell is one line of the harm matrix: a format, a table, what is odd about its rows, and the harm.
"""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import adbc_driver_postgresql.dbapi
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
SQL = "postgresql"
# Where the server is that cells in SQL find their tables on.
DSN_ENV = "HARM_MATRIX_DSN"
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
# In a row per user an outcome has no id of its own, and no time.
OF_ONE_TABLE = ("clean", "late", "renamed", "padded ids", "empty", "duplicated")
# A table in SQL has no name that changes, and no second file.
OF_SQL = ("clean", "late", "padded ids", "empty")
# Groups that come twice are invalid with a sentence, also of a healthy candidate.
OF_SUMS = ("clean", "late", "renamed", "empty", "duplicated")
TABLES = {
    "rows": CONDITIONS,
    "wide": OF_ONE_TABLE,
    "untimed": OF_ONE_TABLE,
    "sums": OF_SUMS,
    "sums by day": OF_SUMS,
}
# Where the conversions never reach users, nothing can be said in favour of a candidate.
UNKNOWABLE = ("foreign ids", "empty")


@dataclass(frozen=True, slots=True)
class UserCell:
    """One line of the matrix; is_harmed: b's conversions are halved.

    table: rows of exposures and outcomes, a row per user (wide), or such a one without times; sums
    over users, of all or by day.
    """

    file_format: str
    condition: str
    is_harmed: bool
    seed: int = 1
    table: str = "rows"

    def __str__(self) -> str:
        harm = "halved" if self.is_harmed else "none"
        return f"{self.table}/{self.file_format}, {harm}, {self.condition}, seed {self.seed}"


def cells(seeds: int = 1) -> Iterator[UserCell]:
    """All of them."""
    for table, conditions in TABLES.items():
        for file_format in (*FORMATS, SQL):
            for condition in conditions:
                if file_format == SQL and (condition not in OF_SQL or table.startswith("sums")):
                    continue
                for is_harmed in (False, True):
                    for seed in range(1, seeds + 1):
                        yield UserCell(file_format, condition, is_harmed, seed, table)


def verdict_of(cell: UserCell, folder: Path, dsn: str = "") -> VerdictDocument:
    """What a look at the plan's end says of the cell, its rows pulled into an empty warehouse.

    dsn: of the server on which the tables of a cell in SQL are made.
    """
    tables = _tables(cell)
    spec = _spec(cell)
    warehouse = folder / "warehouse.duckdb"
    last = list(tables)[-1]
    for name, frame in tables.items():
        if cell.file_format == SQL:
            _insert(dsn, frame, _sql_name(cell, name))
        else:
            _write(frame, folder, name, cell.file_format)
    if cell.condition == "duplicated":
        _write(tables[last], folder, f"{last}-again", cell.file_format)
    _pull(spec, warehouse, folder)
    if cell.condition == "renamed":
        for written in folder.glob(f"{last}*"):
            written.rename(written.with_name(written.name.replace(last, f"{last}-other")))
        _pull(spec, warehouse, folder)
    return score_experiment(spec, warehouse, at=LOOK)


def _spec(cell: UserCell) -> Experiment:
    both = ("exposures", "outcomes")
    sources = {name: _source(cell, name) for name in (both if cell.table == "rows" else ("users",))}
    if cell.table in ("wide", "untimed"):
        sources["users"] |= {"outcomes": {"buy": "bought"}}
    if cell.table == "wide":
        sources["users"] |= {"at": "first_seen"}
    if cell.table.startswith("sums"):
        sources["users"] = {"aggregates": sources["users"]["files"], "by_day": "day" in cell.table}
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
            "sources": sources,
        }
    )


def _source(cell: UserCell, name: str) -> dict[str, Any]:
    if cell.file_format == SQL:
        return {"dsn_env": DSN_ENV, "query": f"select * from {_sql_name(cell, name)}"}
    return {"files": f"{name}*{'/*/*' if cell.file_format.startswith('hive') else ''}"}


def _pull(spec: Experiment, warehouse: Path, folder: Path) -> None:
    until_ms = round(LOOK.timestamp() * 1000)
    pull_users(spec, warehouse, spec_dir=folder, until_ms=until_ms)


def _tables(cell: UserCell) -> dict[str, pl.DataFrame]:
    """By name, what the cell has of its users."""
    if cell.table == "rows":
        return _rows(cell)
    return {"users": _sums(cell) if cell.table.startswith("sums") else _wide(cell)}


def _sums(cell: UserCell) -> pl.DataFrame:
    """A row per variant, and day where these are asked for, all columns as text."""
    day = [pl.col("first_seen").str.head(10).alias("day")] if cell.table == "sums by day" else []
    users = _wide(cell).with_columns(pl.col("bought").cast(pl.Int64), *day)
    summed = users.group_by("variant", *(["day"] if day else [])).agg(
        pl.len().alias("n"), pl.col("bought").sum().alias("sum")
    )
    named = (pl.lit("bought").alias("metric"), pl.lit("proportion").alias("type"))
    return summed.with_columns(*named).cast(pl.String).sort(summed.columns)


def _wide(cell: UserCell) -> pl.DataFrame:
    """A row per user, all columns as text."""
    exposures, outcomes = _rows(cell).values()
    did = outcomes["user_id"].unique().to_list()
    bought = pl.col("user_id").is_in(did).cast(pl.Int8).cast(pl.String)
    wide = exposures.with_columns(bought.alias("bought")).rename({"exposed_at": "first_seen"})
    ids = [_written_id(one, cell.condition) for one in exposures["user_id"]]
    return wide.with_columns(pl.Series("user_id", ids))


def _rows(cell: UserCell) -> dict[str, pl.DataFrame]:
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
        "user_id": [
            _written_id(ids[n], cell.condition) if cell.table == "rows" else ids[n] for n in buys
        ],
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
    return {
        "exposures": pl.DataFrame(exposures),
        "outcomes": pl.DataFrame(outcomes, schema=text),
    }


def _written_id(one: str, condition: str) -> str:
    return {
        "float ids": f"{one}.0",
        "padded ids": f" {one} ",
        "upper-case ids": one.upper(),
        "foreign ids": f"user:{one}",
    }.get(condition, one)


def _sql_name(cell: UserCell, name: str) -> str:
    return f"{name}_{zlib.crc32(str(cell).encode()):08x}"


def _insert(dsn: str, frame: pl.DataFrame, name: str) -> None:
    """Makes a table of the rows; times are times there."""
    os.environ[DSN_ENV] = dsn
    times = ("exposed_at", "occurred_at", "first_seen")
    kinds = {name: "timestamptz" if name in times else "text" for name in frame.columns}
    columns = ", ".join(f"{column} {kind}" for column, kind in kinds.items())
    rows = ",\n".join("('" + "', '".join(row) + "')" for row in frame.rows())
    with adbc_driver_postgresql.dbapi.connect(dsn) as server, server.cursor() as cursor:
        cursor.execute(f"create table {name} ({columns})")
        if rows:
            cursor.execute(f"insert into {name} values {rows}")
        server.commit()


def _write(frame: pl.DataFrame, folder: Path, name: str, file_format: str) -> None:
    """Writes the file, or the folder, with the rows."""
    if file_format.startswith("hive"):
        part = folder / name / "region=eu"
        part.mkdir(parents=True)
        _write_file(frame, part / f"part.{file_format.removeprefix('hive ')}")
        return
    _write_file(frame, folder / f"{name}.{file_format}")


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
