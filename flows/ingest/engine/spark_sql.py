"""Statements of sql/ as Spark SQL: translated by SQLGlot, and rules where spelling differs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from functools import cache
from typing import Any

from sqlglot import exp, parse_one

# The earliest and latest times that Spark reads; of DuckDB's own infinities it knows nothing.
_INFINITIES = {"-infinity": "0001-01-01T00:00:00+00:00", "infinity": "9999-12-31T00:00:00+00:00"}
_TIMES = {"start", "since", "until", "earliest", "latest"}
# Formats of strftime as Java has them.
_JAVA = {
    "%Y": "yyyy", "%m": "MM", "%d": "dd", "%H": "HH", "%M": "mm", "%S": "ss", "%f": "SSSSSS",
    "%y": "yy", "%b": "MMM", "%B": "MMMM", "%I": "hh", "%p": "a", "%z": "XX", "%j": "DDD",
}  # fmt: skip
# Of values that are no text; the first that fits.
_TYPES: tuple[tuple[type, str], ...] = (
    (bool, "boolean"),
    (int, "bigint"),
    (float, "double"),
    (datetime, "timestamptz"),
    (date, "date"),
)


class NotInSpark(ValueError):
    """Something that Spark has no word for."""


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
    tree = _with_macros(tree, macros)
    with_names = {each.alias for each in tree.find_all(exp.CTE)}
    for node in list(tree.find_all(exp.Table)):
        if node.name == "local_rows":
            node.replace(_values(parameters["local_rows"], node.args["alias"]))
        else:
            _rename(node, parameters, tables, with_names)
    tree = tree.transform(_bound, parameters)
    return tree.transform(_spelled).sql(dialect="spark", comments=False)


@cache
def _parsed(statement: str) -> exp.Expression:
    return parse_one(statement, read="duckdb")


def _rows_of(tree: exp.Expression) -> exp.Expression:
    """What a statement that makes, fills or empties a table leaves in it."""
    if isinstance(tree, exp.Create | exp.Insert):
        tree = tree.expression
    elif isinstance(tree, exp.Copy):
        tree = tree.this
    elif isinstance(tree, exp.Delete):
        gone = exp.func("coalesce", tree.args["where"].this, exp.false())
        tree = exp.select("*").from_(tree.this).where(exp.not_(gone))
    return tree.unnest() if isinstance(tree, exp.Subquery) else tree


def _with_macros(tree: exp.Expression, macros: Mapping[str, str]) -> exp.Expression:
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
            if call is tree:
                return body
            call.replace(exp.paren(body))
    return tree


def _rename(
    node: exp.Table,
    parameters: Mapping[str, Any],
    tables: Mapping[str, str],
    with_names: set[str],
) -> None:
    name = node.name
    if isinstance(node.this, exp.ReadParquet | exp.Anonymous):
        name = str(next(parameters[each.name] for each in node.this.find_all(exp.Placeholder)))
    if name in with_names and name not in tables:
        return
    view = exp.to_table(tables[name])
    alias = node.args.get("alias") or exp.TableAlias(this=exp.to_identifier(name))
    view.set("alias", alias.copy())
    node.replace(view)


def _values(rows: list[list[Any]], alias: exp.Expression) -> exp.Expression:
    listed = [exp.Tuple(expressions=[literal(value) for value in row]) for row in rows]
    return exp.Values(expressions=listed, alias=alias.copy())


def _bound(node: exp.Expression, parameters: Mapping[str, Any]) -> exp.Expression:
    if isinstance(node, exp.Bracket) and isinstance(node.this, exp.Placeholder):
        return _looked_up(parameters[node.this.name], node.expressions[0])
    if not isinstance(node, exp.Placeholder):
        return node
    value = parameters[node.name]
    if node.name in _TIMES and isinstance(value, str):
        return exp.cast(exp.Literal.string(_INFINITIES[value]), "timestamptz")
    return literal(value)


def _looked_up(names: Mapping[str, list[str]], key: exp.Expression) -> exp.Expression:
    """The value of a map's key, null where it has none."""
    if not names["key"]:
        return exp.cast(exp.null(), "varchar")
    found = exp.Case(this=key.copy())
    for name, value in zip(names["key"], names["value"], strict=True):
        found = found.when(literal(name), literal(value))
    return found


def literal(value: Any) -> exp.Expression:
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


def _spelled(node: exp.Expression) -> exp.Expression:
    """A node as Spark spells it."""
    if isinstance(node, exp.Column) and node.name == "file_row_number":
        return _call("monotonically_increasing_id")
    rule = _RULES.get(type(node))
    if isinstance(node, exp.Anonymous):
        rule = _FUNCTIONS.get(node.name.lower())
    return rule(node) if rule else node


def _call(name: str, *arguments: exp.Expression) -> exp.Expression:
    return exp.Anonymous(this=name, expressions=list(arguments))


def _number(node: exp.Expression) -> exp.Expression:
    """1.0 is a decimal to Spark."""
    is_whole = node.is_string or node.name.isdigit()
    if is_whole or isinstance(node.parent, exp.Cast):
        return node
    return exp.cast(exp.Literal.string(node.name), "double")


