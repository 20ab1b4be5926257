"""What a pull of users' data did, in numbers and in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from flows.formats.text import counted
from flows.ingest.sources.user_rows import LeftOut, UserRows

_MOST_NAMES = 5
_rows = partial(counted, thing="row")


@dataclass(frozen=True, slots=True)
class CameAgain:
    """A part that is not found any more, and whose rows came again in others.

    Or one that was written anew and lacks some of its rows: it is then replaced by itself.
    """

    part: str
    row_count: int
    found_again: int
    replaced_by: Sequence[str]

    def __str__(self) -> str:
        """A sentence."""
        others = _named([str(name) for name in self.replaced_by])
        rest = self.row_count - self.found_again
        if self.part in self.replaced_by:
            return (
                f"{self.part} lacks {rest:,} of {_rows(self.row_count)} that it had; they are gone "
                "and count no more"
            )
        changed = f"; {_rows(rest)} of it did not come again and are gone" if rest else ""
        return (
            f"{self.part} is not found any more; {others} has its rows, which count once{changed}"
        )


@dataclass(frozen=True, slots=True)
class EarlyUsers:
    """Users exposed before the plan's start; early_only: those that weren't exposed after it."""

    start: datetime
    users: int
    early_only: int

    def __str__(self) -> str:
        """A sentence."""
        again = self.users - self.early_only
        later = f"; {again:,} of them were exposed again and count from then on" if again else ""
        return (
            f"{self.users:,} users were exposed before the plan's start "
            f"({self.start:%Y-%m-%d %H:%M:%S} UTC); these exposures are left out{later}"
        )


@dataclass(frozen=True, slots=True)
class RowsAhead:
    """Rows at times that had not come when they were looked at; latest: the last of these."""

    kind: UserRows
    row_count: int
    latest: datetime

    def __str__(self) -> str:
        """A sentence."""
        return (
            f"{_rows(self.row_count)} of {self.kind} at times that have not come, the latest "
            f"{self.latest.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC: they count from then on; if the "
            "times are local, write them with their zone (2026-01-31T09:30:00+01:00)"
        )


@dataclass(frozen=True, slots=True)
class SourcePull:
    """One source after a pull.

    replaced: parts whose rows were written; unchanged: how many parts were left as they were;
    vanished: parts that are not found any more, whose rows stay; forgotten: parts of another
    source, whose rows are gone. row_count, left_out: over all parts of the source. names: rows by
    variant or outcome, as they came; unknown: by one that the spec doesn't know. came_again: parts
    that others replace. empty: parts without any row. copies: parts with the rows of another one,
    and that one. early: users exposed before the plan's start, if any; ahead: rows of times that
    have not come, if any.
    """

    kind: UserRows
    replaced: tuple[str, ...]
    unchanged: int
    vanished: tuple[str, ...]
    forgotten: tuple[str, ...]
    row_count: int
    left_out: LeftOut
    names: Mapping[str, int] = field(default_factory=dict)
    unknown: Mapping[str, int] = field(default_factory=dict)
    came_again: tuple[CameAgain, ...] = ()
    empty: tuple[str, ...] = ()
    copies: tuple[tuple[str, str], ...] = ()
    early: EarlyUsers | None = None
    ahead: RowsAhead | None = None

    @property
    def summary(self) -> str:
        """A part of a sentence."""
        early = f"; {self.early}" if self.early is not None else ""
        return (
            f"{self.row_count:,} {self.kind} ({counted(len(self.replaced), 'part')} read, "
            f"{self.unchanged} unchanged){early}"
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know about the data."""
        found = [
            f"{_rows(count)} of {self.kind} left out: {why}"
            for count, why in (
                (self.left_out.without_user, "no user"),
                (self.left_out.without_name, f"no {self.kind.name_column}"),
                (self.left_out.without_time, "no time"),
            )
            if count
        ]
        if self.left_out.other_experiment and not self.row_count:
            found.append(
                f"all {_rows(self.left_out.other_experiment)} of {self.kind} are of other "
                "experiments; if their column experiment names something else, set "
                f"sources.{self.kind}.columns: {{experiment: null}}"
            )
        if self.left_out.without_value:
            found.append(
                f"{_rows(self.left_out.without_value)} of {self.kind} without a value (missing, "
                "NaN or infinite): that they happened counts, sums leave them out"
            )
        if self.ahead is not None:
            found.append(str(self.ahead))
        if self.unknown:
            found.append(self._about_unknown())
        if self.vanished:
            found.append(
                f"not found any more, rows kept: {_named(self.vanished)}; files without rows in "
                "their place take the rows away"
            )
        found += [str(each) for each in self.came_again[:_MOST_NAMES]]
        if self.empty:
            found.append(f"no rows of {self.kind} in {_named(self.empty)}")
        found += [
            f"{part} has the same rows of {self.kind} as {other}; both count"
            for part, other in self.copies[:_MOST_NAMES]
        ]
        return tuple(found)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the verdict should know: the warnings, and what is left out by plan."""
        return self.warnings if self.early is None else (str(self.early), *self.warnings)

    def _about_unknown(self) -> str:
        names = list(self.unknown.items())
        listed = ", ".join(f"{name!r} ({_rows(rows)})" for name, rows in names[:_MOST_NAMES])
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        if self.kind is UserRows.EXPOSURES:
            return f"variants that the spec doesn't have are ignored: {listed}{more}"
        return f"no metric asks for any of these outcomes: {listed}{more}"


def _named(parts: Sequence[str]) -> str:
    more = f" and {len(parts) - _MOST_NAMES} more" if len(parts) > _MOST_NAMES else ""
    return f"{', '.join(parts[:_MOST_NAMES])}{more}"


@dataclass(frozen=True, slots=True)
class AggregatePull:
    """What one pull of sums did; vanished: groups of users that were there and aren't any more."""

    row_count: int
    parts: int
    is_changed: bool
    vanished: tuple[str, ...]

    @property
    def summary(self) -> str:
        """A part of a sentence."""
        how = "read anew" if self.is_changed else "unchanged"
        return f"{_rows(self.row_count)} of sums in {counted(self.parts, 'file')}, {how}"

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know about the data."""
        return vanished_sums(self.vanished)


def vanished_sums(groups: Sequence[str]) -> tuple[str, ...]:
    """A sentence on groups whose sums are not found any more, if there are any."""
    if not groups:
        return ()
    return (f"sums not found any more, which don't count: {_named(groups)}",)


@dataclass(frozen=True, slots=True)
class ConversionPull:
    """What one pull of conversion counters did.

    windows: how many were written; users: by variant and outcome, in them; foreign_series: series
    of the metric that name no variant of the spec; server_warnings: what the source said.
    """

    windows: int
    users: Mapping[tuple[str, str], int]
    foreign_series: int = 0
    server_warnings: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """A part of a sentence."""
        counts = ", ".join(f"{v} {o} {n:,}" for (v, o), n in sorted(self.users.items()))
        windows = counted(self.windows, "window")
        return f"conversion counters in {windows}" + (f": {counts}" if counts else "")

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know about the data."""
        if not self.foreign_series:
            return self.server_warnings
        foreign = f"{self.foreign_series} conversion series name no variant of the spec"
        return (*self.server_warnings, foreign)


@dataclass(frozen=True, slots=True)
class UserPull:
    """What one pull of exposures, outcomes, sums and conversions did."""

    experiment: str
    sources: tuple[SourcePull, ...]
    conversions: ConversionPull | None = None
    sums: AggregatePull | None = None

    @property
    def summary(self) -> str:
        """One sentence."""
        return "; ".join(each.summary for each in self._parts)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Everything that a person should know about the data."""
        return tuple(text for each in self._parts for text in each.warnings)

    @property
    def _parts(self) -> tuple[SourcePull | AggregatePull | ConversionPull, ...]:
        others = (self.sums, self.conversions)
        return (*self.sources, *(each for each in others if each is not None))
