"""The table of verdicts says everything at 80 columns, in colour or not."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from analysis.verdict import Decision
from dashboards.verdict_table import VerdictRow, verdict_table

ROWS = (
    VerdictRow(
        "exam-canary",
        Decision.PROMOTE,
        99.97,
        ("errors: 0.10 % against 0.12 %",),
        ("errors: harm at most 0.11 points (margin 0.50)",),
    ),
    VerdictRow("exam-rollback", Decision.ROLLBACK, 0.0, (), ("errors [bold]: 3.10 % failed",)),
    VerdictRow("quiz-format", Decision.HOLD, None, (), ("1200 more users are needed",)),
    VerdictRow("x" * 63, Decision.INVALID, 51.2, (), ("split: 60 % instead of 50 %",)),
)


def shown(width: int, *, colour: bool = False, rows: tuple[VerdictRow, ...] = ROWS) -> str:
    console = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=colour,
        color_system="standard" if colour else None,
    )
    console.print(verdict_table(rows))
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


@pytest.mark.parametrize("width", [80, 120])
def test_nothing_is_cut_off(width: int) -> None:
    text = shown(width)
    assert all(len(line) <= width for line in text.splitlines())
    assert "…" not in text
    words = set(text.split())
    for row in ROWS:
        for sentence in (row.decision.value, *row.reasons, *row.metrics):
            assert set(sentence.split()) <= words
    assert text.count("x") >= 63


def test_a_long_name_is_folded_at_its_dashes() -> None:
    text = shown(80, rows=(VerdictRow("payment-service-blue-green", Decision.HOLD, None),))
    starts = [line.split()[0] for line in text.splitlines() if line.strip()]
    assert "payment-service-" in starts
    assert "blue-green" in starts


def test_an_almost_full_score_is_not_a_full_one() -> None:
    line = next(line for line in shown(120).splitlines() if "exam-canary" in line)
    assert line.split()[:3] == ["exam-canary", "promote", "99"]


def test_no_colour_means_no_escape_codes() -> None:
    assert "\x1b" not in shown(80)
    assert "1 promote, 1 hold, 1 rollback, 1 invalid" in shown(80)


@pytest.mark.parametrize(
    ("decision", "code"),
    [("promote", "32"), ("hold", "33"), ("rollback", "31"), ("invalid", "35")],
)
def test_each_decision_has_its_colour(decision: str, code: str) -> None:
    assert f"\x1b[1;{code}m{decision}" in shown(120, colour=True)


def test_brackets_in_reasons_are_not_markup() -> None:
    assert "errors [bold]: 3.10 % failed" in shown(120)


def test_an_empty_table_says_so() -> None:
    assert "no verdicts yet" in shown(80, rows=())
