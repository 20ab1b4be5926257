"""The same rows of users give the same verdict from every format.

Covers flows.ingest.sources.csv_layout, flows.ingest.sources.folders,
flows.ingest.sources.incoming_rows, flows.ingest.sources.staged_rows,
flows.ingest.sources.user_files.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from flows.ingest.sources.user_rows import UserDataRefused
from flows.look.evaluate import score_experiment
from flows.spec.experiment import Experiment
from tests.builders.user_formats import (
    CSV,
    FORMATS,
    JSON_LINES,
    PARQUET,
    Table,
    Writer,
    exposures,
    folder_writer,
    outcomes,
    text_of,
    write_parquet,
)
from tests.builders.user_specs import LOOK, START, pull, rows_of, spec_of
from tests.servers.postgres_server import Server, running

FILES = {
    "exposures": {"files": "exposures*", "segments": ["country"]},
    "outcomes": {"files": "outcomes*"},
}
FOLDERS = {
    "exposures": {"files": "exposures/*/*", "segments": ["country"]},
    "outcomes": {"files": "outcomes*"},
}


def spec_for(sources: dict[str, Any] = FILES, **changes: Any) -> Experiment:
    window = {"window": "1d", "role": "guardrail"}
    metrics = {
        "bought": {"kind": "proportion", "outcome": "purchase", "margin": 0.05, **window},
        "spend": {"kind": "mean", "outcome": "purchase", "margin": 1, **window},
        "orders": {"kind": "count", "outcome": "purchase", "margin": 0.05, **window},
    }
    fields: dict[str, Any] = {
        "split": {"a": 50, "b": 50},
        "metrics": metrics,
        "plan": {"start": START, "duration": "14d", "look_every": "1d", "bucket": "1h"},
    }
    return spec_of(sources, **(fields | changes))


def verdict(spec: Experiment, folder: Path) -> dict[str, Any]:
    """All of a verdict but what names its sources."""
    pull(spec, folder)
    document = score_experiment(spec, folder / "w.duckdb", at=LOOK)
    found: dict[str, Any] = json.loads(document.model_dump_json(exclude={"spec_hash"}))
    return found


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The verdict from plain CSV."""
    folder = tmp_path_factory.mktemp("csv")
    CSV(folder, "exposures", exposures())
    CSV(folder, "outcomes", outcomes())
    found = verdict(spec_for(), folder)
    assert found["decision"] == "rollback"
    assert [m["baseline"] for m in found["metrics"]] == pytest.approx([0.5, 6.25, 0.5])
    assert [m["candidate"] for m in found["metrics"]] == pytest.approx([0.2, 2.5, 0.2])
    return found


@pytest.mark.parametrize("name", FORMATS)
def test_same_rows_give_the_same_verdict(tmp_path: Path, name: str, usual: dict[str, Any]) -> None:
    FORMATS[name](tmp_path, "exposures", exposures())
    FORMATS[name](tmp_path, "outcomes", outcomes())
    assert verdict(spec_for(), tmp_path) == usual


@pytest.mark.parametrize("write", [CSV, JSON_LINES, PARQUET], ids=["csv", "json", "parquet"])
@pytest.mark.parametrize("column", ["variant", "country"])
def test_folders_name_a_column(
    tmp_path: Path, write: Writer, column: str, usual: dict[str, Any]
) -> None:
    folder_writer(column, lambda row: str(row[column]), write)(tmp_path, "exposures", exposures())
    write(tmp_path, "outcomes", outcomes())
    assert verdict(spec_for(FOLDERS), tmp_path) == usual


@pytest.mark.parametrize("write", [CSV, JSON_LINES, PARQUET], ids=["csv", "json", "parquet"])
def test_a_column_of_the_file_comes_before_its_folders(
    tmp_path: Path, write: Writer, usual: dict[str, Any]
) -> None:
    for number, row in enumerate(exposures()):
        date = row["exposed_at"].date()
        folder = tmp_path / "exposures" / f"exposed_at={date}"
        folder.mkdir(parents=True, exist_ok=True)
        if number % 72 == 0:
            same = [r for r in exposures() if r["exposed_at"].date() == date]
            write(folder, "p", same)
    write(tmp_path, "outcomes", outcomes())
    assert verdict(spec_for(FOLDERS), tmp_path) == usual


