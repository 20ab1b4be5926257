"""What the charts of a page share: scales, lines by variant, bands of stages, marks of looks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from markupsafe import Markup

from analysis.verdict import Decision
from dashboards.chart_svg import BELOW, COLOURS, DASHES, HEIGHT
from dashboards.report_view import ExperimentReport, PastLook

Layer = dict[str, Any]
_UTC = {"type": "utc"}
_TIMES = {
    "title": None,
    "format": {
        "seconds": "%H:%M:%S",
        "minutes": "%H:%M",
        "hours": "%H:%M",
        "date": "%b %d",
        "day": "%b %d",
        "week": "%b %d",
    },
}
# One letter a look, so that no decision is told by colour alone.
LETTERS = {
    Decision.PROMOTE: "P",
    Decision.HOLD: "H",
    Decision.ROLLBACK: "R",
    Decision.INVALID: "!",
}
_DECISION_COLOURS = {
    Decision.PROMOTE: "var(--good)",
    Decision.HOLD: "var(--open)",
    Decision.ROLLBACK: "var(--bad)",
    Decision.INVALID: "var(--void)",
}
_MOST_MARKS = 60
# Numbers of many digits would reach into the title.
_SHORT = "abs(datum.value) < 1e4 ? datum.label : format(datum.value, '~s')"


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart under its title."""

    title: str
    svg: Markup
    note: str = ""


def line_layer(rows: Sequence[Layer], variants: int, axis: str, *, zero: bool) -> Layer:
    return {
        "data": {"values": list(rows)},
        "mark": {"type": "line", "strokeWidth": 1.75},
        "encoding": {
            "x": time_axis("t"),
            "y": quantity("y", axis, zero=zero),
            **by_variant(variants),
        },
    }


def stage_bands(report: ExperimentReport) -> list[Layer]:
    """Every second stage on a shade of its own, with the share that candidates should have."""
    rows = []
    for i, stage in enumerate(report.split):
        shares = [s.configured for s in stage.variants[1:] if s.configured is not None]
        text = " ".join(f"{100 * share:g}%" for share in shares)
        rows.append(
            {"t": ms_of(stage.start), "end": ms_of(stage.end), "text": text, "fill": 0.3 * (i % 2)}
        )
    if not rows:
        return []
    data = {"values": rows}
    x = time_axis("t")
    return [
        {
            "data": data,
            "mark": {"type": "rect", "color": "var(--band)"},
            "encoding": {
                "x": x,
                "x2": {"field": "end"},
                "opacity": {"field": "fill", "type": "quantitative", "scale": None},
            },
        },
        {
            "data": data,
            "mark": {
                "type": "text", "align": "left", "baseline": "bottom", "dx": 1, "y": -5,
                "fontSize": 10, "fill": "var(--soft)",
            },
            "encoding": {"x": x, "text": {"field": "text"}},
        },
    ]  # fmt: skip


def look_marks(looks: Sequence[PastLook]) -> list[Layer]:
    """A dot at each look; a letter at the last one, and where the decision changes."""
    every = max(1, math.ceil(len(looks) / _MOST_MARKS))
    rows = []
    for i, look in enumerate(looks):
        letter = LETTERS[look.decision]
        is_told = i in (0, len(looks) - 1) or looks[i - 1].decision is not look.decision
        if is_told or (len(looks) - 1 - i) % every == 0:
            said = letter.lower() if look.is_of_older_spec else letter
            colour = _DECISION_COLOURS[look.decision]
            rows.append({"t": ms_of(look.at), "text": said if is_told else "·", "fill": colour})
    if not rows:
        return []
    return [
        {
            "data": {"values": rows},
            "mark": {"type": "text", "fontSize": 10, "fontWeight": "bold", "y": HEIGHT - BELOW + 1},
            "encoding": {
                "x": time_axis("t"),
                "text": {"field": "text"},
                "color": {"field": "fill", "type": "nominal", "scale": None},
            },
        }
    ]


def by_variant(variants: int) -> Layer:
    n = range(variants)
    shown = [COLOURS[i % len(COLOURS)] for i in n], [DASHES[i % len(DASHES)] for i in n]
    return {
        name: {"field": "v", "type": "ordinal", "scale": {"domain": list(n), "range": values}}
        for name, values in zip(("color", "strokeDash"), shown, strict=True)
    }


def time_axis(field: str) -> Layer:
    return {"field": field, "type": "temporal", "scale": _UTC, "axis": _TIMES}


def quantity(field: str, title: str, *, zero: bool) -> Layer:
    return {
        "field": field,
        "type": "quantitative",
        "scale": {"zero": zero},
        "axis": {"title": title, "labelExpr": _SHORT},
    }


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def ms_of(at: datetime) -> int:
    return round(at.timestamp() * 1000)
