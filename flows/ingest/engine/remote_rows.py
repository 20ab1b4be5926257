"""The warehouse, with its tables of users' rows as views on an engine that is elsewhere.

The statements of the users' pass run on it as they do on DuckDB. Those that make rows only define
views; an answer is asked of the engine, and kept: the same question of the same rows is answered
from what is kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from flows.ingest.engine.views import RemoteView, both, local_rows
from flows.warehouse.statements import Connection

# What holds a row per user or per thing that they did.
ROW_TABLES = ("exposures", "outcomes", "left_out_outcomes", "exposed_users")
_COMMENT = re.compile(r"--.*$", re.MULTILINE)
_MACRO = re.compile(r"create or replace temporary macro (\w+)")
_WRITTEN = re.compile(
    r"(create or replace temporary table|insert into|delete from|copy \()\s*(\w+)"
)
_READ = re.compile(
    r"(?<!distinct )\b(?:from|join)\s+(?:read_parquet\((?=\$))?\"?(\$?[a-z_]\w*)", re.IGNORECASE
)
_WITH = re.compile(r"(?:\bwith|,)\s+(\w+) as \(")
_INSERTED = re.compile(r"insert into \w+\s*(?:\([^)]*\))?")


@dataclass(frozen=True, slots=True)
class RemoteAnswer:
    """The columns and rows that a question was answered with; they are fetched once."""

    columns: Sequence[str]
    rows: list[tuple[Any, ...]]

    @property
    def description(self) -> list[tuple[str]]:
        """The columns' names, as DuckDB has them."""
        return [(name,) for name in self.columns]

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows."""
        return self.rows

    def fetchone(self) -> tuple[Any, ...] | None:
        """The first row."""
        return self.rows[0] if self.rows else None


Ask: TypeAlias = Callable[[RemoteView], RemoteAnswer]


class RemoteRows:
    """A connection to the warehouse, of which `views` are elsewhere.

    ask: answers what rows a view has.
    """

    def __init__(self, con: Connection, views: Mapping[str, RemoteView], ask: Ask) -> None:
        self._con = con
        self.views = dict(views)
        self._macros: dict[str, str] = {}
        self._ask = ask

    @classmethod
    def without_rows(cls, con: Connection, ask: Ask) -> RemoteRows:
        """All tables of rows, empty."""
        return cls(con, {name: local_rows(con, name, is_empty=True) for name in ROW_TABLES}, ask)

    def define(self, name: str, sql: str) -> None:
        """Names the rows of a query."""
        self._far(sql, {}, self._read_by(sql, {}), "create", name)

    def execute(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Connection:
        """Runs a statement where its rows are."""
        parameters = parameters or {}
        text = _COMMENT.sub("", sql).strip()
        if macro := _MACRO.match(text):
            self._macros[macro[1]] = text
            return self._con.execute(sql, parameters)
        written = _WRITTEN.match(text)
        way, target = (written[1], written[2]) if written else ("", "")
        if way == "copy (":
            target = str(parameters["staged"])
        names = self._read_by(text, parameters)
        far = names & self.views.keys()
        if not far and target not in self.views and way != "copy (":
            return self._con.execute(sql, parameters)
        return self._far(text, parameters, names, way, target)

    def _read_by(self, text: str, parameters: Mapping[str, Any]) -> set[str]:
        """The tables that a statement reads; one that a parameter names, by what it says."""
        names = set(_READ.findall(text)) - set(_WITH.findall(text))
        return {str(parameters[n[1:]]) if n.startswith("$") else n for n in names}

    def _far(
        self, text: str, parameters: Mapping[str, Any], names: set[str], way: str, target: str
    ) -> Connection:
        reads = {name: self.views.get(name) or local_rows(self._con, name) for name in names}
        before = self.views.get(target)
        if way == "delete from" and before is not None:
            reads[target] = before
        macros = {name: body for name, body in self._macros.items() if f"{name}(" in text}
        view = RemoteView(text, parameters, reads, self._with_inner(macros))
        if way == "insert into" and before is None:
            rows = self._ask(view).rows
            if rows:
                places = ", ".join("?" * len(rows[0]))
                head = cast("re.Match[str]", _INSERTED.match(text))[0]
                self._con.executemany(f"{head} values ({places})", rows)
            return self._con
        if way:
            self.views[target] = both(before, view) if way == "insert into" and before else view
            return cast("Connection", RemoteAnswer((), []))
        return cast("Connection", self._ask(view))

    def _with_inner(self, macros: Mapping[str, str]) -> dict[str, str]:
        """With the macros that these call."""
        inner = {
            name: body
            for name, body in self._macros.items()
            if any(f"{name}(" in text for text in macros.values())
        }
        return {**inner, **macros}
