"""How Spark spells what a statement of sql/ has: a rule for each kind of node that differs."""

from __future__ import annotations

import re
from collections.abc import Callable

from sqlglot import exp

# Formats of strftime as Java has them.
_JAVA = {
    "%Y": "yyyy", "%m": "MM", "%d": "dd", "%H": "HH", "%M": "mm", "%S": "ss", "%f": "SSSSSS",
    "%y": "yy", "%b": "MMM", "%B": "MMMM", "%I": "hh", "%p": "a", "%z": "XX", "%j": "DDD",
}  # fmt: skip


class NotInSpark(ValueError):
    """Something that Spark has no word for."""


def spelled(node: exp.Expr) -> exp.Expr:
    """A node as Spark spells it."""
    if isinstance(node, exp.Column) and node.name == "file_row_number":
        return _call("monotonically_increasing_id")
    rule = _RULES.get(type(node))
    if isinstance(node, exp.Anonymous):
        rule = _FUNCTIONS.get(node.name.lower())
    return rule(node) if rule else node


def _call(name: str, *arguments: exp.Expr) -> exp.Expr:
    return exp.Anonymous(this=name, expressions=list(arguments))


def _number(node: exp.Expr) -> exp.Expr:
    """1.0 is a decimal to Spark."""
    is_whole = node.is_string or node.name.isdigit()
    if is_whole or isinstance(node.parent, exp.Cast):
        return node
    return exp.cast(exp.Literal.string(node.name), "double")


def _place(node: exp.Expr) -> exp.Expr:
    """Elements count from 1, and null is what isn't there; SQLGlot has numbers from 0."""
    place = node.expressions[0]
    if isinstance(place, exp.Slice):
        first = exp.Literal.number(1)
        return _call("slice", node.this, first, place.expression)
    if isinstance(place, exp.Literal):
        place = exp.Literal.number(int(place.name) + 1)
    return _call("try_element_at", node.this, exp.cast(place.copy(), "int"))


def _replaced(node: exp.Expr) -> exp.Expr:
    """Groups of a pattern are $1 in what replaces them."""
    to = node.args.get("replacement")
    if isinstance(to, exp.Literal):
        to.set("this", re.sub(r"\\(\d)", r"$\1", to.name))
    return node


def _collected(node: exp.Expr) -> exp.Expr:
    ordered = node.this
    if not isinstance(ordered, exp.Order):
        return node
    return _call("sort_array", exp.ArrayAgg(this=ordered.this.copy()))


def _listed(node: exp.Expr) -> exp.Expr:
    """An empty list of no type is none that Arrow has."""
    is_typeless = not node.expressions and isinstance(node.parent, exp.Alias)
    return exp.cast(node.copy(), "array<double>", dialect="spark") if is_typeless else node


def _hashed(node: exp.Expr) -> exp.Expr:
    """A sum of them needs more digits than they have."""
    found = _call("xxhash64", *node.expressions)
    return exp.cast(found, "decimal(38, 0)") if isinstance(node.parent, exp.Sum) else found


def _percentile(node: exp.Expr) -> exp.Expr:
    order = exp.Order(expressions=[exp.Ordered(this=node.this)])
    return exp.WithinGroup(this=_call("percentile_disc", node.expression), expression=order)


def _is_finite(node: exp.Expr) -> exp.Expr:
    value = node.expressions[0]
    infinity = exp.cast(exp.Literal.string("Infinity"), "double")
    return exp.paren(
        exp.and_(
            exp.not_(_call("isnan", value.copy())),
            exp.NEQ(this=exp.Abs(this=value.copy()), expression=infinity),
        )
    )


def _matches(node: exp.Expr) -> exp.Expr:
    text, pattern = node.this, node.expression
    return exp.RegexpLike(this=text, expression=exp.Literal.string(f"^(?:{pattern.name})$"))


def _type_name(node: exp.Expr) -> exp.Expr:
    is_text = exp.EQ(this=_call("typeof", node.this), expression=exp.Literal.string("string"))
    return exp.Case().when(is_text, exp.Literal.string("VARCHAR")).else_(exp.Literal.string(""))


def _type(node: exp.Expr) -> exp.Expr:
    if node.this is exp.DType.UBIGINT:
        return exp.DataType.build("bigint")
    return exp.DataType.build("decimal(38, 0)") if node.this is exp.DType.INT128 else node


def _unnested(node: exp.Expr) -> exp.Expr:
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


def _time_of(node: exp.Expr) -> exp.Expr:
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


def _renamed(name: str) -> Callable[[exp.Expr], exp.Expr]:
    return lambda node: _call(name, *node.expressions)


_RULES: dict[type[exp.Expr], Callable[[exp.Expr], exp.Expr]] = {
    exp.Literal: _number,
    exp.Bracket: _place,
    exp.RegexpReplace: _replaced,
    exp.Array: _listed,
    exp.ArrayAgg: _collected,
    exp.RegexpFullMatch: _matches,
    exp.PercentileDisc: _percentile,
    exp.Typeof: _type_name,
    exp.DataType: _type,
    exp.Select: _unnested,
}
_FUNCTIONS: dict[str, Callable[[exp.Expr], exp.Expr]] = {
    "epoch_us": _renamed("unix_micros"),
    "list_position": _renamed("array_position"),
    "make_timestamptz": _renamed("timestamp_micros"),
    "hash": _hashed,
    "isfinite": _is_finite,
    "try_strptime": _time_of,
}
