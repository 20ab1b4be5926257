"""Numbers of the HTML report as people read them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from analysis.explain.reasons import level
from analysis.judge.latency_table import QuantileComparison
from analysis.metric_result import Estimate, MetricResult
from analysis.requests.latency import QuantileRange
from analysis.verdict import Decision
from dashboards.report_view import ResponseCount

MINUS = "\N{MINUS SIGN}"


def moment(at: datetime) -> str:
    """A time to the second."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def minute(at: datetime) -> str:
    """A time to the minute."""
    return f"{at:%Y-%m-%d %H:%M} UTC"


def count(value: float) -> str:
    """How many."""
    return f"{value:,.0f}"


def percent(share: float | None, digits: int = 1) -> str:
    """A share in percent."""
    if share is None or not math.isfinite(share):
        return "unknown"
    return unbroken(f"{100 * share:.{digits}f} %")


def probability(value: float) -> str:
    """In percent; no estimate is certain."""
    if value > 0.999:
        return "over 99.9\N{NO-BREAK SPACE}%"
    return "under 0.1\N{NO-BREAK SPACE}%" if value < 0.001 else percent(value)


def score(decision: Decision, value: float | None) -> str:
    """Of 100, rounded down: 99.97 is not a full 100. Bad data has none that may be trusted."""
    if decision is Decision.INVALID:
        return "not valid"
    return "none" if value is None else f"{int(value)} of 100"


def unbroken(text: str) -> str:
    """A number and its unit on one line."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def signed(value: float, *, is_share: bool) -> str:
    """A difference: points for shares."""
    # A negative zero is none.
    text = f"{round(100 * value, 2) + 0.0:+.2f}" if is_share else f"{value + 0.0:+.4g}"
    return text.replace("-", MINUS)


def limit(value: float, *, is_share: bool, is_relative: bool = False) -> str:
    """What harm or gain is held against; a margin relative to an unknown baseline is unknown."""
    if math.isnan(value):
        return "not known yet"
    return f"{signed(value, is_share=True)} %" if is_relative else signed(value, is_share=is_share)


def interval(estimate: Estimate, *, is_share: bool, is_relative: bool = False) -> str:
    """The difference's bounds, in a sentence's words; is_relative: in parts of the baseline."""
    unit = " %" if is_relative else " points" if is_share else ""
    ends = (estimate.lower, estimate.upper)
    low, high = (signed(end, is_share=is_share or is_relative) for end in ends)
    if math.isfinite(estimate.lower) and math.isfinite(estimate.upper):
        return f"between {low} and {high}{unit}"
    if math.isfinite(estimate.lower):
        return f"at least {low}{unit}"
    return f"at most {high}{unit}" if math.isfinite(estimate.upper) else "no bounds yet"


def possible(estimate: Estimate, *, is_share: bool) -> Estimate:
    """The same without what can't be: no two shares are further apart than 1."""
    if not is_share:
        return estimate
    ends = (
        end if math.isinf(end) else min(max(end, -1.0), 1.0)
        for end in (estimate.lower, estimate.upper)
    )
    return Estimate(estimate.value, *ends)


def difference(estimate: Estimate, *, is_share: bool, is_relative: bool = False) -> str:
    """The difference itself; is_relative: as a part of the baseline."""
    if not math.isfinite(estimate.value):
        return "unknown"
    if is_relative:
        return f"{signed(estimate.value, is_share=True)} %"
    return signed(estimate.value, is_share=is_share) + (" points" if is_share else "")


def milliseconds(found: QuantileRange) -> str:
    """The edges that a quantile lies between."""
    if found.lower_ms <= 0 and math.isfinite(found.upper_ms):
        return f"at most {found.upper_ms:g} ms"
    if math.isfinite(found.upper_ms):
        return f"{found.lower_ms:g} to {found.upper_ms:g} ms"
    return f"above {found.lower_ms:g} ms"


