"""Rows of users, from whatever source: which columns they need, and what is wrong in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from flows.ingest.sources.source_error import SourceError

TIME_WANTED = "a time such as 2026-01-31T09:30:00Z (without a zone it is UTC)"


# Of a part's rows of other experiments, about so many are looked at.
_ELSEWHERE_ROWS = 20_000
_TRUTH = ("true", "false", "t", "f", "0", "1", "yes", "no", "on", "off")


class UserDataRefused(SourceError):
    """Exposures or outcomes can't be taken in as they are; the message says where and why."""


class UserRows(StrEnum):
    """What rows of users are about."""

    EXPOSURES = "exposures"
    OUTCOMES = "outcomes"

    @property
    def name_column(self) -> str:
        """What a row names beside the user: a variant, or an outcome."""
        return "variant" if self is UserRows.EXPOSURES else "outcome"

    @property
    def time_column(self) -> str:
        """When a row says that it happened."""
        return "exposed_at" if self is UserRows.EXPOSURES else "occurred_at"

    def columns(self, mapping: Mapping[str, str | None]) -> dict[str, str]:
        """The column of each role that has one.

        `value` and `experiment` may be absent from the data; the latter may be none in the mapping.
        """
        names = {"user": "user_id", self.name_column: self.name_column, "at": self.time_column}
        names |= {"experiment": "experiment"}
        names |= {"value": "value"} if self is UserRows.OUTCOMES else {}
        named = {role: mapping.get(role, name) for role, name in names.items()}
        return {role: name for role, name in named.items() if name is not None}


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


def one_in(rows: int) -> int:
    """Of the users of so many rows of other experiments, one in how many is looked at."""
    return 1 + rows // _ELSEWHERE_ROWS


@dataclass(frozen=True, slots=True)
class StagedPart:
    """A part that was read and found good, waiting in a file.

    state: a file's size and times, '' where only reading can tell; checksum: of the rows taken.
    others: the staged file that has the rows of other experiments, if that isn't the part's own.
    one_in: of users of other experiments, one in so many is looked at.
    """

    part: str
    state: str
    path: Path
    checksum: str
    row_count: int
    left_out: LeftOut
    others: Path | None = None
    one_in: int = 1


@dataclass(frozen=True, slots=True)
class WantedRows:
    """What is to be read from a source.

    columns: the spec's own names, by role; the others have their default name.
    segments: columns by which users are split. names_in_data: the spec's names of variants, by
    what they are called in the data; variants: all of the spec's. time_format: as strftime has it,
    or one of unix_s, unix_ms, unix_us and unix_ns; None for ISO 8601. wide: the column of each
    outcome, where a row is a user; at: the time of all rows, where none has its own. summed: the
    outcomes of which a metric adds up amounts: without a column of values a row of them has none,
    where one of another outcome counts as 1.
    """

    def names_no_experiment(self, values: Sequence[str]) -> bool:
        """Whether a column called experiment has other things in it: truth values, variants.

        Only where the spec names no such column.
        """
        others = {*_TRUTH, *self.variants, *self.names_in_data}
        return "experiment" not in self.columns and all(value in others for value in values)

    kind: UserRows
    experiment: str
    columns: Mapping[str, str | None]
    segments: tuple[str, ...] = ()
    names_in_data: Mapping[str, str] = field(default_factory=dict)
    time_format: str | None = None
    variants: tuple[str, ...] = ()
    wide: Mapping[str, str] = field(default_factory=dict)
    at: datetime | None = None
    summed: tuple[str, ...] = ()

    def state_of(self, state: str) -> str:
        """A part's state where its rows have no values of their own: these rest on metrics."""
        return f"{state} {self.summed}" if state and self.summed else state

    @property
    def section(self) -> str:
        """The spec's section of the source."""
        return "sources.users" if self.wide else f"sources.{self.kind}"

    @property
    def names(self) -> dict[str, str]:
        """The column of each role; of those that a row doesn't have itself, none."""
        names = self.kind.columns(self.columns)
        if self.wide and self.kind is UserRows.OUTCOMES:
            names = {role: names[role] for role in ("user", "at", "experiment") if role in names}
        if self.at is not None:
            del names["at"]
        return names

    @property
    def used(self) -> tuple[str, ...]:
        """Every column that is read where it is there."""
        of_outcomes = self.wide.values() if self.kind is UserRows.OUTCOMES else ()
        return tuple(dict.fromkeys((*self.names.values(), *self.segments, *of_outcomes)))

    @property
    def required(self) -> tuple[str, ...]:
        """Columns without which the rows can't be read: all but those that have a default."""
        of_outcomes = self.wide.values() if self.kind is UserRows.OUTCOMES else ()
        return (
            *(
                name
                for role, name in self.names.items()
                if role not in ("value", "experiment") or role in self.columns
            ),
            *of_outcomes,
        )


def check_columns(wanted: WantedRows, found: list[str], where: str) -> None:
    """Raises UserDataRefused if a required column is missing."""
    missing = [name for name in wanted.required if name not in found]
    if missing:
        raise UserDataRefused(
            f"{where}: no column {', '.join(map(repr, missing))} in these {wanted.kind}; it has "
            f"{', '.join(map(repr, found))}. Name the right one in the spec, such as "
            f"{_where_named(wanted, missing[0])}"
        )
    absent = [name for name in wanted.segments if name not in found]
    if absent:
        raise UserDataRefused(
            f"{where}: no column {', '.join(map(repr, absent))}, by which "
            f"{wanted.section}.segments splits users; it has {', '.join(map(repr, found))}"
        )


def _where_named(wanted: WantedRows, column: str) -> str:
    """The field of the spec that names a column."""
    if not wanted.wide:
        return f"{wanted.section}.columns: {{{_role_of(wanted, column)}: <column>}}"
    if column in wanted.wide.values():
        return "sources.users.outcomes: {<outcome>: <column>}"
    return f"sources.users.{_role_of(wanted, column)}: <column>"


def _role_of(wanted: WantedRows, column: str) -> str:
    return next(role for role, name in wanted.names.items() if name == column)


def hint_since_1970(wanted: WantedRows) -> str:
    """What to set where times are numbers."""
    return (
        f"where it counts the time since 1970, set {wanted.section}.time_format to unix_s "
        "(or unix_ms, unix_us, unix_ns)"
    )
