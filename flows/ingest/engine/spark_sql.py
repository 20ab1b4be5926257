"""Statements of sql/ as Spark SQL: translated by SQLGlot, and rules where spelling differs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from functools import cache
from typing import Any

from sqlglot import exp, parse_one

from flows.ingest.engine.spark_rules import NotInSpark, spelled

# The earliest and latest times that Spark reads; of DuckDB's own infinities it knows nothing.
_INFINITIES = {"-infinity": "0001-01-01T00:00:00+00:00", "infinity": "9999-12-31T00:00:00+00:00"}
_TIMES = {"start", "since", "until", "earliest", "latest"}
# Of values that are no text; the first that fits.
_TYPES: tuple[tuple[type, str], ...] = (
    (bool, "boolean"),
    (int, "bigint"),
    (float, "double"),
    (datetime, "timestamptz"),
    (date, "date"),
)


def spark_sql(
    statement: str,
    parameters: Mapping[str, Any],
    tables: Mapping[str, str],
    macros: Mapping[str, str],
) -> str:
    """The rows that a statement yields or writes, as a query of Spark.

    tables: the view of each table that it reads, by its name or what a parameter says.
    macros: those that it may call, by name, as sql/load creates them.
    Raises NotInSpark.
    """
    tree = _rows_of(_parsed(statement).copy())
    tree = _without_with(_with_macros(tree, macros))
    for node in list(tree.find_all(exp.Table)):
        if node.name == "local_rows":
            node.replace(_values(parameters["local_rows"], node.args["alias"]))
        else:
            _rename(node, parameters, tables)
    tree = tree.transform(_bound, parameters)
    return tree.transform(spelled).sql(dialect="spark", comments=False)


@cache
def _parsed(statement: str) -> exp.Expr:
    return parse_one(statement, read="duckdb")


def _rows_of(tree: exp.Expr) -> exp.Expr:
    """What a statement that makes, fills or empties a table leaves in it."""
    if isinstance(tree, exp.Create | exp.Insert):
        tree = tree.expression
    elif isinstance(tree, exp.Copy):
        tree = tree.this
    elif isinstance(tree, exp.Delete):
        gone = exp.func("coalesce", tree.args["where"].this, exp.false())
        tree = exp.select("*").from_(tree.this).where(exp.not_(gone))
    return tree.unnest() if isinstance(tree, exp.Subquery) else tree


def _with_macros(tree: exp.Expr, macros: Mapping[str, str]) -> exp.Expr:
    while calls := [c for c in tree.find_all(exp.Anonymous) if c.name.lower() in macros]:
        for call in reversed(calls):
            macro = _parsed(macros[call.name.lower()])
            names = [each.name for each in macro.this.expressions]
            given = dict(zip(names, call.expressions, strict=True))
            body = macro.expression.copy().transform(
                lambda node, given=given: (
                    given[node.name].copy()
                    if isinstance(node, exp.Column) and node.name in given
                    else node
                )
            )
            call.replace(exp.paren(body))
    return tree


def _without_with(tree: exp.Expr) -> exp.Expr:
    """With what `with` names written where it is read.

    Spark 4.0 doesn't find persisted rows again that a `with` over files makes.
    """
    for node in list(tree.find_all(exp.With)):
        for named in node.expressions:
            for read in list((node.parent or tree).find_all(exp.Table)):
                if read.name == named.alias:
                    rows = exp.Subquery(this=named.this.copy(), alias=_alias(read, named.alias))
                    read.replace(rows)
        node.pop()
    return tree


def _rename(node: exp.Table, parameters: Mapping[str, Any], tables: Mapping[str, str]) -> None:
    name = node.name
    if isinstance(node.this, exp.ReadParquet | exp.Anonymous):
        name = str(next(parameters[each.name] for each in node.this.find_all(exp.Placeholder)))
    view = exp.to_table(tables[name])
    view.set("alias", _alias(node, name))
    node.replace(view)


def _alias(node: exp.Table, name: str) -> exp.Expr:
    alias = node.args.get("alias") or exp.TableAlias(this=exp.to_identifier(name))
    return alias.copy()


def _values(rows: list[list[Any]], alias: exp.Expr) -> exp.Expr:
    listed = [exp.Tuple(expressions=[literal(value) for value in row]) for row in rows]
    return exp.Values(expressions=listed, alias=alias.copy())


def _bound(node: exp.Expr, parameters: Mapping[str, Any]) -> exp.Expr:
    if isinstance(node, exp.Bracket) and isinstance(node.this, exp.Placeholder):
        looked_in = parameters[node.this.name]
        if isinstance(looked_in, Mapping):
            return _looked_up(looked_in, node.expressions[0])
    if not isinstance(node, exp.Placeholder):
        return node
    value = parameters[node.name]
    if node.name in _TIMES and isinstance(value, str):
        return exp.cast(exp.Literal.string(_INFINITIES[value]), "timestamptz")
    return literal(value)


def _looked_up(names: Mapping[str, list[str]], key: exp.Expr) -> exp.Expr:
    """The value of a map's key, null where it has none."""
    if not names["key"]:
        return exp.cast(exp.null(), "varchar")
    found = exp.Case(this=key.copy())
    for name, value in zip(names["key"], names["value"], strict=True):
        found = found.when(literal(name), literal(value))
    return found


def literal(value: Any) -> exp.Expr:
    """A value as DuckDB's and Spark's SQL have it."""
    if isinstance(value, list | tuple):
        listed = exp.Array(expressions=[literal(each) for each in value])
        return listed if value else exp.cast(listed, "varchar[]")
    if isinstance(value, datetime):
        value = value.astimezone(UTC)
    for kind, name in _TYPES:
        if isinstance(value, kind):
            text = repr(value) if isinstance(value, float) else _text(value)
            return exp.cast(exp.Literal.string(text), name)
    if value is None or isinstance(value, str):
        return exp.convert(value)
    raise NotInSpark(f"a parameter of type {type(value).__name__}")


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)
