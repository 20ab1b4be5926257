"""Rows on an engine: what statement makes them of which other rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from flows.warehouse.statements import Connection, quoted


@dataclass(frozen=True, slots=True)
class RemoteView:
    """Rows that a statement makes of other views.

    files, state: of the first ones, the Parquet files that have them, and what tells those apart.
    macros: those that the statement may call. key: a hash of all this.
    """

    statement: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    reads: Mapping[str, RemoteView] = field(default_factory=dict)
    macros: Mapping[str, str] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    state: str = ""
    key: str = field(init=False)

    def __post_init__(self) -> None:
        """Works the key out."""
        reads = {name: view.key for name, view in sorted(self.reads.items())}
        text = written(
            [self.statement, self.parameters, reads, self.macros, self.files, self.state]
        )
        object.__setattr__(self, "key", hashlib.sha256(text.encode()).hexdigest()[:32])

    def chain(self) -> Iterator[RemoteView]:
        """This view, after all that it rests on."""
        seen: dict[str, RemoteView] = {}
        for view in self.reads.values():
            seen |= {each.key: each for each in view.chain()}
        yield from seen.values()
        yield self


def both(before: RemoteView, added: RemoteView) -> RemoteView:
    """The rows of one view and those of another."""
    return RemoteView(
        "select * from before union all select * from added", {}, {"before": before, "added": added}
    )


def local_rows(con: Connection, table: str, *, is_empty: bool = False) -> RemoteView:
    """The few rows of a table of the warehouse, or only its columns."""
    kinds = con.execute(f"describe {quoted(table)}").fetchall()
    rows: list[Any] = [] if is_empty else con.execute(f"from {quoted(table)}").fetchall()
    values = [list(row) for row in rows or [[None] * len(kinds)]]
    listed = ", ".join(quoted(name) for name, *_ in kinds)
    typed = ", ".join(f"cast({quoted(n)} as {kind}) as {quoted(n)}" for n, kind, *_ in kinds)
    where = "" if rows else " where false"
    return RemoteView(
        f"select {typed} from local_rows as r({listed}){where}", {"local_rows": values}
    )


def dumped(views: Mapping[str, RemoteView]) -> str:
    """Views by name, as text."""
    chain = {each.key: each for view in views.values() for each in view.chain()}
    facts = [
        {
            "key": each.key,
            "statement": each.statement,
            "parameters": each.parameters,
            "reads": {name: view.key for name, view in each.reads.items()},
            "macros": each.macros,
            "files": each.files,
            "state": each.state,
        }
        for each in chain.values()
    ]
    return written([facts, {name: view.key for name, view in views.items()}])


def loaded(text: str) -> dict[str, RemoteView]:
    """The views of dumped."""
    facts, names = read(text)
    found: dict[str, RemoteView] = {}
    for each in facts:
        reads = {name: found[key] for name, key in each["reads"].items()}
        found[each["key"]] = RemoteView(
            each["statement"],
            each["parameters"],
            reads,
            each["macros"],
            tuple(each["files"]),
            each["state"],
        )
    return {name: found[key] for name, key in names.items()}


def written(value: object) -> str:
    """A value of SQL as JSON, with dates and times marked."""
    return json.dumps(value, default=_marked)


def read(text: str) -> Any:
    """The value of written."""
    return json.loads(text, object_hook=_unmarked)


def _marked(value: object) -> dict[str, str]:
    if isinstance(value, datetime):
        return {"$at": value.astimezone(UTC).isoformat()}
    if isinstance(value, date):
        return {"$on": value.isoformat()}
    raise TypeError(f"{type(value).__name__} is no value of SQL")


def _unmarked(found: dict[str, Any]) -> Any:
    if found.keys() == {"$at"}:
        return datetime.fromisoformat(found["$at"])
    return date.fromisoformat(found["$on"]) if found.keys() == {"$on"} else found
