"""Rows of users, from whatever source: which columns they need, and what is wrong in them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from flows.formats.problems import UserError
from flows.warehouse.statements import statement

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, DuckDBPyRelation, Expression

_TIMES = ("TIMESTAMP", "DATE", "VARCHAR", "NULL")
_NUMBERS = ("DOUBLE", "FLOAT", "DECIMAL", "BOOLEAN", "VARCHAR", "NULL")
_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
_TIME_WANTED = "a time such as 2026-01-31T09:30:00Z (without a zone it is UTC)"
_MACROS = ("load/trimmed_macro", "load/one_form_macro", "load/number_text_macro")
# What a time since 1970 is counted in, as microseconds.
_UNITS_US = {"unix_s": 1_000_000.0, "unix_ms": 1_000.0, "unix_us": 1.0, "unix_ns": 0.001}


class UserDataRefused(UserError):
    """Exposures or outcomes can't be taken in as they are; the message says where and why."""


class UserRows(StrEnum):
    """What rows of users are about."""

    EXPOSURES = "exposures"
    OUTCOMES = "outcomes"

    @property
    def name_column(self) -> str:
        """What a row names beside the user: a variant, or an outcome."""
        return "variant" if self is UserRows.EXPOSURES else "outcome"

    def columns(self, mapping: Mapping[str, str]) -> dict[str, str]:
        """The column of each role; `value` and `experiment` may be absent from the data."""
        at = "exposed_at" if self is UserRows.EXPOSURES else "occurred_at"
        names = {"user": "user_id", self.name_column: self.name_column, "at": at}
        names |= {"experiment": "experiment"}
        names |= {"value": "value"} if self is UserRows.OUTCOMES else {}
        return {role: mapping.get(role, name) for role, name in names.items()}


