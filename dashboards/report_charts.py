"""The charts of an experiment's page, from plain records."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from markupsafe import Markup

from analysis.explain.spans import span_s
from dashboards.chart_layers import (
    Chart,
    Layer,
    by_variant,
    line_layer,
    look_marks,
    ms_of,
    quantity,
    stage_bands,
    time_axis,
)
from dashboards.chart_svg import drawn
from dashboards.report_view import ExperimentReport, LatencyCurve, TrafficPoint


def traffic_charts(report: ExperimentReport) -> tuple[Chart, ...]:
    """Success, requests, split and latency of all versions over time, with stages and looks."""
    points = report.traffic.points
    if not points:
        return ()
    step = span_s(report.traffic.step_s)

    def chart(
        title: str,
        value: Callable[[TrafficPoint], float | None],
        axis: str,
        *,
        zero: bool = True,
        dashed: Callable[[TrafficPoint], float | None] | None = None,
    ) -> Chart:
        lines = _lines(report, value, axis, zero=zero)
        if dashed is not None:
            lines += _lines(report, dashed, axis, zero=zero, configured=True)
        label = f"{title} of {' and '.join(report.variants)}, in steps of {step}"
        return Chart(title, drawn([*stage_bands(report), *lines, *look_marks(report.looks)], label))

    found = [
        chart("Success rate", lambda p: _percent(p.success), "% of answered", zero=False),
        chart("Requests", lambda p: p.per_second, "per second"),
        chart(
            "Split",
            lambda p: _percent(p.share),
            "% of requests",
            dashed=lambda p: _percent(p.configured),
        ),
    ]
    found += [_quantile_chart(report, i, q) for i, q in enumerate((50, 90, 99))]
    if any(point.drift is not None for point in points):
        found.append(
            chart("Split mismatch since each stage began", lambda p: _percent(p.drift), "points")
        )
    return tuple(each for each in found if each.svg)


def latency_ecdf(report: ExperimentReport) -> Chart | None:
    """Both versions' latencies as shares of requests within each edge: exact at the marks."""
    told = [edge for curve in report.latency_curves for edge in _telling(curve)]
    rows = [
        {"v": i, "ms": max(edge, 0.1), "share": 100 * share}
        for i, name in enumerate(report.variants)
        for curve in report.latency_curves
        if curve.variant == name
        for edge, share in zip(curve.edges_ms, curve.shares, strict=True)
        if edge <= max(told, default=math.inf)
    ]
    if not rows:
        return None
    base: Layer = {
        "data": {"values": rows},
        "encoding": {
            "x": {
                "field": "ms",
                "type": "quantitative",
                "scale": {"type": "log", "nice": False},
                "axis": {"title": "ms, log scale", "grid": True},
            },
            "y": quantity("share", "% of requests", zero=True),
            **by_variant(len(report.variants)),
        },
    }
    layers = [
        {**base, "mark": {"type": "line", "interpolate": "step-after", "strokeWidth": 2}},
        {**base, "mark": {"type": "point", "size": 14, "filled": True}},
    ]
    label = f"Share of requests of {' and '.join(report.variants)} that took at most so long"
    return Chart("Latency distribution", drawn(layers, label))


def _telling(curve: LatencyCurve) -> Iterator[float]:
    """The edges up to the first that nearly all requests are within."""
    for edge, share in zip(curve.edges_ms, curve.shares, strict=True):
        yield edge
        if share >= 0.9995:
            return


def _quantile_chart(report: ExperimentReport, i: int, quantile: int) -> Chart:
    """Bands between the edges that the quantile surely lies in; the line is only a label."""
    title = f"Latency p{quantile}"
    found = [point for point in report.traffic.points if len(point.quantiles) > i]
    if not found:
        return Chart(title, Markup())
    finite = [
        bound
        for point in found
        for bound in (point.quantiles[i].lower_ms, point.quantiles[i].upper_ms)
        if math.isfinite(bound)
    ]
    top = max(finite) or 1.0
    rows = [
        {
            "v": report.variants.index(point.variant),
            "t": ms_of(at),
            "low": point.quantiles[i].lower_ms,
            "high": min(point.quantiles[i].upper_ms, top * 1.1),
            "y": point.quantiles[i].interpolated_ms,
        }
        for point in found
        if point.variant in report.variants
        for at in (point.at,)
    ]
    low = {**quantity("low", "ms", zero=True)}
    encoding = {"x": time_axis("t"), **by_variant(len(report.variants))}
    layers: list[Layer] = [
        {
            "data": {"values": rows},
            "mark": {"type": "area", "opacity": 0.1, "interpolate": "step-after"},
            "encoding": {**encoding, "y": low, "y2": {"field": "high"}},
        },
        {
            "data": {"values": rows},
            "mark": {"type": "line", "strokeWidth": 1.5},
            "encoding": {**encoding, "y": quantity("y", "ms", zero=True)},
        },
    ]
    label = f"{title} of {' and '.join(report.variants)}, between the histogram's edges"
    return Chart(title, drawn([*stage_bands(report), *layers, *look_marks(report.looks)], label))


def _lines(
    report: ExperimentReport,
    value: Callable[[TrafficPoint], float | None],
    axis: str,
    *,
    zero: bool,
    configured: bool = False,
) -> list[Layer]:
    """A line per variant; of candidates alone where all say the same."""
    rows = [
        {"v": report.variants.index(point.variant), "t": ms_of(point.at), "y": found}
        for point in report.traffic.points
        if point.variant in report.variants
        for found in (value(point),)
        if found is not None
    ]
    if not rows:
        return []
    layer = line_layer(rows, len(report.variants), axis, zero=zero)
    if configured:
        layer["mark"] |= {"strokeWidth": 1, "opacity": 0.6, "interpolate": "step-after"}
    return [layer]


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share