def _place(node: exp.Expression) -> exp.Expression:
    """Elements count from 1, and null is what isn't there; SQLGlot has numbers from 0."""
    place = node.expressions[0]
    if isinstance(place, exp.Slice):
        first = exp.Literal.number(1)
        return _call("slice", node.this, first, place.expression)
    if isinstance(place, exp.Literal):
        place = exp.Literal.number(int(place.name) + 1)
    return _call("try_element_at", node.this, exp.cast(place.copy(), "int"))


def _replaced(node: exp.Expression) -> exp.Expression:
    """Groups of a pattern are $1 in what replaces them."""
    to = node.args.get("replacement")
    if isinstance(to, exp.Literal):
        to.set("this", re.sub(r"\\(\d)", r"$\1", to.name))
    return node


def _collected(node: exp.Expression) -> exp.Expression:
    ordered = node.this
    if not isinstance(ordered, exp.Order):
        return node
    return _call("sort_array", exp.ArrayAgg(this=ordered.this.copy()))


def _hashed(node: exp.Expression) -> exp.Expression:
    """A sum of them needs more digits than they have."""
    found = _call("xxhash64", *node.expressions)
    return exp.cast(found, "decimal(38, 0)") if isinstance(node.parent, exp.Sum) else found


def _percentile(node: exp.Expression) -> exp.Expression:
    order = exp.Order(expressions=[exp.Ordered(this=node.this)])
    return exp.WithinGroup(this=_call("percentile_disc", node.expression), expression=order)


def _is_finite(node: exp.Expression) -> exp.Expression:
    value = node.expressions[0]
    infinity = exp.cast(exp.Literal.string("Infinity"), "double")
    return exp.paren(
        exp.and_(
            exp.not_(_call("isnan", value.copy())),
            exp.NEQ(this=exp.Abs(this=value.copy()), expression=infinity),
        )
    )


def _matches(node: exp.Expression) -> exp.Expression:
    text, pattern = node.this, node.expression
    return exp.RegexpLike(this=text, expression=exp.Literal.string(f"^(?:{pattern.name})$"))


def _type_name(node: exp.Expression) -> exp.Expression:
    is_text = exp.EQ(this=_call("typeof", node.this), expression=exp.Literal.string("string"))
    return exp.Case().when(is_text, exp.Literal.string("VARCHAR")).else_(exp.Literal.string(""))


def _type(node: exp.Expression) -> exp.Expression:
    if node.this is exp.DType.UBIGINT:
        return exp.DataType.build("bigint")
    return exp.DataType.build("decimal(38, 0)") if node.this is exp.DType.INT128 else node


def _unnested(node: exp.Expression) -> exp.Expression:
    """Several lists side by side, a row for each place in the first."""
    lists = [
        each
        for projection in node.expressions
        for each in projection.find_all(exp.Explode)
        if each.parent_select is node
    ]
    if not lists:
        return node
    size = _call("size", lists[0].this.copy())
    first = exp.Literal.number(1)
    places = _call("sequence", first.copy(), exp.Add(this=size.copy(), expression=first.copy()))
    rows = exp.Explode(this=_call("slice", places, first.copy(), size))
    named = exp.TableAlias(this=exp.to_identifier("_rows"), columns=[exp.to_identifier("_row")])
    for each in lists:
        each.replace(_call("try_element_at", each.this.copy(), exp.column("_row")))
    node.append("laterals", exp.Lateral(this=rows, view=True, alias=named))
    return node


def _time_of(node: exp.Expression) -> exp.Expression:
    text, written = node.expressions
    if not isinstance(written, exp.Literal):
        return exp.cast(exp.null(), "timestamptz")
    return _call("try_to_timestamp", text, exp.Literal.string(_java_format(written.name)))


def _java_format(written: str) -> str:
    parts = re.split(r"(%.)", written)
    unknown = [each for each in parts if each.startswith("%") and each not in _JAVA]
    if unknown:
        raise NotInSpark(f"{unknown[0]} of the time_format {written!r}")
    quoted = (re.sub(r"[A-Za-z]+", r"'\g<0>'", each) for each in parts)
    return "".join(_JAVA.get(part, text) for part, text in zip(parts, quoted, strict=True))


def _renamed(name: str) -> Callable[[exp.Expression], exp.Expression]:
    return lambda node: _call(name, *node.expressions)


_RULES: dict[type[exp.Expression], Callable[[exp.Expression], exp.Expression]] = {
    exp.Literal: _number,
    exp.Bracket: _place,
    exp.RegexpReplace: _replaced,
    exp.ArrayAgg: _collected,
    exp.RegexpFullMatch: _matches,
    exp.PercentileDisc: _percentile,
    exp.Typeof: _type_name,
    exp.DataType: _type,
    exp.Select: _unnested,
}
_FUNCTIONS: dict[str, Callable[[exp.Expression], exp.Expression]] = {
    "epoch_us": _renamed("unix_micros"),
    "make_timestamptz": _renamed("timestamp_micros"),
    "hash": _hashed,
    "isfinite": _is_finite,
    "try_strptime": _time_of,
}
