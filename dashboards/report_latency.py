"""The latency part of an experiment's page: quantiles and slower shares, candidate by candidate."""

from __future__ import annotations

from markupsafe import Markup

from analysis.judge.latency_table import LatencyTable, SlowerShare
from analysis.verdict import Verdict
from dashboards import report_numbers as numbers
from dashboards.html_table import paragraph, section, small, table, tag
from dashboards.report_svg import interval_svg


def latency_section(verdict: Verdict) -> Markup:
    """Both versions' latencies, a table per candidate."""
    if not verdict.latency:
        return Markup()
    return section("Latency", *map(_latency, verdict.latency))


def _latency(found: LatencyTable) -> Markup:
    seen = (
        f"{numbers.count(found.requests_candidate)} requests of {found.candidate_variant} and "
        f"{numbers.count(found.requests_baseline)} of {found.baseline_variant}"
    )
    intro = (
        f"Compared within the same buckets: {seen}{_left_out(found)}, so latency that "
        "drifts for both is no difference. A quantile lies between two edges of the histogram; "
        f"ranges and bounds hold at every look with {found.confidence:.0%} confidence."
    )
    parts = [
        Markup("<h3>{} beside {}</h3>").format(found.candidate_variant, found.baseline_variant),
        paragraph(intro, "soft"),
    ]
    if found.quantiles:
        parts += [_quantiles(found), _slower_shares(found)]
    dropped = _dropped(found)
    return Markup("").join([*parts, paragraph(dropped, "soft") if dropped else Markup()])


def _left_out(found: LatencyTable) -> str:
    """Requests of buckets in which the other version had none."""
    alone = found.alone_baseline + found.alone_candidate
    if not alone:
        return ""
    return f" ({numbers.count(alone)} more had no counterpart at their time)"


def _quantiles(found: LatencyTable) -> Markup:
    headings = ("quantile", found.candidate_variant, found.baseline_variant, "difference")
    rows = [
        (
            f"p{100 * row.quantile:g}",
            *(
                Markup("{}{}").format(
                    numbers.milliseconds(arm), small(numbers.label_ms(arm.interpolated_ms))
                )
                for arm in (row.candidate, row.baseline)
            ),
            Markup("{}{}").format(
                numbers.interval(row.difference, is_share=False) + " ms",
                small(numbers.label_ms(row.difference.value)),
            ),
        )
        for row in found.quantiles
    ]
    return table("Quantiles; candidate minus baseline.", headings, rows)


def _slower_shares(found: LatencyTable) -> Markup:
    headings = (
        "slower than",
        found.candidate_variant,
        found.baseline_variant,
        "difference",
        "interval",
        "result",
    )
    rows = [
        (
            f"{row.edge_ms:g} ms",
            numbers.percent(row.candidate, 2),
            numbers.percent(row.baseline, 2),
            Markup("{}{}").format(
                numbers.difference(row.difference, is_share=True),
                small(numbers.interval(row.difference, is_share=True)),
            ),
            interval_svg(row.difference, None, numbers.interval(row.difference, is_share=True)),
            _told_apart(row),
        )
        for row in found.slower_than
    ]
    caption = "Share of requests slower than an edge: exact. All bounds hold together."
    return table(caption, headings, rows)


def _told_apart(row: SlowerShare) -> Markup:
    if row.difference.lower > 0:
        return tag("slower", "fail")
    return tag("faster", "pass") if row.difference.upper < 0 else tag("no difference shown", "soft")


def _dropped(found: LatencyTable) -> str:
    arms = (
        (found.baseline_variant, found.dropped_baseline),
        (found.candidate_variant, found.dropped_candidate),
    )
    said = " and ".join(f"{numbers.edges(edges)} of {name}" for name, edges in arms if edges)
    return f"Not compared, as edges differ: {said}." if said else ""
