"""What was tried, and what it did to the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

TRACEBACK = "Traceback (most recent call last)"
COUNTERS = ("tried", "lost", "doubled", "leftovers", "hangs", "tracebacks", "secrets", "other")
# What a mistake of ours prints without --debug.
MISTAKE = "failed, nothing was decided: "


@dataclass(slots=True)
class Tally:
    """Counts of one kind of fault; said: a line for each thing that should not be."""

    kind: str
    tried: int = 0
    lost: int = 0
    doubled: int = 0
    leftovers: int = 0
    hangs: int = 0
    tracebacks: int = 0
    secrets: int = 0
    other: int = 0
    said: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether nothing was lost, doubled, left, hanging or unexplained."""
        return not self.said

    def fail(self, counter: str, line: str, number: int = 1) -> None:
        """Adds to one of the counters."""
        setattr(self, counter, getattr(self, counter) + number)
        self.said.append(f"{self.kind}: {line}")

    def add(self, other: Tally) -> None:
        """Takes in what else was tried of this kind."""
        for name in COUNTERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.said += other.said

    def hear(self, output: str, what: str) -> None:
        """Notes a traceback, or the line in its place, in what a command printed."""
        if TRACEBACK in output or MISTAKE in output:
            self.fail("tracebacks", f"{what}: {output[-1500:]}")


def table(tallies: Sequence[Tally]) -> str:
    """All counts, a line per kind and their sums, then what is wrong."""
    heads = ("faults tried", "rows lost", "rows doubled", *COUNTERS[3:])
    rows = [(one.kind, *(getattr(one, name) for name in COUNTERS)) for one in tallies]
    rows.append(("all", *(sum(getattr(one, name) for one in tallies) for name in COUNTERS)))
    lines = [f"{'':34}" + "".join(f"{head:>14}" for head in heads)]
    lines += [f"{kind:34}" + "".join(f"{n:>14}" for n in counts) for kind, *counts in rows]
    return "\n".join([*lines, *(line for one in tallies for line in one.said)])
