"""Writes figures into benchmarks/RESULTS.md, each with the floor measured in the same run."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

FILE = Path(__file__).with_name("RESULTS.md")
_HEAD = """# Results

Written by the benchmarks (`make bench`, `make bench-long`). CPU seconds are of user and system; the
ratio is of one run, so that another machine or a busy one gives about the same.

| work | figure | floor | ratio | goal | date | machine | load |
| --- | --- | --- | --- | --- | --- | --- | --- |
"""


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure; floor: what it is compared with, and what that is. goal: as a ratio, or
    as the figure itself where there is no floor.
    """

    work: str
    figure: float
    unit: str
    goal: str
    floor: float | None = None
    floor_of: str = ""

    @property
    def ratio(self) -> float | None:
        """Of the figure to its floor."""
        return None if self.floor is None else self.figure / self.floor


def write_results(
    figures: Sequence[Figure], file: Path = FILE, *, at_size_of_goals: bool = True
) -> None:
    """Prints the figures, and replaces their rows in the file; other rows stay.

    at_size_of_goals: fixed costs weigh more in a smaller run, so its rows have no goals.
    """
    rows = _rows(file)
    for one in figures:
        rows[one.work] = _row(one if at_size_of_goals else replace(one, goal=""))
        print(rows[one.work])
    file.write_text(_HEAD + "".join(f"{row}\n" for _, row in sorted(rows.items())))


def _rows(file: Path) -> dict[str, str]:
    if not file.exists():
        return {}
    lines = file.read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| ") and not line.startswith("| work |")]
    return {row.split(" | ")[0].removeprefix("| "): row for row in rows if "---" not in row}


def _row(one: Figure) -> str:
    floor = "" if one.floor is None else f"{one.floor:.3g} {one.unit} ({one.floor_of})"
    ratio = "" if one.ratio is None else f"{one.ratio:.3g}"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    machine = f"{os.cpu_count()} cores, {memory} GiB, {platform.machine()}"
    figure = f"{one.figure:.3g} {one.unit}"
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    cells = (one.work, figure, floor, ratio, one.goal, today, machine, f"{os.getloadavg()[0]:.1f}")
    return f"| {' | '.join(cells)} |"