def quantile_rows(
    found: Sequence[QuantileComparison],
) -> list[tuple[str, QuantileComparison, bool]]:
    """The rows of a table of quantiles: name, quantile, and whether its labels say anything.

    Those below the first edge of both versions are not told apart by the histogram: one row.
    """
    below = [row for row in found if row.baseline.lower_ms <= 0 and row.candidate.lower_ms <= 0]
    edges_below = {(row.baseline.upper_ms, row.candidate.upper_ms) for row in below}
    if len(below) < 2 or len(edges_below) > 1:
        return [(_quantile_name(row), row, True) for row in found]
    names = f"{_quantile_name(below[0])} to {_quantile_name(below[-1])}"
    others = [(_quantile_name(row), row, True) for row in found if row not in below]
    return [(names, below[-1], False), *others]


def _quantile_name(row: QuantileComparison) -> str:
    return f"p{100 * row.quantile:g}"


def label_ms(value: float) -> str:
    """An interpolated latency, marked as what it is."""
    return f"\N{ALMOST EQUAL TO} {value:.3g} ms".replace("-", MINUS)


def edges(values: Sequence[float]) -> str:
    """Latency edges."""
    return ", ".join(f"{value:g}" for value in values) + " ms"


def of_metric(metric: MetricResult, value: float, exposure: float) -> str:
    """A version's own value."""
    if not math.isfinite(value):
        # Without the other version's data a version's own value isn't worked out.
        return "not compared" if exposure > 0 else "no data"
    return unbroken(level(metric, value))


@dataclass(frozen=True, slots=True)
class Compared:
    """The difference whose bounds decide, in the unit of its margin, and what is allowed.

    allowed: below zero where more is better; None where nothing is. is_relative: both are parts of
    the baseline. beside: the difference in the other unit, in brackets; "" where it isn't known.
    """

    found: Estimate
    allowed: float | None
    is_relative: bool
    beside: str


def compared(metric: MetricResult) -> Compared:
    """What the verdict of a metric rests on."""
    is_relative = metric.relative_harm is not None
    margin = metric.margin_relative if is_relative else metric.margin
    known = margin if margin and math.isfinite(margin) else None
    allowed = -known if known and metric.higher_is_better else known
    lift = signed_percent(metric.relative.value) if math.isfinite(metric.relative.value) else ""
    if is_relative:
        beside = difference(metric.difference, is_share=metric.is_share)
        return Compared(metric.relative, allowed, is_relative, f"({beside})")
    found = possible(metric.difference, is_share=metric.is_share)
    return Compared(found, allowed, is_relative, lift and f"({lift})")


def loss(value: float, *, is_share: bool) -> str:
    """What a choice costs if it is the wrong one, in the metric's unit."""
    if not math.isfinite(value):
        return "unknown"
    if not is_share:
        return f"{value:.3g}"
    return f"{100 * value:.2f} points" if value >= 5e-5 else "under 0.01 points"


def signed_percent(share: float) -> str:
    """A relative difference in percent."""
    if not math.isfinite(share):
        return "unknown"
    return f"{100 * share + 0.0:+.3g} %".replace("-", MINUS)


def lift_bounds(lower: float, upper: float) -> str:
    """The bounds of a relative difference."""
    if not math.isfinite(lower) and not math.isfinite(upper):
        return "no bounds yet"
    if not math.isfinite(upper):
        return f"at least {signed_percent(lower)}"
    if not math.isfinite(lower):
        return f"at most {signed_percent(upper)}"
    return f"{signed_percent(lower)} to {signed_percent(upper)}"


def p_value(value: float) -> str:
    """Three digits; the smallest as a bound."""
    if not math.isfinite(value):
        return "unknown"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def part(count_of: float, kinds: Sequence[ResponseCount], variant: int) -> str:
    """A count as a share of all that its variant had."""
    total = sum(kind.counts[variant] for kind in kinds)
    return percent(count_of / total, 2) if total else ""