@pytest.mark.parametrize("write", [CSV, JSON_LINES, PARQUET], ids=["csv", "json", "parquet"])
def test_folders_of_experiments_are_told_apart(
    tmp_path: Path, write: Writer, usual: dict[str, Any]
) -> None:
    other = [row | {"variant": "b", "user_id": row["user_id"] + 1000} for row in exposures()]
    for name, rows in (("quiz", exposures()), ("exam", other)):
        folder = tmp_path / "exposures" / f"experiment={name}"
        folder.mkdir(parents=True)
        write(folder, "p", rows)
    write(tmp_path, "outcomes", outcomes())
    found = verdict(spec_for(FOLDERS), tmp_path)
    assert found == usual


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("outcomes-2.json", "[]"),
        ("outcomes-2.json", " [\n]\n"),
        ("outcomes-2.jsonl", ""),
        ("outcomes-2.csv", ""),
        ("outcomes-2.csv", "\n \n"),
        ("outcomes-2.csv", "user_id,outcome,occurred_at,value\n"),
    ],
)
def test_an_empty_file_has_no_rows(
    tmp_path: Path, name: str, text: str, usual: dict[str, Any]
) -> None:
    CSV(tmp_path, "exposures", exposures())
    CSV(tmp_path, "outcomes-1", outcomes())
    (tmp_path / name).write_text(text)
    assert verdict(spec_for(), tmp_path) == usual


ID_FORMS: dict[str, Callable[[int], str]] = {
    "number": str,
    "floating point": lambda user: f"{user}.0",
    "decimal": lambda user: f"{user}.00",
    "blanks": lambda user: f" {user}\t",
    "a blank that isn't a space": lambda user: f"\u00a0{user}",
}
UUID_FORMS: dict[str, Callable[[int], str]] = {
    "small": lambda user: f"6ecd8c99-4036-403d-bf84-{user:012x}",
    "capital": lambda user: f"6ecd8c99-4036-403d-bf84-{user:012x}".upper(),
    "braces": lambda user: f"{{6ECD8C99-4036-403D-BF84-{user:012X}}}",
}


@pytest.mark.parametrize("write", [CSV, JSON_LINES], ids=["csv", "json"])
@pytest.mark.parametrize(
    "form", [*ID_FORMS.values(), *UUID_FORMS.values()], ids=[*ID_FORMS, *UUID_FORMS]
)
def test_ids_of_another_form_are_the_same_users(
    tmp_path: Path, write: Writer, form: Callable[[int], str], usual: dict[str, Any]
) -> None:
    plain = ID_FORMS["number"] if form in ID_FORMS.values() else UUID_FORMS["small"]
    CSV(tmp_path, "exposures", [r | {"user_id": plain(r["user_id"])} for r in exposures()])
    write(tmp_path, "outcomes", [r | {"user_id": form(r["user_id"])} for r in outcomes()])
    assert verdict(spec_for(), tmp_path)["metrics"] == usual["metrics"]


def with_values(write_did: object, write_not: object) -> Table:
    """A row for every user: what those who bought have, and the others."""
    bought = {row["user_id"]: row for row in outcomes()}
    return [
        {
            "user_id": row["user_id"],
            "outcome": "purchase",
            "occurred_at": row["exposed_at"] + timedelta(minutes=90),
            "value": write_did if row["user_id"] in bought else write_not,
        }
        for row in exposures()
    ]


@pytest.mark.parametrize(
    ("did", "did_not", "kind"),
    [(1, 0, "double"), (True, False, "boolean"), ("t", "f", "varchar"), (2.5, 0, "double")],
)
@pytest.mark.parametrize("format_", ["csv", "json", "parquet"])
def test_zero_and_false_did_not_happen(
    tmp_path: Path, format_: str, did: object, did_not: object, kind: str, usual: dict[str, Any]
) -> None:
    CSV(tmp_path, "exposures", exposures())
    rows = with_values(did, did_not)
    if format_ == "parquet":
        write_parquet(tmp_path / "outcomes.parquet", rows, {"value": kind})
    else:
        (CSV if format_ == "csv" else JSON_LINES)(tmp_path, "outcomes", rows)
    found = verdict(spec_for(), tmp_path)["metrics"]
    shares = {m["metric"]: (m["baseline"], m["candidate"]) for m in found}
    assert shares["bought"] == pytest.approx((0.5, 0.2))
    assert shares["orders"] == pytest.approx((0.5, 0.2))
    worth = float(did) if isinstance(did, int | float) else 1.0
    assert shares["spend"] == pytest.approx((0.5 * worth, 0.2 * worth))


