"""The rows of a source, in columns that every format has alike."""

from __future__ import annotations

from collections.abc import Mapping

from duckdb import (
    CaseExpression,
    ColumnExpression,
    ConstantExpression,
    DuckDBPyRelation,
    Expression,
    FunctionExpression,
)
from duckdb.sqltypes import DOUBLE, VARCHAR

from flows.ingest.sources.user_rows import (
    TIME_WANTED,
    UserDataRefused,
    UserRows,
    WantedRows,
    check_columns,
    hint_since_1970,
)

_TIMES = ("TIMESTAMP", "DATE", "VARCHAR", "NULL")
_NUMBERS = ("DOUBLE", "FLOAT", "DECIMAL", "BOOLEAN", "VARCHAR", "NULL")
# Of which the text would be read as the very same number again.
_PLAIN_NUMBERS = ("DOUBLE", "TINYINT", "SMALLINT", "INTEGER", "BIGINT")
_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")


def incoming_rows(relation: DuckDBPyRelation, wanted: WantedRows, where: str) -> DuckDBPyRelation:
    """The relation's rows, its columns named by role."""
    check_columns(wanted, relation.columns, where)
    types = {n: str(t) for n, t in zip(relation.columns, relation.types, strict=True)}
    names = wanted.names
    _check_types(wanted, types, where)
    absent = {"experiment": ConstantExpression(None), "value": _without_values(wanted, types)}
    roles = {"user": "user_id", wanted.kind.name_column: "name"}
    number = names.get("value")
    is_number = types.get(number or "") in _PLAIN_NUMBERS
    absent |= {"value": ConstantExpression(None)} if is_number else {}
    of_rows = {
        role: text_of(names[role], types)
        if names.get(role) in types and not (is_number and role == "value")
        else absent[role].cast(VARCHAR)
        for role in ("user", wanted.kind.name_column, "value", "experiment")
        if names.get(role) in types or role in absent
    }
    if wanted.wide and wanted.kind is UserRows.OUTCOMES:
        of_rows |= _unpivoted(wanted, types)
    columns = [column.alias(roles.get(role, role)) for role, column in of_rows.items()]
    came = ColumnExpression(number) if number and is_number else ConstantExpression(None)
    columns.append(came.cast(DOUBLE).alias("number"))
    at = ConstantExpression(wanted.at) if wanted.at else _column(names["at"], types)
    columns.append(at.alias("happened_at"))
    segments = [
        FunctionExpression("one_form", FunctionExpression("trimmed", text_of(name, types)))
        for name in wanted.segments
    ]
    listed = FunctionExpression("list_value", *segments)
    columns.append(listed.cast("VARCHAR[]").alias("segments"))
    return relation.select(*columns)


def _without_values(wanted: WantedRows, types: Mapping[str, str]) -> Expression:
    """What stands for a row's value, where there is no column of values."""
    one = ConstantExpression("1")
    if not wanted.summed:
        return one
    name = FunctionExpression("trimmed", text_of(wanted.names[wanted.kind.name_column], types))
    is_summed = name.isin(*map(ConstantExpression, wanted.summed))
    return CaseExpression(is_summed, ConstantExpression(None)).otherwise(one)


def _unpivoted(wanted: WantedRows, types: Mapping[str, str]) -> dict[str, Expression]:
    """The name and the value of each outcome of a row, a row each."""
    values = [text_of(column, types) for column in wanted.wide.values()]
    listed = {
        "outcome": [ConstantExpression(name) for name in wanted.wide],
        "value": values,
    }
    return {
        role: FunctionExpression("unnest", FunctionExpression("list_value", *each))
        for role, each in listed.items()
    }


def _column(name: str, types: Mapping[str, str]) -> Expression:
    """The column; bytes (a Parquet string without its mark) as text."""
    column = ColumnExpression(name)
    return FunctionExpression("decode", column) if types[name] == "BLOB" else column


def text_of(name: str, types: Mapping[str, str]) -> Expression:
    """The column as text."""
    column = _column(name, types)
    if types[name] in ("DOUBLE", "FLOAT"):
        return FunctionExpression("number_text", column)
    return column.cast(VARCHAR)


def _check_types(wanted: WantedRows, types: Mapping[str, str], where: str) -> None:
    at, value = wanted.names.get("at"), wanted.names.get("value")
    known = at is None or wanted.time_format is not None or types[at] == "JSON"
    if at is not None and not known and not types[at].strip('"').startswith(_TIMES):
        is_number = types[at].lstrip("U").startswith((*_INTEGERS, *_NUMBERS[:3]))
        hint = f"; {hint_since_1970(wanted)}" if is_number else ""
        raise UserDataRefused(
            f"{where}: column {at!r} has the type {types[at]}, it must hold {TIME_WANTED}{hint}"
        )
    of_outcomes = wanted.wide.values() if wanted.kind is UserRows.OUTCOMES else ()
    for column in (value, *of_outcomes):
        kind = types.get(column or "", "NULL").strip('"')
        if not kind.lstrip("U").startswith(_INTEGERS) and not kind.startswith(_NUMBERS):
            raise UserDataRefused(
                f"{where}: column {column!r} has the type {kind}, it must be a number"
            )
