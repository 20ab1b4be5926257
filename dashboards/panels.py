"""The kinds of panel that the dashboards use, each with datasource, unit, legend and description.

A panel has no place yet: layout.py gives it one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    prometheus,
    stat,
    text,
    timeseries,
)
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import common as looks
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat
from grafana_foundation_sdk.models.text import TextMode

DATASOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")

RED, AMBER, GREEN = "red", "orange", "green"
# The baseline is always the same blue; candidates follow in this order, also for colour-blind eyes.
_VARIANT_COLOURS = ("blue", "orange", "purple", "yellow", "green", "super-light-red")


@dataclass(frozen=True, slots=True)
class Query:
    """One expression of a panel, the legend of its series, and the variant that it is of.

    hue: the variant's position, 0 for the baseline; None if the series are of several.
    is_bound: drawn dashed and thin: a bound, a limit or what is configured.
    """

    expr: str
    legend: str
    hue: int | None = None
    is_bound: bool = False


@dataclass(frozen=True, slots=True)
class PanelUnit:
    """Grafana's unit and the range of the axis, where it is known."""

    name: str
    minimum: float | None = 0
    maximum: float | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """Where a click on a series leads."""

    title: str
    url: str


PERCENT = PanelUnit("percent", 0, 100)
SHARE = PanelUnit("percentunit", None, 1)
CONVERSION = PanelUnit("percentunit", 0)
REQUESTS_PER_SECOND = PanelUnit("reqps", 0)
EVENTS_PER_SECOND = PanelUnit("eps", 0)
CHANGE_OF_SHARE = PanelUnit("percentunit", None)
CHANGE = PanelUnit("none", None)
SECONDS = PanelUnit("s", 0)
BYTES = PanelUnit("bytes", 0)
COUNT = PanelUnit("none", 0)
SCORE = PanelUnit("none", 0, 100)

Steps = tuple[tuple[float | None, str], ...]


def above_is_bad(limit: float) -> Steps:
    """Green up to the limit, red from there."""
    return ((None, GREEN), (limit, RED))


def below_is_bad(limit: float) -> Steps:
    """Red below the limit, green from there."""
    return ((None, RED), (limit, GREEN))


def score_steps(marginal: float, good: float) -> Steps:
    """Red, amber from the marginal score, green from the pass score."""
    return ((None, RED), (marginal, AMBER), (good, GREEN))


def time_series(
    title: str,
    description: str,
    queries: Sequence[Query],
    unit: PanelUnit,
    *,
    interval_s: int,
    thresholds: Steps = (),
    stacked: bool = False,
) -> models.Panel:
    """Lines over time with a table of last and mean values; thresholds are dashed lines."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .unit(unit.name)
        .interval(f"{interval_s}s")
        .targets([target_of(query, index) for index, query in enumerate(queries)])
        .legend(_legend())
        .tooltip(
            common.VizTooltipOptions()
            .mode(looks.TooltipDisplayMode.MULTI)
            .sort(looks.SortOrder.DESCENDING)
        )
        .line_width(2)
        .fill_opacity(40 if stacked else 5)
        .show_points(looks.VisibilityMode.NEVER)
    )
    if stacked:
        panel.stacking(common.StackingConfig().mode(looks.StackingMode.NORMAL).group("A"))
    if thresholds:
        panel.thresholds(_thresholds(thresholds)).thresholds_style(
            common.GraphThresholdsStyleConfig().mode(looks.GraphThresholdsStyleMode.DASHED)
        )
    for index, query in enumerate(queries):
        shown = [] if query.hue is None else [_fixed_colour(query.hue)]
        if query.is_bound:
            shown += [
                _custom("lineStyle", {"fill": "dash", "dash": [6, 6]}),
                _custom("lineWidth", 1),
            ]
        if shown:
            panel.override_by_query(_ref_id(index), shown)
    return _ranged(panel, unit).build()


def number(
    title: str,
    description: str,
    query: Query,
    unit: PanelUnit,
    *,
    interval_s: int,
    thresholds: Steps,
) -> models.Panel:
    """The last value of each series as a coloured number."""
    panel = (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .unit(unit.name)
        .decimals(0)
        .no_value("no data")
        .interval(f"{interval_s}s")
        .targets([target_of(query, 0)])
        .thresholds(_thresholds(thresholds))
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .color_mode(looks.BigValueColorMode.BACKGROUND)
        .graph_mode(looks.BigValueGraphMode.AREA)
        .text_mode(looks.BigValueTextMode.VALUE_AND_NAME)
    )
    return _ranged(panel, unit).build()


def bars(
    title: str,
    description: str,
    query: Query,
    unit: PanelUnit,
    *,
    thresholds: Steps,
    links: dict[str, list[Link]],
) -> models.Panel:
    """The present value of each series as a coloured bar; links: by the series' name."""
    panel = (
        bargauge.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .unit(unit.name)
        .decimals(0)
        .no_value("no data")
        .targets([target_of(query, 0, instant=True)])
        .thresholds(_thresholds(thresholds))
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .orientation(looks.VizOrientation.HORIZONTAL)
        .display_mode(looks.BarGaugeDisplayMode.BASIC)
    )
    for series, targets in links.items():
        value = [{"title": link.title, "url": link.url} for link in targets]
        panel.override_by_name(series, [models.DynamicConfigValue(id_val="links", value=value)])
    return _ranged(panel, unit).build()


def markdown(title: str, description: str, content: str) -> models.Panel:
    """A text panel."""
    panel = text.Panel().title(title).description(description)
    return panel.mode(TextMode.MARKDOWN).content(content).build()


_Drawn = TypeVar("_Drawn", timeseries.Panel, stat.Panel, bargauge.Panel)


def _ranged(panel: _Drawn, unit: PanelUnit) -> _Drawn:
    """The panel with the axis of the unit."""
    if unit.minimum is not None:
        panel.min(unit.minimum)
    if unit.maximum is not None:
        panel.max(unit.maximum)
    return panel


def _ref_id(index: int) -> str:
    """A, B, ... Z, then AA, as Grafana names them."""
    letters = chr(ord("A") + index % 26)
    return letters if index < 26 else _ref_id(index // 26 - 1) + letters


def target_of(query: Query, index: int, *, instant: bool = False) -> prometheus.Dataquery:
    """A query as Grafana reads it; index: its place in the panel."""
    target = (
        prometheus.Dataquery()
        .datasource(DATASOURCE)
        .expr(query.expr)
        .legend_format(query.legend)
        .format(PromQueryFormat.TIME_SERIES)
        .ref_id(_ref_id(index))
    )
    return target.instant() if instant else target.range()


def _legend() -> common.VizLegendOptions:
    return (
        common.VizLegendOptions()
        .display_mode(looks.LegendDisplayMode.TABLE)
        .placement(looks.LegendPlacement.BOTTOM)
        .show_legend(True)
        .calcs(["lastNotNull", "mean"])
    )


def _thresholds(steps: Steps) -> builders.ThresholdsConfig:
    return (
        builders.ThresholdsConfig()
        .mode(models.ThresholdsMode.ABSOLUTE)
        .steps([models.Threshold(value=value, color=colour) for value, colour in steps])
    )


def _custom(name: str, value: object) -> models.DynamicConfigValue:
    return models.DynamicConfigValue(id_val=f"custom.{name}", value=value)


def _fixed_colour(hue: int) -> models.DynamicConfigValue:
    colour = _VARIANT_COLOURS[hue % len(_VARIANT_COLOURS)]
    return models.DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": colour})