@pytest.mark.parametrize("missing", [None, "NaN", "NULL", "\\N", "None", "inf"])
@pytest.mark.parametrize("format_", ["csv", "json", "parquet"])
def test_it_happened_without_a_value(tmp_path: Path, format_: str, missing: str | None) -> None:
    CSV(tmp_path, "exposures", exposures())
    rows = [row | {"value": missing} for row in outcomes()]
    if format_ == "parquet":
        kind = "double" if missing in (None, "NaN", "inf") else "varchar"
        write_parquet(tmp_path / "outcomes.parquet", rows, {"value": kind})
    else:
        (CSV if format_ == "csv" else JSON_LINES)(tmp_path, "outcomes", rows)
    metrics = spec_for().model_dump(include={"metrics"})["metrics"]
    spec = spec_for(metrics={name: metrics[name] for name in ("bought", "orders")})
    found = {
        m["metric"]: (m["baseline"], m["candidate"]) for m in verdict(spec, tmp_path)["metrics"]
    }
    assert found["bought"] == pytest.approx((0.5, 0.2))
    assert found["orders"] == pytest.approx((0.5, 0.2))


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "9999-12-31"])
@pytest.mark.parametrize("write", [CSV, JSON_LINES, PARQUET], ids=["csv", "json", "parquet"])
def test_zero_of_a_program_is_refused_with_its_row(
    tmp_path: Path, write: Writer, time: str
) -> None:
    rows = [*exposures(), exposures()[0] | {"user_id": 999, "exposed_at": time}]
    write(tmp_path, "exposures", rows)
    write(tmp_path, "outcomes", outcomes())
    with pytest.raises(UserDataRefused, match=rf"row 241: exposed_at is '{time[:4]}"):
        pull(spec_for(), tmp_path)


@pytest.mark.parametrize("write", [CSV, JSON_LINES], ids=["csv", "json"])
def test_id_that_lost_digits_is_refused(tmp_path: Path, write: Writer) -> None:
    write(tmp_path, "exposures", [r | {"user_id": "1.2345678901234568e+18"} for r in exposures()])
    write(tmp_path, "outcomes", outcomes())
    with pytest.raises(UserDataRefused, match=r"row 1: user_id is .* has lost digits"):
        pull(spec_for(), tmp_path)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running() as server:
        server.sql("create table seen (user_id text, variant text, exposed_at text, country text)")
        server.sql("create table did (user_id text, outcome text, occurred_at text, value text)")
        for table, rows in (("seen", exposures()), ("did", outcomes())):
            lines = ", ".join(
                "(" + ", ".join(f"'{text_of(v)}'" for v in row.values()) + ")" for row in rows
            )
            server.sql(f"insert into {table} values {lines}")
        yield server


@pytest.mark.parametrize(
    ("user", "at", "value"),
    [
        ("user_id", "occurred_at", "value"),
        ("user_id::int", "occurred_at::timestamptz", "value::numeric"),
        ("user_id::numeric(12, 2)", "occurred_at::timestamp", "value::money"),
        ("user_id::float8", "occurred_at::timestamptz", "value::float4"),
        ("user_id::char(9)", "occurred_at::timestamptz", "value::numeric(12, 4)"),
        ("user_id::xml", "occurred_at::timestamptz", "value::float8"),
    ],
)
def test_postgresql_gives_the_same_verdict(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    usual: dict[str, Any],
    user: str,
    at: str,
    value: str,
) -> None:
    monkeypatch.setenv("QUIZ_DSN", server.dsn)
    did = (
        f"select {user} as user_id, outcome, {at} as occurred_at, {value} as value, "
        "'{}'::json as other from did;  "
    )
    sources = {
        "exposures": {
            "dsn_env": "QUIZ_DSN",
            "query": "select * from seen",
            "segments": ["country"],
        },
        "outcomes": {"dsn_env": "QUIZ_DSN", "query": did},
    }
    assert verdict(spec_for(sources), tmp_path) == usual


@pytest.mark.parametrize("kind", ["inet", "macaddr", "bytea", "bit(32)"])
def test_postgresql_types_of_ids_have_their_text(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("QUIZ_DSN", server.dsn)
    written = {
        "inet": "10.0.0.7",
        "macaddr": "08:00:2b:01:02:03",
        "bytea": "\\x0aff",
        "bit(32)": "1" * 32,
    }[kind]
    query = f"select '{written}'::{kind} as user_id, 'a' as variant, '2026-01-02' as exposed_at"
    pull(spec_for({"exposures": {"dsn_env": "QUIZ_DSN", "query": query}}), tmp_path)
    assert rows_of(tmp_path, "select user_id from exposures") == [(written,)]


@pytest.mark.parametrize("time", ["infinity", "-infinity", "0001-01-01"])
def test_postgresql_times_that_are_none_are_refused(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, time: str
) -> None:
    monkeypatch.setenv("QUIZ_DSN", server.dsn)
    query = f"select 1 as user_id, 'a' as variant, '{time}'::timestamptz as exposed_at"
    with pytest.raises(UserDataRefused, match=r"row 1: exposed_at is .* is not a time"):
        pull(spec_for({"exposures": {"dsn_env": "QUIZ_DSN", "query": query}}), tmp_path)
