"""Rows that the first look at something writes, and no later one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flows.warehouse.statements import Connection, run


@dataclass(frozen=True, slots=True)
class FirstTime:
    """A row that isn't there yet, and that a verdict rests on: it is written with it.

    known: the statement that reads it, by the key; load: the one that writes it.
    """

    known: str
    load: str
    key: Mapping[str, Any]
    values: Mapping[str, Any]

    def is_taken(self, con: Connection) -> bool:
        """Whether another look has written it meanwhile."""
        return run(con, self.known, **self.key).fetchone() is not None

    def write(self, con: Connection) -> None:
        """In the caller's transaction."""
        run(con, self.load, **self.key, **self.values)
