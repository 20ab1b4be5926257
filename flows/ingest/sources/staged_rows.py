"""Rows of users, read once into a file, each judged: what is taken, left out or refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from duckdb import DuckDBPyConnection, DuckDBPyRelation

from flows.ingest.sources.incoming_rows import incoming_rows
from flows.ingest.sources.user_rows import (
    TIME_WANTED,
    LeftOut,
    StagedPart,
    UserDataRefused,
    UserRows,
    WantedRows,
    hint_since_1970,
    one_in,
)
from flows.warehouse.statements import run

_MACROS = ("load/trimmed_macro", "load/one_form_macro", "load/number_text_macro")
# What a time since 1970 is counted in, as microseconds.
_UNITS_US = {"unix_s": 1_000_000.0, "unix_ms": 1_000.0, "unix_us": 1.0, "unix_ns": 0.001}


def stage(
    con: DuckDBPyConnection,
    relation: DuckDBPyRelation,
    wanted: WantedRows,
    *,
    part: str,
    state: str,
    where: str,
    path: Path,
    name_rows: Callable[[DuckDBPyRelation], object] | None = None,
) -> StagedPart:
    """Reads a relation once, into a file at path, and judges every row.

    con: with make_macros' macros.
    name_rows: makes `incoming` of a relation, where con is no DuckDB.

    Raises UserDataRefused for a missing column, a column of the wrong type, or a time or a value
    that can't be read; duckdb.Error where reading itself fails.
    """
    incoming = incoming_rows(relation, wanted, where)
    if name_rows is None:
        incoming.create_view("incoming", replace=True)
    else:
        name_rows(incoming)
    has_experiment = wanted.names.get("experiment") in relation.columns
    found = _stage(con, wanted, path, has_experiment=has_experiment)
    others: list[str] = found.get("other_names", [])
    if has_experiment and not found["row_count"] and wanted.names_no_experiment(others):
        found = _stage(con, wanted, path, has_experiment=False)
    left_out = LeftOut()
    if found["noted"]:
        _refuse_unreadable(wanted, found, where)
        left_out = LeftOut(*(int(str(found[f.name])) for f in fields(LeftOut)))
    has_values = wanted.names.get("value") in relation.columns
    return StagedPart(
        part,
        state if has_values else wanted.state_of(state),
        path,
        str(found["checksum"]),
        int(str(found["row_count"])),
        left_out,
        one_in=one_in(left_out.other_experiment),
    )


def make_macros(con: DuckDBPyConnection) -> None:
    """Makes what the statements on incoming rows need, once for all that a connection stages."""
    for macro in _MACROS:
        run(con, macro)


def stage_for_nobody(
    con: DuckDBPyConnection,
    relation: DuckDBPyRelation,
    wanted: WantedRows,
    *,
    path: Path,
    one_in: int,
) -> None:
    """Writes rows to a file at path as those of other experiments, whatever they name.

    one_in: of one user in so many.
    """
    incoming_rows(relation, wanted, "").create_view("incoming", replace=True)
    # No row names an experiment without a name.
    whole = path.with_suffix(".whole")
    _write(con, replace(wanted, experiment=""), whole, has_experiment=True)
    run(con, "load/sampled_rows", staged=str(whole), one_in=one_in, sampled=str(path))
    whole.unlink()


def _stage(
    con: DuckDBPyConnection, wanted: WantedRows, path: Path, *, has_experiment: bool
) -> dict[str, Any]:
    """Writes the incoming rows to a file, and returns what was found in them."""
    _write(con, wanted, path, has_experiment=has_experiment)
    found = _one_row(con, "aggregate/staged_part", path)
    return found | _one_row(con, "aggregate/left_out_rows", path) if found["noted"] else found


def _one_row(con: DuckDBPyConnection, name: str, path: Path) -> dict[str, Any]:
    """The one row of a statement on a staged part, by column."""
    answer = run(con, name, staged=str(path))
    columns = [column[0] for column in answer.description or ()]
    return dict(zip(columns, answer.fetchall()[0], strict=True))


def _write(
    con: DuckDBPyConnection, wanted: WantedRows, path: Path, *, has_experiment: bool
) -> None:
    names = {one_form(in_data): name for in_data, name in wanted.names_in_data.items()}
    unit_us = _UNITS_US.get(wanted.time_format or "")
    run(
        con,
        "load/staged_rows",
        experiment=wanted.experiment,
        has_experiment=has_experiment,
        names={"key": list(names), "value": list(names.values())},
        time_format=wanted.time_format if unit_us is None and wanted.at is None else None,
        unit_us=unit_us if wanted.at is None else None,
        is_wide=bool(wanted.wide),
        staged=str(path),
    )


def one_form(name: str) -> str:
    """As load/one_form_macro makes it of a name in the data."""
    written = re.sub(r"^(-?[0-9]+)\.0*$", r"\1", name.strip())
    return written.lower() if written.lower() in ("true", "false") else written


def _refuse_unreadable(wanted: WantedRows, found: Mapping[str, object], where: str) -> None:
    if found["bad_ids"]:
        raise UserDataRefused(
            f"{where}: row {_row_of(wanted, found['bad_id_row'])}: {wanted.names['user']} is "
            f"{str(found['bad_id'])!r}: an id that went through floating point has lost digits; "
            f"export it as text or as an integer{_others(found['bad_ids'])}"
        )
    if found["bad_times"]:
        text = str(found["bad_time"])
        raise UserDataRefused(
            f"{where}: row {_row_of(wanted, found['bad_time_row'])}: "
            f"{wanted.names['at']} is {text!r}, must be "
            f"{_time_wanted(wanted, text)}{_others(found['bad_times'])}"
        )
    if found["bad_values"]:
        column = wanted.wide.get(str(found["bad_value_name"])) or wanted.names["value"]
        raise UserDataRefused(
            f"{where}: row {_row_of(wanted, found['bad_value_row'])}: "
            f"{column} is {str(found['bad_value'])!r}, must be a number such as 12.5"
            f"{_others(found['bad_values'])}"
        )


def _row_of(wanted: WantedRows, number: object) -> int:
    """The row of the data that a row became of."""
    each = len(wanted.wide) if wanted.kind is UserRows.OUTCOMES else 1
    return (int(str(number)) - 1) // max(each, 1) + 1


def _time_wanted(wanted: WantedRows, text: str) -> str:
    """What a time that can't be read must be."""
    if wanted.time_format is not None:
        return f"a time of 1980 to 2199 as time_format {wanted.time_format!r} says"
    hint = f", or as {wanted.section}.time_format says"
    if text.replace(".", "", 1).isdigit():
        hint = f"; {hint_since_1970(wanted)}"
    elif re.match(r"[01]\d{3}-", text) or "BC" in text:
        hint = "; the zero or the infinity of another program is not a time: leave it empty"
    return f"{TIME_WANTED}{hint}"


def _others(count: object) -> str:
    more = int(str(count)) - 1
    return f" ({more:,} more such rows)" if more else ""
