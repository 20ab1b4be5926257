"""What `verdict watch` shows: numbers as people read them, and a dash where there is none."""

from __future__ import annotations

import io
from datetime import UTC, datetime

from rich.console import Console

from analysis.metric_result import Estimate
from analysis.verdict import Decision
from dashboards.report_view import PastHarm, PastLook
from dashboards.watch_view import VariantNow, Watched, watch_screen

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NAN, INF = float("nan"), float("inf")


def shown(*harms: PastHarm) -> str:
    now = PastLook(AT, Decision.HOLD, None, harms)
    variants = (
        VariantNow("stable", 1234.5, 0.95, 0.95, 0.99, None, None),
        VariantNow("canary", 1.234567, 0.05, 0.05, None, None, None),
    )
    console = Console(file=io.StringIO(), width=200)
    console.print(watch_screen(Watched("exam", 100.0, variants, (now,), ("why",), ())))
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def test_harm_of_a_share_is_in_points_and_of_a_mean_in_its_unit() -> None:
    text = shown(
        PastHarm("errors", "canary", Estimate(0.0011, -0.002, 0.0042), 0.005, is_share=True),
        PastHarm("minutes", "canary", Estimate(1.23456, -INF, INF), 0.0, is_share=False),
    )
    rows = {line.split()[0]: line.split() for line in text.splitlines() if line.strip()}
    assert rows["errors"][-1] == "0.50"
    assert "+0.11 points, \N{MINUS SIGN}0.20 to +0.42" in text
    assert rows["minutes"][-1] == "0"
    assert "+1.235, no bounds yet" in text


def test_gain_of_a_goal_is_a_gain() -> None:
    harm = Estimate(-0.0893, -0.1377, -0.0594)
    text = shown(PastHarm("completion", "canary", harm, 0.0, is_share=True, is_goal=True))
    assert "completion (gain)" in text
    assert "+8.93 points, +5.94 to +13.77" in text


def test_what_is_not_known_is_a_dash() -> None:
    text = shown(PastHarm("errors", "canary", Estimate(NAN, NAN, NAN), 0.005, is_share=True))
    assert "nan" not in text


def test_times_and_rates_are_said_as_people_say_them() -> None:
    text = shown()
    assert "last 2 min" in text
    assert "1,234" in text
    assert "1.23 " in text
    assert "e+" not in text
