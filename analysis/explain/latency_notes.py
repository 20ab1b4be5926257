"""What a latency table shows, in sentences: which version is slower, and what wasn't compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from analysis.judge.latency_table import LatencyTable

# So many edges are named one by one; of more, the rest are counted.
_NAMED = 5


def latency_notes(table: LatencyTable) -> Iterator[str]:
    """The order of the latencies where it is proven, and the edges that were left out."""
    if table.order.slower_at_ms or table.order.faster_at_ms:
        yield _order(table)
    if table.dropped_baseline or table.dropped_candidate:
        yield _dropped(table)


def _order(table: LatencyTable) -> str:
    order, whose = table.order, f"{table.candidate_variant}'s latencies are"
    if order.crossing:
        return (
            f"{whose} slower than {table.baseline_variant}'s at {_named(order.slower_at_ms)}, but "
            f"faster at {_named(order.faster_at_ms)}"
        )
    how, other, at = (
        ("slower", "faster", order.slower_at_ms)
        if order.slower
        else ("faster", "slower", order.faster_at_ms)
    )
    said = f"{whose} {how} than {table.baseline_variant}'s at "
    if order.everywhere:
        return f"{said}every edge ({_span(at)})"
    return (
        f"{said}{len(at)} of {len(table.slower_than)} edges ({_span(at)}), surely {other} at none"
    )


def _dropped(table: LatencyTable) -> str:
    variants = (
        (table.baseline_variant, table.dropped_baseline),
        (table.candidate_variant, table.dropped_candidate),
    )
    found = " and ".join(f"{_named(edges)} of {name}" for name, edges in variants if edges)
    said = f"latency buckets differ: the edges {found} have no counterpart all the time"
    if not table.slower_than:
        return f"{said}, and no edge is left to compare latencies at"
    return f"{said}, so latencies are not compared there"


def _named(edges: Sequence[float]) -> str:
    named = ", ".join(f"{edge:g}" for edge in edges[:_NAMED])
    more = len(edges) - _NAMED
    return f"{named} ms" if more <= 0 else f"{named} ms and {more} more"


def _span(edges: Sequence[float]) -> str:
    return f"{edges[0]:g} ms" if len(edges) == 1 else f"{edges[0]:g} to {edges[-1]:g} ms"
