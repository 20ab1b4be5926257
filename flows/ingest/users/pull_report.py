"""What a pull of users' data did, in numbers and in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from flows.formats.text import counted
from flows.ingest.sources.user_rows import LeftOut, UserRows
from flows.ingest.users.conversion_counters import ConversionPull

_MOST_NAMES = 5


@dataclass(frozen=True, slots=True)
class SourcePull:
    """One source after a pull.

    replaced: parts whose rows were written; unchanged: how many parts were left as they were;
    vanished: parts that are not found any more, whose rows stay; forgotten: parts of another
    source, whose rows are gone. row_count, left_out: over all parts of the source.
    unknown: rows by a name that the spec doesn't know.
    """

    kind: UserRows
    replaced: tuple[str, ...]
    unchanged: int
    vanished: tuple[str, ...]
    forgotten: tuple[str, ...]
    row_count: int
    left_out: LeftOut
    unknown: Mapping[str, int] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """A part of a sentence."""
        return (
            f"{self.row_count:,} {self.kind} ({counted(len(self.replaced), 'part')} read, "
            f"{self.unchanged} unchanged)"
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
        if self.left_out.without_value:
            found.append(
                f"{_rows(self.left_out.without_value)} of {self.kind} without a value (missing, "
                "NaN or infinite): that they happened counts, sums leave them out"
            )
        if self.unknown:
            found.append(self._about_unknown())
        if self.vanished:
            found.append(f"not found any more, rows kept: {', '.join(self.vanished)}")
        return tuple(found)

    def _about_unknown(self) -> str:
        names = list(self.unknown.items())
        listed = ", ".join(f"{name!r} ({_rows(rows)})" for name, rows in names[:_MOST_NAMES])
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        if self.kind is UserRows.EXPOSURES:
            return f"variants that the spec doesn't have are ignored: {listed}{more}"
        return f"no metric asks for any of these outcomes: {listed}{more}"


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


@dataclass(frozen=True, slots=True)
class UserPull:
    """What one pull of exposures, outcomes and conversions did."""

    experiment: str
    sources: tuple[SourcePull, ...]
    conversions: ConversionPull | None = None

    @property
    def summary(self) -> str:
        """One sentence."""
        parts = [source.summary for source in self.sources]
        return "; ".join(parts + ([self.conversions.summary] if self.conversions else []))

    @property
    def warnings(self) -> tuple[str, ...]:
        """Everything that a person should know about the data."""
        found = [text for source in self.sources for text in source.warnings]
        return (*found, *(self.conversions.warnings if self.conversions else ()))
