"""The charts of effects: confidence sequences over the looks, segments, and users."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from analysis.judge.segments import SegmentTable
from analysis.metric_result import MetricResult
from dashboards import report_numbers as numbers
from dashboards.chart_layers import (
    Chart,
    Layer,
    line_layer,
    look_marks,
    ms_of,
    quantity,
    stage_bands,
    time_axis,
)
from dashboards.chart_svg import BELOW, COLOURS, drawn
from dashboards.page_templates import visible
from dashboards.report_view import ExperimentReport, PastHarm, PastLook

# Of labels beside a chart, in a browser: the width of a letter and of the longest, and the rims.
_LETTER, _LONGEST, _RIMS = 6.5, 205, 24


def confidence_sequences(report: ExperimentReport) -> tuple[Chart, ...]:
    """What each deciding metric showed at every look: the gain of a goal, the harm of others."""
    return tuple(
        found
        for metric in report.verdict.metrics
        if metric.role.decides or metric.holds
        for found in _sequence(report, metric)
    )


def segment_forests(report: ExperimentReport) -> tuple[Chart, ...]:
    """The effect in each segment, with bounds that hold at every look; whole users on top."""
    return tuple(found for table in report.verdict.segments for found in _forest(report, table))


def users_over_time(report: ExperimentReport) -> tuple[Chart, ...]:
    """Users at every look, of the metric that has the most, and how far they are from their split.

    Where stages have different splits, users of several are counted together: no one split is
    theirs.
    """
    users = [(ms_of(look.at), counts) for look in report.looks if (counts := _users(report, look))]
    if len(report.looks) < 2 or not users:
        return ()
    names = " and ".join(report.variants)
    rows = [{"v": i, "t": at, "y": n} for at, counts in users for i, n in counts.items()]
    layer = line_layer(rows, len(report.variants), "users", zero=True)
    found = [
        Chart("Users over time", drawn([layer], f"Users of {names} with a final value, by look"))
    ]
    splits = {tuple(share.configured for share in stage.variants) for stage in report.split}
    wanted = splits.pop() if len(splits) == 1 else ()
    drifts: list[Layer] = [
        {"v": i, "t": at, "y": 100 * (n / whole - share)}
        for at, counts in users
        if (whole := sum(counts.values())) > 0
        for i, n in counts.items()
        if i < len(wanted) and (share := wanted[i]) is not None
    ]
    if drifts:
        layer = line_layer(drifts, len(report.variants), "points", zero=True)
        label = f"Share of users of {names} minus the configured one, by look"
        found.append(Chart("Split mismatch of users", drawn([layer], label)))
    return tuple(found)


def _users(report: ExperimentReport, look: PastLook) -> dict[int, float]:
    """Users with a final value by the variant's place."""
    units = {m.metric for m in report.verdict.metrics if m.unit.value == "user"}
    counts: dict[int, float] = {}
    for harm in look.harms:
        known = ((0, harm.exposure_baseline), (_place(report, harm), harm.exposure_candidate))
        for i, users in known if harm.metric in units else ():
            counts[i] = max(counts.get(i, 0.0), users)
    return counts


def _place(report: ExperimentReport, harm: PastHarm) -> int:
    return report.variants.index(harm.candidate) if harm.candidate in report.variants else 1


def _sequence(report: ExperimentReport, metric: MetricResult) -> Iterator[Chart]:
    found = [
        (look, harm)
        for look in report.looks
        for harm in look.harms
        if (harm.metric, harm.candidate) == (metric.metric, metric.candidate_variant)
    ]
    # Looks without relative bounds, as those of older software, have another unit.
    found = [one for one in found if one[1].is_relative == found[-1][1].is_relative]
    if not any(math.isfinite(harm.harm.value) for _, harm in found):
        return
    last = found[-1][1]
    factor = 100.0 if last.is_share or last.is_relative else 1.0
    word = "gain" if last.is_goal else "harm"
    unit = "points" if last.is_share else "in its unit"
    unit = "% of the baseline" if last.is_relative else unit
    ends = [last.shown.lower, last.shown.upper, *(harm.limit for _, harm in found), 0.0]
    values = [*ends, *(harm.shown.value for _, harm in found)]
    known = [factor * value for value in values if math.isfinite(value)]
    rim = (max(known) - min(known)) / 8 or 1.0
    domain = [min(known) - rim, max(known) + rim]

    def inside(value: float) -> float:
        return min(max(factor * value, domain[0]), domain[1])

    rows = [
        {
            "t": ms_of(look.at),
            "y": inside(harm.shown.value),
            "low": inside(harm.shown.lower),
            "high": inside(harm.shown.upper),
            "limit": inside(harm.limit),
        }
        for look, harm in found
        if math.isfinite(harm.shown.value)
    ]
    several = len(report.variants) > 2
    title = f"{metric.metric} of {metric.candidate_variant}" if several else metric.metric
    said = numbers.interval(last.shown, is_share=last.is_share, is_relative=last.is_relative)
    value = numbers.difference(last.shown, is_share=last.is_share, is_relative=last.is_relative)
    label = f"{title}: {word} look by look; at last {value}, {said}, limit {_limit(last)}"
    layers = [*stage_bands(report), *_sequence_layers(rows, f"{word}, {unit}")]
    marks = look_marks([look for look, _ in found])
    svg = drawn([*layers, *marks], label, lowest=domain[0], highest=domain[1])
    yield Chart(f"{title}: {word}", svg, f"{said}; limit {_limit(last)}")


