"""What `verdict watch` shows: split, success, latency, score over time, and what is missing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from analysis.explain.spans import span_s
from analysis.requests.latency import QuantileRange
from analysis.verdict import Decision
from dashboards import report_numbers as numbers
from dashboards.report_view import PastHarm, PastLook

_BARS = " ▁▂▃▄▅▆▇█"
_STYLES = {
    Decision.PROMOTE: "bold green",
    Decision.HOLD: "bold yellow",
    Decision.ROLLBACK: "bold red",
    Decision.INVALID: "bold magenta",
}


@dataclass(frozen=True, slots=True)
class VariantNow:
    """One version over the last minutes.

    share: of all requests; configured: what it should be; None where unknown.
    success: share of answered requests that didn't fail. p50, p99: over the same time.
    """

    variant: str
    requests_per_second: float
    share: float | None
    configured: float | None
    success: float | None
    p50: QuantileRange | None
    p99: QuantileRange | None


@dataclass(frozen=True, slots=True)
class Watched:
    """Everything on the screen. looks: oldest first, the last one is now."""

    experiment: str
    over_s: float
    variants: tuple[VariantNow, ...]
    looks: tuple[PastLook, ...]
    reasons: tuple[str, ...]
    notes: tuple[str, ...]


def watch_screen(watched: Watched) -> RenderableType:
    """The screen, for 80 columns, readable without colour."""
    now = watched.looks[-1]
    score = "no score" if now.score is None else f"score {now.score:g}"
    head = Text.assemble(
        (watched.experiment, "bold"),
        f"  {now.at:%Y-%m-%d %H:%M:%S} UTC  ",
        (now.decision.value, _STYLES[now.decision]),
        f"  {score}",
    )
    lines = [_indented("-", reason) for reason in watched.reasons]
    lines += [_indented("note:", note, style="dim") for note in watched.notes]
    variants = [_variants(watched)] if watched.variants else []
    return Group(head, *variants, _looks(watched.looks), *lines)


def _indented(mark: str, sentence: str, style: str = "") -> Table:
    """A sentence whose further lines begin where its first does."""
    table = Table.grid(padding=(0, 1))
    table.add_row(Text(mark, style=style), Text(sentence, style=style))
    return table


def _variants(watched: Watched) -> Table:
    table = Table(title=f"last {span_s(watched.over_s)}", title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("version", "requests/s", "split", "success", "p50", "p99"):
        table.add_column(heading, justify="left" if heading == "version" else "right")
    for each in watched.variants:
        table.add_row(
            each.variant,
            _rate(each.requests_per_second),
            _split(each),
            "-" if each.success is None else f"{each.success:.2%}",
            _quantile(each.p50),
            _quantile(each.p99),
        )
    return table


def _split(variant: VariantNow) -> str:
    share = "-" if variant.share is None else f"{variant.share:.1%}"
    return share if variant.configured is None else f"{share} of {variant.configured:.0%}"


def _quantile(found: QuantileRange | None) -> str:
    """The range of bucket edges that it surely lies in."""
    if found is None:
        return "-"
    if found.lower_ms <= 0 and found.upper_ms < float("inf"):
        return f"at most {found.upper_ms:g} ms"
    upper = f"{found.upper_ms:g}" if found.upper_ms < float("inf") else "∞"
    return f"{found.lower_ms:g}-{upper} ms"


def _looks(looks: Sequence[PastLook]) -> Table:
    """A row per metric: its harm or gain now, beside the limit and what it was a few looks ago."""
    bars = "".join(_bar(look.score) for look in looks)
    table = Table(
        title=f"score over time  {bars}", title_justify="left", box=box.SIMPLE_HEAD, expand=False
    )
    for heading in ("metric", "harm, gain", "limit"):
        table.add_column(heading)
    earlier = looks[-min(len(looks), 6)] if len(looks) > 1 else None
    if earlier is not None:
        table.add_column(f"at {earlier.at:%H:%M:%S}")
    known = {} if earlier is None else {_key(h): _difference(h) for h in earlier.harms}
    several = len({harm.candidate for harm in looks[-1].harms}) > 1
    for harm in looks[-1].harms:
        name = f"{harm.metric} of {harm.candidate}" if several else harm.metric
        name += " (gain)" if harm.is_goal else ""
        then = [] if earlier is None else [known.get(_key(harm), "-")]
        limit = numbers.limit(harm.limit, **_unit(harm)).removeprefix("+")
        table.add_row(name, _effect(harm), limit, *then)
    return table


def _key(harm: PastHarm) -> tuple[str, str]:
    return harm.metric, harm.candidate


def _difference(harm: PastHarm) -> str:
    known = math.isfinite(harm.shown.value)
    return numbers.difference(harm.shown, **_unit(harm)) if known else "-"


def _unit(harm: PastHarm) -> dict[str, bool]:
    return {"is_share": harm.is_share, "is_relative": harm.is_relative}


def _effect(harm: PastHarm) -> str:
    said = _difference(harm)
    if said == "-":
        return said
    ends = harm.shown.lower, harm.shown.upper
    if not all(map(math.isfinite, ends)):
        return f"{said}, {numbers.interval(harm.shown, **_unit(harm))}"
    # 80 columns have room for the unit once.
    is_share = harm.is_share or harm.is_relative
    low, high = (numbers.signed(end, is_share=is_share) for end in ends)
    return f"{said}, {low} to {high}"


def _rate(per_second: float) -> str:
    return f"{per_second:,.0f}" if per_second >= 100 else f"{per_second:.3g}"


def _bar(score: float | None) -> str:
    return "?" if score is None else _BARS[round(score / 100 * (len(_BARS) - 1))]
