"""Small pictures of intervals for the HTML report: one difference, and harm look by look."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

from analysis.metric_result import Estimate
from analysis.verdict import Decision
from dashboards.report_numbers import MINUS

# One letter a look, so that no decision is told by colour alone.
LETTERS = {
    Decision.PROMOTE: "P",
    Decision.HOLD: "H",
    Decision.ROLLBACK: "R",
    Decision.INVALID: "!",
}
_WIDTH, _HEIGHT = 220.0, 34.0
_WIDE, _HIGH, _LEFT, _RIGHT, _BOTTOM = 480.0, 200.0, 48.0, 8.0, 48.0
_CAP = 4.0
_WORD = 44.0  # how wide "allowed" is
_ROOM = 16.0  # between two numbers on an axis
# Marks closer than this would lie on one another.
_LETTER_WIDTH = 12.0


@dataclass(frozen=True, slots=True)
class Scale:
    """A straight map from values to places, which it never leaves."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        inside = min(max(value, self.low), self.high)
        return self.start + (inside - self.low) / (self.high - self.low) * (self.end - self.start)

    def holds(self, value: float) -> bool:
        """Whether the value is shown where it is, not at the rim."""
        return self.low <= value <= self.high


def covering(values: Sequence[float], start: float, end: float) -> Scale:
    """A scale that holds all finite values, zero too, with a rim of a twelfth."""
    finite = [value for value in values if math.isfinite(value)]
    low, high = min([*finite, 0.0]), max([*finite, 0.0])
    rim = (high - low) / 12 or 1.0
    return Scale(low - rim, high + rim, start, end)


def interval_svg(estimate: Estimate, allowed: float | None, label: str) -> Markup:
    """An interval against zero (solid) and what is allowed (dashed); label: the same in words.

    allowed: as a difference, so below zero where less is harm; None where nothing is.
    """
    if not math.isfinite(estimate.value):
        return Markup('<span class="soft">not known yet</span>')
    marks = [] if allowed is None else [allowed]
    x = covering([estimate.value, estimate.lower, estimate.upper, *marks], 2.0, _WIDTH - 2)
    y = 14.0
    parts = [_line("zero", x(0), 2, x(0), 24), _text(x(0), 33, "0")]
    if allowed:
        parts += [_line("allowed", x(allowed), 2, x(allowed), 24)]
        # Beside a zero that is next to it, the word would lie on it.
        if abs(x(allowed) - x(0)) > _WORD:
            middle = min(max(x(allowed), _WORD / 2), _WIDTH - _WORD / 2)
            parts.append(_text(middle, 33, "allowed"))
    parts += [_line("bar", x(estimate.lower), y, x(estimate.upper), y)]
    parts += [
        _line("bar", x(end), y - _CAP, x(end), y + _CAP)
        for end in (estimate.lower, estimate.upper)
        if x.holds(end)
    ]
    parts.append(_dot(x(estimate.value), y))
    return _svg("interval", _WIDTH, _HEIGHT, label, parts)


@dataclass(frozen=True, slots=True)
class HarmThen:
    """A look in the picture of a metric's harm; allowed: the margin at that look."""

    at: datetime
    decision: Decision
    harm: Estimate
    allowed: float


def history_svg(looks: Sequence[HarmThen], factor: float, label: str) -> Markup:
    """The interval of harm at every look, what is allowed (dashed), and each look's decision.

    The scale is that of the last look and of all estimates: early intervals, which are wide, run
    to the rim and have no cap there. factor: from harm to the numbers at the axis.
    """
    last = looks[-1]
    known = [look.harm.value for look in looks if math.isfinite(look.harm.value)]
    rim = [last.harm.lower, last.harm.upper, *(look.allowed for look in looks)]
    y = covering([*known, *rim], _HIGH - _BOTTOM, 8.0)
    step = (_WIDE - _LEFT - _RIGHT) / len(looks)
    x = [_LEFT + step * (i + 0.5) for i in range(len(looks))]
    points = " ".join(f"{at:.2f},{y(look.allowed):.2f}" for at, look in zip(x, looks, strict=True))
    parts = [
        *_axis(y, last.allowed, factor),
        _line("zero", _LEFT, y(0), _WIDE - _RIGHT, y(0)),
        Markup('<polyline class="allowed" points="{}"/>').format(
            f"{_LEFT:.2f},{y(looks[0].allowed):.2f} {points} "
            f"{_WIDE - _RIGHT:.2f},{y(last.allowed):.2f}"
        ),
    ]
    for at, look in zip(x, looks, strict=True):
        parts += _harm(at, y, look.harm)
    # The last look has its letter in any case.
    every = math.ceil(_LETTER_WIDTH / step)
    shown = range((len(looks) - 1) % every, len(looks), every)
    parts += [_mark(x[i], looks[i].decision) for i in shown]
    parts += [
        _text(_LEFT, _HIGH - 4, f"{looks[0].at:%Y-%m-%d %H:%M}", "start"),
        _text(_WIDE - _RIGHT, _HIGH - 4, f"{last.at:%Y-%m-%d %H:%M} UTC", "end"),
    ]
    return _svg("history", _WIDE, _HIGH, label, parts)


def _axis(y: Scale, allowed: float, factor: float) -> list[Markup]:
    """The two lines that matter and one rim; a number only where there is room for it."""
    at_top = y(0) > _ROOM + 14
    rim, place = (y.high, 14.0) if at_top else (y.low, _HIGH - _BOTTOM)
    parts = [
        _text(_LEFT - 6, y(0) + 4, "0", "end"),
        _text(_LEFT - 6, place, f"{factor * rim:.2g}".replace("-", MINUS), "end"),
    ]
    if min(abs(y(allowed) - y(0)), abs(y(allowed) + 4 - place)) > _ROOM:
        parts.append(_text(_LEFT - 6, y(allowed) + 4, f"{factor * allowed:.3g}", "end"))
    return parts


def _harm(x: float, y: Scale, harm: Estimate) -> list[Markup]:
    if not math.isfinite(harm.value):
        return []
    ends = [
        _line("bar", x - _CAP / 2, y(end), x + _CAP / 2, y(end))
        for end in (harm.lower, harm.upper)
        if y.holds(end)
    ]
    return [_line("bar", x, y(harm.lower), x, y(harm.upper)), *ends, _dot(x, y(harm.value))]


def _mark(x: float, decision: Decision) -> Markup:
    return Markup('<text class="mark {}" x="{}" y="{}">{}</text>').format(
        decision.value, f"{x:.2f}", f"{_HIGH - 24:.2f}", LETTERS[decision]
    )


def _svg(name: str, width: float, height: float, label: str, parts: Sequence[Markup]) -> Markup:
    return Markup('<svg class="{}" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        name, f"{width:g}", f"{height:g}", label, Markup("").join(parts)
    )


def _line(name: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    return Markup('<line class="{}" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(
        name, *(f"{value:.2f}" for value in (x1, y1, x2, y2))
    )


def _dot(x: float, y: float) -> Markup:
    return Markup('<circle class="dot" cx="{}" cy="{}" r="3"/>').format(f"{x:.2f}", f"{y:.2f}")


def _text(x: float, y: float, text: str, anchor: str = "middle") -> Markup:
    return Markup('<text x="{}" y="{}" text-anchor="{}">{}</text>').format(
        f"{x:.2f}", f"{y:.2f}", anchor, text
    )