@dataclass(frozen=True, slots=True)
class LeftOut:
    """How many rows were not taken in, each counted for the first thing that it lacks.

    without_value: rows that were taken in, but whose value is missing, NaN or infinite.
    """

    other_experiment: int = 0
    without_user: int = 0
    without_name: int = 0
    without_time: int = 0
    without_value: int = 0

    def __add__(self, other: LeftOut) -> LeftOut:
        """Both together."""
        return LeftOut(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


@dataclass(frozen=True, slots=True)
class StagedPart:
    """A part that was read and found good, waiting in a file.

    state: a file's size and times, '' where only reading can tell; checksum: of the rows taken.
    """

    part: str
    state: str
    path: Path
    checksum: str
    row_count: int
    left_out: LeftOut


@dataclass(frozen=True, slots=True)
class WantedRows:
    """What is to be read from a source.

    columns: the spec's own names, by role; the others have their default name.
    segments: columns by which users are split. names_in_data: the spec's names of variants, by
    what they are called in the data. time_format: as strftime has it, or one of unix_s, unix_ms,
    unix_us and unix_ns; None for ISO 8601.
    """

    kind: UserRows
    experiment: str
    columns: Mapping[str, str]
    segments: tuple[str, ...] = ()
    names_in_data: Mapping[str, str] = field(default_factory=dict)
    time_format: str | None = None

    @property
    def names(self) -> dict[str, str]:
        """The column of each role."""
        return self.kind.columns(self.columns)

    @property
    def used(self) -> tuple[str, ...]:
        """Every column that is read where it is there."""
        return tuple(dict.fromkeys((*self.names.values(), *self.segments)))

    @property
    def required(self) -> tuple[str, ...]:
        """Columns without which the rows can't be read: all but those that have a default."""
        return tuple(
            name
            for role, name in self.names.items()
            if role not in ("value", "experiment") or role in self.columns
        )


def check_columns(wanted: WantedRows, found: list[str], where: str) -> None:
    """Raises UserDataRefused if a required column is missing."""
    missing = [name for name in wanted.required if name not in found]
    if missing:
        raise UserDataRefused(
            f"{where}: no column {', '.join(map(repr, missing))} in these {wanted.kind}; it has "
            f"{', '.join(map(repr, found))}. Name the right one in the spec, such as "
            f"sources.{wanted.kind}.columns: {{{_role_of(wanted, missing[0])}: <column>}}"
        )
    absent = [name for name in wanted.segments if name not in found]
    if absent:
        raise UserDataRefused(
            f"{where}: no column {', '.join(map(repr, absent))}, by which "
            f"sources.{wanted.kind}.segments splits users; it has {', '.join(map(repr, found))}"
        )


def stage(
    con: DuckDBPyConnection,
    relation: DuckDBPyRelation,
    wanted: WantedRows,
    *,
    part: str,
    state: str,
    where: str,
    path: Path,
) -> StagedPart:
    """Reads a relation once, into a file at path, and judges every row.

    Raises UserDataRefused for a missing column, a column of the wrong type, or a time or a value
    that can't be read; duckdb.Error where reading itself fails.
    """
    for macro in _MACROS:
        con.execute(statement(macro))
    _open(relation, wanted, where)
    names = {spec.strip(): name for spec, name in wanted.names_in_data.items()}
    unit_us = _UNITS_US.get(wanted.time_format or "")
    con.execute(
        statement("load/staged_rows"),
        {
            "experiment": wanted.experiment,
            "has_experiment": wanted.names["experiment"] in relation.columns,
            "names": {"key": list(names), "value": list(names.values())},
            "time_format": wanted.time_format if unit_us is None else None,
            "unit_us": unit_us,
            "staged": str(path),
        },
    )
    found = _check(con, path)
    _refuse_unreadable(wanted, found, where)
    left_out = LeftOut(*(int(str(found[f.name])) for f in fields(LeftOut)))
    return StagedPart(
        part, state, path, str(found["checksum"]), int(str(found["row_count"])), left_out
    )


def _open(relation: DuckDBPyRelation, wanted: WantedRows, where: str) -> None:
    """Makes the view `incoming` over the relation, its columns named by role."""
    from duckdb import ConstantExpression, FunctionExpression  # noqa: PLC0415
    from duckdb.sqltypes import VARCHAR  # noqa: PLC0415

    check_columns(wanted, relation.columns, where)
    types = {n: str(t) for n, t in zip(relation.columns, relation.types, strict=True)}
    names = wanted.names
    _check_types(wanted, types, where)
    absent = {"experiment": ConstantExpression(None), "value": ConstantExpression("1")}
    roles = {"user": "user_id", wanted.kind.name_column: "name"}
    columns = [
        (
            _text(names[role], types) if names.get(role) in types else absent[role].cast(VARCHAR)
        ).alias(roles.get(role, role))
        for role in ("user", wanted.kind.name_column, "value", "experiment")
    ]
    columns.append(_column(names["at"], types).alias("happened_at"))
    segments = [
        FunctionExpression("one_form", FunctionExpression("trimmed", _text(name, types)))
        for name in wanted.segments
    ]
    listed = FunctionExpression("list_value", *segments)
    columns.append(listed.cast("VARCHAR[]").alias("segments"))
    relation.select(*columns).create_view("incoming", replace=True)


def _column(name: str, types: Mapping[str, str]) -> Expression:
    """The column; bytes (a Parquet string without its mark) as text."""
    from duckdb import ColumnExpression, FunctionExpression  # noqa: PLC0415

    column = ColumnExpression(name)
    return FunctionExpression("decode", column) if types[name] == "BLOB" else column


def _text(name: str, types: Mapping[str, str]) -> Expression:
    """The column as text."""
    from duckdb import FunctionExpression  # noqa: PLC0415
    from duckdb.sqltypes import VARCHAR  # noqa: PLC0415

    column = _column(name, types)
    if types[name] in ("DOUBLE", "FLOAT"):
        return FunctionExpression("number_text", column)
    return column.cast(VARCHAR)


def _check_types(wanted: WantedRows, types: Mapping[str, str], where: str) -> None:
    at, value = wanted.names["at"], wanted.names.get("value")
    known = wanted.time_format is not None or types[at] == "JSON"
    if not known and not types[at].strip('"').startswith(_TIMES):
        is_number = types[at].lstrip("U").startswith((*_INTEGERS, *_NUMBERS[:3]))
        hint = f"; {_since_1970(wanted)}" if is_number else ""
        raise UserDataRefused(
            f"{where}: column {at!r} has the type {types[at]}, it must hold {_TIME_WANTED}{hint}"
        )
    kind = types.get(value or "", "NULL").strip('"')
    if not kind.lstrip("U").startswith(_INTEGERS) and not kind.startswith(_NUMBERS):
        raise UserDataRefused(f"{where}: column {value!r} has the type {kind}, it must be a number")


def _check(con: DuckDBPyConnection, path: Path) -> dict[str, object]:
    answer = con.execute(statement("aggregate/staged_part"), {"staged": str(path)})
    names = [column[0] for column in answer.description or ()]
    return dict(zip(names, answer.fetchall()[0], strict=True))


def _refuse_unreadable(wanted: WantedRows, found: Mapping[str, object], where: str) -> None:
    if found["bad_ids"]:
        raise UserDataRefused(
            f"{where}: row {found['bad_id_row']}: {wanted.names['user']} is "
            f"{str(found['bad_id'])!r}: an id that went through floating point has lost digits; "
            f"export it as text or as an integer{_others(found['bad_ids'])}"
        )
    if found["bad_times"]:
        text = str(found["bad_time"])
        raise UserDataRefused(
            f"{where}: row {found['bad_time_row']}: {wanted.names['at']} is {text!r}, must be "
            f"{_time_wanted(wanted, text)}{_others(found['bad_times'])}"
        )
    if found["bad_values"]:
        raise UserDataRefused(
            f"{where}: row {found['bad_value_row']}: {wanted.names['value']} is "
            f"{str(found['bad_value'])!r}, must be a number such as 12.5"
            f"{_others(found['bad_values'])}"
        )


def _time_wanted(wanted: WantedRows, text: str) -> str:
    """What a time that can't be read must be."""
    if wanted.time_format is not None:
        return f"a time after 1980 as time_format {wanted.time_format!r} says"
    hint = ""
    if _is_number(text):
        hint = f"; {_since_1970(wanted)}"
    elif re.match(r"[01]\d{3}-", text) or "BC" in text:
        hint = "; the zero or the infinity of another program is no time: leave it empty"
    return f"{_TIME_WANTED}{hint}"


def _since_1970(wanted: WantedRows) -> str:
    return (
        f"where it counts the time since 1970, set sources.{wanted.kind}.time_format to unix_s "
        "(or unix_ms, unix_us, unix_ns)"
    )


def _others(count: object) -> str:
    more = int(str(count)) - 1
    return f" ({more:,} more such rows)" if more else ""


def _role_of(wanted: WantedRows, column: str) -> str:
    return next(role for role, name in wanted.names.items() if name == column)


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdigit()