def _limit(harm: PastHarm) -> str:
    return numbers.limit(harm.limit, is_share=harm.is_share, is_relative=harm.is_relative)


def _sequence_layers(rows: Sequence[Layer], axis: str) -> list[Layer]:
    y = quantity("y", axis, zero=False)
    ends = {"domainMin": {"expr": "lowest"}, "domainMax": {"expr": "highest"}}
    y["scale"] = {**ends, "nice": False, "zero": False}
    data = {"values": list(rows)}
    x = time_axis("t")
    band = {"type": "area", "color": COLOURS[1], "opacity": 0.18, "interpolate": "step-after"}
    # One look makes no line: its limit runs through the chart.
    limit = {"type": "line", "interpolate": "step-after"} if len(rows) > 1 else {"type": "rule"}
    return [
        {
            "data": {"values": [{"y": 0}]},
            "mark": {"type": "rule", "color": "var(--soft)"},
            "encoding": {"y": y},
        },
        {
            "data": data,
            "mark": band,
            "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}},
        },
        {
            "data": {"values": rows[-1:]},
            "mark": {"type": "rule", "color": COLOURS[1], "opacity": 0.5},
            "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}},
        },
        {
            "data": data,
            "mark": {**limit, "color": "var(--margin)", "strokeDash": [4, 3]},
            "encoding": {**({"x": x} if len(rows) > 1 else {}), "y": {**y, "field": "limit"}},
        },
        {
            "data": data,
            "mark": {"type": "line", "color": COLOURS[1], "strokeWidth": 2, "point": {"size": 16}},
            "encoding": {"x": x, "y": y},
        },
    ]


def _forest(report: ExperimentReport, table: SegmentTable) -> Iterator[Chart]:
    effects = [effect for effect in table.effects if math.isfinite(effect.difference.value)]
    if not effects:
        return
    metric = next((m for m in report.verdict.metrics if m.metric == table.metric), None)
    is_share = metric is not None and metric.is_share
    factor = 100.0 if is_share else 1.0
    values = [factor * effect.difference.value for effect in effects]
    spread = max(abs(value) for value in values) * 6 or 1.0
    rows = [
        {
            "name": f"{visible(e.dimension)} = {visible(e.segment)}{' *' if e.notable else ''}",
            "y": factor * e.difference.value,
            "low": max(factor * e.difference.lower, -spread),
            "high": min(factor * e.difference.upper, spread),
        }
        for e in effects
    ]
    unit = "points" if is_share else "its unit"
    y = {"field": "name", "type": "nominal", "sort": None, "axis": {"title": None, "ticks": False}}
    x = {**quantity("y", f"difference, {unit}", zero=True), "axis": {"grid": True}}
    data = {"values": rows}
    layers: list[Layer] = [
        {
            "data": {"values": [{"y": 0}]},
            "mark": {"type": "rule", "color": "var(--soft)"},
            "encoding": {"x": x},
        },
        {
            "data": data,
            "mark": {"type": "rule", "color": COLOURS[1], "strokeWidth": 2},
            "encoding": {"x": {**x, "field": "low"}, "x2": {"field": "high"}, "y": y},
        },
        {
            "data": data,
            "mark": {"type": "point", "color": COLOURS[1], "filled": True, "size": 40},
            "encoding": {"x": x, "y": y},
        },
    ]
    label = f"{table.metric} of {table.candidate} by segment: " + "; ".join(
        f"{e.dimension} {e.segment} {numbers.interval(e.difference, is_share=is_share)}"
        for e in effects
    )
    longest = max(len(str(row["name"])) for row in rows)
    beside = min(_LETTER * longest, _LONGEST) + _RIMS
    svg = drawn(layers, label, height=BELOW + 20 * len(rows), beside=beside)
    yield Chart(f"{table.metric} of {table.candidate}", svg)
