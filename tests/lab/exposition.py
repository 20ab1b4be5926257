"""Counters and histograms rendered as Prometheus text; labels are rendered once per series."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence


def render_labels(labels: Mapping[str, str]) -> str:
    """The labels as they stand between the braces."""
    return ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items())


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


class Counter:
    """One series that only grows."""

    __slots__ = ("_prefix", "value")

    def __init__(self, name: str, labels: Mapping[str, str]) -> None:
        """Starts at zero, but is exposed only once it was observed."""
        self._prefix = f"{name}{{{render_labels(labels)}}} "
        self.value = 0

    def observe(self, latency_ms: float) -> None:
        """One event; how long it took doesn't matter here."""
        del latency_ms
        self.value += 1

    def lines(self) -> list[str]:
        """The series in the text format."""
        return [self._prefix + str(self.value)]


class Histogram:
    """The series _bucket, _sum and _count of one set of labels."""

    __slots__ = ("_bounds", "_counts", "_prefixes", "_sum", "_total_prefixes", "_unit")

    def __init__(
        self, name: str, labels: Mapping[str, str], bounds: Sequence[float], *, ms_per_unit: float
    ) -> None:
        """bounds: upper bounds in the histogram's own unit, ascending, without +Inf."""
        rendered = render_labels(labels)
        edges = [*(f"{bound:g}" if bound < 1e6 else str(int(bound)) for bound in bounds), "+Inf"]
        self._prefixes = [f'{name}_bucket{{{rendered},le="{edge}"}} ' for edge in edges]
        self._total_prefixes = (f"{name}_sum{{{rendered}}} ", f"{name}_count{{{rendered}}} ")
        self._bounds = list(bounds)
        self._counts = [0] * len(edges)
        self._sum = 0.0
        self._unit = ms_per_unit

    def observe(self, latency_ms: float) -> None:
        """One event that took so long."""
        value = latency_ms / self._unit
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def lines(self) -> list[str]:
        """The series in the text format; buckets are cumulative."""
        rendered, total = [], 0
        for prefix, count in zip(self._prefixes, self._counts, strict=True):
            total += count
            rendered.append(prefix + str(total))
        sum_prefix, count_prefix = self._total_prefixes
        return [*rendered, f"{sum_prefix}{self._sum:.6g}", count_prefix + str(total)]


Series = Counter | Histogram


class Registry:
    """All series of one process; a series exists from its first event on, as in real proxies."""

    def __init__(self, *, started_s: float) -> None:
        """started_s: Unix time, exposed as process_start_time_seconds."""
        self._started_s = started_s
        self._families: dict[str, str] = {}
        self._series: dict[tuple[str, frozenset[tuple[str, str]]], Series] = {}

    def clear(self) -> None:
        """Forgets all series, as after an eviction."""
        self._families.clear()
        self._series.clear()

    def counter(self, name: str, labels: Mapping[str, str]) -> Counter:
        """The series of that name and labels, made at its first use."""
        key = (name, frozenset(labels.items()))
        found = self._series.get(key)
        if not isinstance(found, Counter):
            self._families[name] = "counter"
            found = self._series[key] = Counter(name, labels)
        return found

    def histogram(
        self,
        name: str,
        labels: Mapping[str, str],
        bounds: Sequence[float],
        *,
        ms_per_unit: float = 1.0,
    ) -> Histogram:
        """The histogram of that name and labels, made at its first use."""
        key = (name, frozenset(labels.items()))
        found = self._series.get(key)
        if not isinstance(found, Histogram):
            self._families[name] = "histogram"
            found = self._series[key] = Histogram(name, labels, bounds, ms_per_unit=ms_per_unit)
        return found

    def render(self) -> bytes:
        """The whole exposition, families together."""
        by_family: dict[str, list[str]] = {name: [] for name in self._families}
        for (name, _), series in self._series.items():
            by_family[name].extend(series.lines())
        lines = ["# TYPE process_start_time_seconds gauge"]
        lines.append(f"process_start_time_seconds {self._started_s:.3f}")
        for name, kind in self._families.items():
            lines.append(f"# TYPE {name} {kind}")
            lines.extend(by_family[name])
        return "\n".join([*lines, ""]).encode()
