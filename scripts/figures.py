"""Draws the simulations of docs/explanation/why.md: seeded, by the product's own code.

    python -m scripts.figures [FOLDER]

FOLDER: docs/explanation by default. One SVG a figure, for light and dark pages.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.counting.counters import CounterSeries, difference
from analysis.counting.scrape_evidence import ScrapeEvidence
from analysis.counting.timelines import Timelines
from analysis.sequential.confidence_sequence import two_sided_multiplier
from dashboards.chart_svg import drawn

REPOSITORY = Path(__file__).resolve().parents[1]
ALPHA = 0.05
LOOKS, PER_LOOK = 100, 200
WINDOW_MS, SCRAPE_MS = 300_000, 15_000
NAMES = ("t-test at each look", "confidence sequence")
_STYLE = """<style>
svg { --line: #c8ccd4; --soft: #4a5160; --v0: #b3431d; --v1: #0b62c4; font-family: sans-serif }
@media (prefers-color-scheme: dark) {
svg { --line: #4a5160; --soft: #c8ccd4; --v0: #ff9d7a; --v1: #7db4ff } }
@media (max-width: 400px) { text { font-size: 14.5px } }
</style>"""
Row = dict[str, Any]


def half_widths() -> npt.NDArray[np.float64]:
    """float64[2, looks]: of both NAMES, of the difference of two means with variance 1."""
    n = PER_LOOK * np.arange(1, LOOKS + 1)
    error = np.sqrt(2 / n)
    sequence = two_sided_multiplier(n, alpha=ALPHA, n_opt=n[-1] / 2) * error
    return np.stack([1.959964 * error, sequence])


def differences(runs: int, seed: int) -> npt.NDArray[np.float64]:
    """float64[runs, looks]: the difference of both variants' means, which is 0 in truth."""
    steps = np.random.default_rng(seed).normal(0, np.sqrt(2 * PER_LOOK), (runs, LOOKS))
    return steps.cumsum(axis=1) / (PER_LOOK * np.arange(1, LOOKS + 1))


def false_alarms(runs: int = 4000, seed: int = 1) -> npt.NDArray[np.float64]:
    """float64[2, looks]: share of A/A runs that were ever called different, up to each look."""
    outside = np.abs(differences(runs, seed))[None] > half_widths()[:, None]
    return np.asarray(np.maximum.accumulate(outside, axis=2).mean(axis=1))


def counted(errors_per_pod: float, pods: int = 500, seed: int = 2) -> tuple[float, float]:
    """Share of a new version's errors in its first five minutes that increase() and we count.

    The series of an error code is born with the pod's first error.
    """
    generator = np.random.default_rng(seed)
    scrapes = np.arange(0, WINDOW_MS + 1, SCRAPE_MS)
    times = [
        np.sort(generator.uniform(0, WINDOW_MS, size))
        for size in generator.poisson(errors_per_pod, pods)
    ]
    counts = [np.searchsorted(at, scrapes).astype(np.float64) for at in times]
    there = [count > 0 for count in counts]
    extrapolated = sum(
        _increase(scrapes[seen], count[seen]) for seen, count in zip(there, counts, strict=True)
    )
    series = CounterSeries(
        np.cumsum([0, *(int(seen.sum()) for seen in there)]),
        np.concatenate([scrapes[seen] for seen in there]),
        np.concatenate([count[seen] for seen, count in zip(there, counts, strict=True)]),
        np.arange(pods),
    )
    every = Timelines(np.arange(pods + 1) * len(scrapes), np.tile(scrapes, pods))
    none = Timelines(np.zeros(pods + 1, np.int64), np.zeros(0, np.int64))
    evidence = ScrapeEvidence(
        every, np.ones(len(every.ms), np.bool_), none, none.ms, -SCRAPE_MS, SCRAPE_MS
    )
    truth = sum(map(len, times))
    return extrapolated / truth, float(difference(series, evidence).delta.sum()) / truth


def _increase(ms: npt.NDArray[np.int64], values: npt.NDArray[np.float64]) -> float:
    """Prometheus' increase() over the window, whose ends it extrapolates to."""
    if len(ms) < 2:
        return 0.0
    sampled, grown = float(ms[-1] - ms[0]), float(values[-1] - values[0])
    step = sampled / (len(ms) - 1)
    to_start, to_end = float(ms[0]), WINDOW_MS - float(ms[-1])
    ends = [gap if gap < 1.1 * step else step / 2 for gap in (to_start, to_end)]
    if grown > 0:
        ends[0] = min(ends[0], sampled * float(values[0]) / grown)
    return grown * (sampled + sum(ends)) / sampled


def _lines(rows: Iterable[Row], x: Row, y: Row) -> list[Row]:
    """Both methods' lines, each named at its end."""
    values = list(rows)
    colour = {"domain": sorted({row["method"] for row in values}, reverse=True)}
    colour["range"] = ["var(--v0)", "var(--v1)"]
    encoding: Row = {
        "x": {"field": "x", "type": "quantitative", **x},
        "y": {"field": "y", "type": "quantitative", **y},
        "color": {"field": "method", "type": "nominal", "scale": colour},
    }
    line = {"mark": {"type": "line", "strokeWidth": 2.5}, "encoding": encoding}
    named = {
        "data": {"values": [row for row in values if "name" in row]},
        "mark": {"type": "text", "align": "right", "dy": -9, "fontSize": 13},
        "encoding": {**encoding, "text": {"field": "name", "type": "nominal"}},
    }
    return [{"data": {"values": values}, "layer": [line, named]}]


def _rule(y: float) -> Row:
    mark = {"type": "rule", "strokeDash": [4, 4], "color": "var(--soft)"}
    return {
        "data": {"values": [{"y": y}]},
        "mark": mark,
        "encoding": {"y": {"field": "y", "type": "quantitative"}},
    }


def _named(method: str, x: Iterable[float], y: Iterable[float], *, at: int = -1) -> list[Row]:
    """The points of a method's line; one of them carries its name."""
    rows: list[Row] = [
        {"method": method, "x": float(one), "y": round(float(other), 4)}
        for one, other in zip(x, y, strict=True)
    ]
    rows[at]["name"] = method
    return rows


def false_alarm_figure() -> str:
    shares = 100 * false_alarms()
    looks = range(1, LOOKS + 1)
    rows = [
        row for name, line in zip(NAMES, shares, strict=True) for row in _named(name, looks, line)
    ]
    layers = [
        *_lines(
            rows,
            {"title": "looks"},
            {"title": "false alarms, % of runs", "scale": {"domain": [0, 50]}},
        ),
        _rule(100 * ALPHA),
    ]
    return _figure(
        layers,
        f"Share of runs without any effect that are called different: {shares[0, -1]:.0f} % "
        f"by a t-test at each of {LOOKS} looks, {shares[1, -1]:.1f} % by a confidence sequence",
    )


def one_run() -> npt.NDArray[np.float64]:
    """float64[looks]: a run about which the t-test errs at 29 looks, the sequence never."""
    runs, (t_test, sequence) = differences(50, 7), half_widths()
    holds = ~(np.abs(runs) > sequence).any(axis=1)
    errs = (np.abs(runs) / t_test)[:, 20:60].max(axis=1)
    return np.asarray(runs[np.where(holds, errs, 0).argmax()])


def one_run_figure() -> str:
    run, looks = one_run(), np.arange(5, LOOKS + 1)
    ends = [
        {"x": int(look), "y": float(run[look - 1] + sign * widths[look - 1]), "of": f"{name}{sign}"}
        | {"method": name}
        for name, widths in zip(NAMES, half_widths(), strict=True)
        for sign in (-1, 1)
        for look in looks
    ]
    (lines,) = _lines(ends, {"title": "looks"}, {"title": "difference, and both intervals"})
    lines["layer"][0]["encoding"]["detail"] = {"field": "of", "type": "nominal"}
    middle = {
        "data": {"values": [{"x": int(look), "y": float(run[look - 1])} for look in looks]},
        "mark": {"type": "line", "color": "var(--soft)"},
        "encoding": {axis: {"field": axis, "type": "quantitative"} for axis in "xy"},
    }
    label = (
        "One run without any effect: the t-test's interval leaves zero out, the other never does"
    )
    return _figure([lines, middle, _rule(0)], label)


def counting_figure() -> str:
    sizes = (0.5, 1, 2, 4, 8, 16, 32)
    shares = [counted(size) for size in sizes]
    rows = [
        row
        for name, i, at in (("increase()", 0, 3), ("differences per series", 1, -1))
        for row in _named(name, sizes, [100 * share[i] for share in shares], at=at)
    ]
    x = {
        "title": "errors per pod in five minutes",
        "scale": {"type": "log", "base": 2},
        "axis": {"values": list(sizes)},
    }
    layers = _lines(rows, x, {"title": "errors counted, %", "scale": {"domain": [0, 115]}})
    return _figure(
        layers,
        "Errors of a new version that are counted: at one per pod "
        f"{100 * shares[1][0]:.0f} % by increase(), {100 * shares[1][1]:.0f} % by differences",
    )


def _figure(layers: list[Row], label: str) -> str:
    """A file of its own: the page's colours are in it, for light and dark."""
    svg = str(drawn(layers, label, height=240))
    head, mark, body = svg.partition(">")
    return head.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"') + mark + _STYLE + body


FIGURES: dict[str, Callable[[], str]] = {
    "false-alarms.svg": false_alarm_figure,
    "one-run.svg": one_run_figure,
    "counting.svg": counting_figure,
}


def main() -> int:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else REPOSITORY / "docs" / "explanation"
    for name, figure in FIGURES.items():
        (folder / name).write_text(figure(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
