"""Vega-Lite charts as small SVG that follows the page's colours; no network, no script, no id.

Colours are the page's own variables, so that a chart is dark where the page is. Nothing in a chart
is clipped or referred to, so that several can stand in one page.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from markupsafe import Markup

from dashboards.page_templates import visible

# With axes, as most charts are.
WIDTH, HEIGHT = 440, 190
# What the axis below a chart and the rims take of its height, and numbers beside it of its width.
BELOW, BESIDE = 54, 74
# By variant, the baseline first: colour and dashes, so that neither tells alone.
COLOURS = tuple(f"var(--v{i})" for i in range(5))
DASHES = ([5, 3], [1, 0], [2, 2], [8, 2, 2, 2], [1, 3])

_AXIS = {
    "domainColor": "var(--line)",
    "tickColor": "var(--line)",
    "gridColor": "var(--line)",
    "labelColor": "var(--soft)",
    "titleColor": "var(--soft)",
    "labelFontSize": 11,
    "titleFontSize": 11,
    "titleFontWeight": "normal",
    "gridOpacity": 0.6,
    "tickSize": 4,
}
_CONFIG: dict[str, Any] = {
    "aria": False,
    "font": "sans-serif",
    "background": None,
    "view": {"stroke": None},
    "axis": _AXIS,
    "axisX": {"grid": False, "tickCount": 5, "labelOverlap": "greedy"},
    # Browsers' fonts are wider than the one that charts are laid out with.
    "axisY": {
        "domain": False,
        "ticks": False,
        "tickCount": 4,
        "titlePadding": 18,
        "labelOverlap": False,
    },
    "legend": {"disable": True},
}
# What a reader of the page has no use of.
_USELESS = re.compile(
    r' (?:aria-[a-z]+|role|class|font-family|pointer-events|xmlns:xlink|version)="[^"]*"'
    r'| (?:opacity|stroke-opacity|fill-opacity)="1"'
    r'| (?:stroke-miterlimit|stroke-width)="1(?:0)?"'
)
_EMPTY = re.compile(r'<path(?: d="[^"]*"| stroke="[^"]*"| transform="[^"]*")*/>')
_GROUP = re.compile(r"<g></g>")
_NUMBER = re.compile(r"(\d+\.\d)\d{2,}")
_SIZE = re.compile(r'<svg[^>]*? width="([\d.]+)" height="([\d.]+)"[^>]*>')


def drawn(
    layers: Sequence[Mapping[str, Any]],
    label: str,
    *,
    height: float = HEIGHT,
    beside: float = BESIDE,
    name: str = "chart",
    **values: float,
) -> Markup:
    """The layers of a chart as SVG; label: the same in words.

    beside: what labels on the left and the rims take of the width; a chart with longer ones is
    wider. values: what expressions in the layers name. Each layer has its data inline.
    """
    # Half a second, which only pages that are made pay.
    import vl_convert  # noqa: PLC0415

    rows: list[Any] = []
    named = []
    for layer in layers:
        if layer["data"]["values"] not in rows:
            rows.append(layer["data"]["values"])
        named.append({**layer, "data": {"name": f"rows{rows.index(layer['data']['values'])}"}})
    chart = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        # To fit both axes into a size, Vega lays a chart out twice.
        "width": WIDTH - beside,
        "height": height - BELOW,
        "padding": {"top": 20, "bottom": 2, "left": 6, "right": 8},
        "config": _CONFIG,
        "params": [{"name": each, "value": 0} for each in values],
        "datasets": {f"rows{i}": [] for i in range(len(rows))},
        "layer": named,
    }
    compiled = json.loads(_compiled(json.dumps(chart)))
    known = {**values, **{f"rows{i}": each for i, each in enumerate(rows)}}
    for kind, key in (("signals", "value"), ("data", "values")):
        for each in compiled.get(kind, ()):
            if each["name"] in known:
                each[key] = known[each["name"]]
    return _small(vl_convert.vega_to_svg(compiled, allowed_base_urls=[]), label, name)


@lru_cache(maxsize=256)
def _compiled(chart: str) -> str:
    """A chart without its rows in Vega's terms, which takes longer than to draw it."""
    import vl_convert  # noqa: PLC0415

    return json.dumps(vl_convert.vegalite_to_vega(chart))


def _small(svg: str, label: str, name: str) -> Markup:
    size = _SIZE.match(svg)
    assert size is not None
    body = svg[size.end() :]
    for pattern, instead in ((_USELESS, ""), (_NUMBER, r"\1"), (_EMPTY, ""), (_GROUP, "")):
        body = pattern.sub(instead, body)
    # All of one width, so that a page shows their text in one size; what is over is on the left,
    # where labels are wider in a browser.
    width = float(size[1])
    box = f"{min(0, width - WIDTH):g} 0 {max(WIDTH, width):g} {size[2]}"
    head = Markup('<svg class="{}" viewBox="{}" role="img" aria-label="{}">').format(
        name, box, visible(label)
    )
    return head + Markup(body)  # vl-convert escapes what is written in a chart
