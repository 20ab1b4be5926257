"""The table of verdicts that a terminal shows, readable at 80 columns and without colour."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from analysis.verdict import Decision

_STYLES = {
    Decision.PROMOTE: "bold green",
    Decision.HOLD: "bold yellow",
    Decision.ROLLBACK: "bold red",
    Decision.INVALID: "bold magenta",
}

_NAME_WIDTH = 20


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """One experiment's latest verdict.

    score: 0..100, or None without data.
    metrics: one line per metric.
    reasons: plain sentences, the decisive ones first.
    """

    experiment: str
    decision: Decision
    score: float | None
    metrics: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()


def verdict_table(rows: Sequence[VerdictRow], others: Sequence[Decision] = ()) -> RenderableType:
    """A table with a row per verdict, and a line with how many there are of each decision.

    others: decisions that are only counted.
    """
    table = Table(box=box.SIMPLE_HEAD, expand=True, pad_edge=False, collapse_padding=True)
    # A long name folds: it never takes the room that the reasons need.
    table.add_column("experiment", overflow="fold", min_width=10, max_width=_NAME_WIDTH)
    table.add_column("verdict", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("why, and what was measured", overflow="fold", ratio=1)
    for row in rows:
        decision = Text(row.decision.value, style=_STYLES[row.decision])
        table.add_row(Text(_folded(row.experiment)), decision, _score(row.score), _why(row))
        table.add_section()
    totals = _totals([*(row.decision for row in rows), *others])
    return Group(table, totals) if rows else totals


def _folded(name: str) -> str:
    """The name on lines that end at its dashes; what has none is folded anywhere."""
    lines = [""]
    for part in re.findall("[^-]*-|[^-]+", name):
        if lines[-1] and len(lines[-1]) + len(part) > _NAME_WIDTH:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def _score(score: float | None) -> Text:
    """Rounded down: 99.97 is not a full 100."""
    return Text("-" if score is None else str(int(score)))


def _why(row: VerdictRow) -> RenderableType:
    """The reasons as a list, below them the metrics; Text, so that brackets stay brackets."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for reason in row.reasons:
        grid.add_row("*", Text(reason))
    for metric in row.metrics:
        grid.add_row("", Text(metric, style="dim"))
    return grid


def _totals(decisions: Sequence[Decision]) -> Text:
    counts = Counter(decisions)
    named = [
        Text(f"{count} {decision.value}", style=_STYLES[decision])
        for decision in Decision
        if (count := counts[decision])
    ]
    return Text(", ").join(named) if named else Text("no verdicts yet")
