"""Gauges in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dashboards.promql import quote


def labels_of(labels: Mapping[str, str]) -> str:
    """Labels as they stand between the braces of a sample."""
    return ",".join(f"{name}={quote(value)}" for name, value in labels.items())


def gauge(
    name: str, help_text: str, samples: Iterable[tuple[str, float]], comments: Iterable[str] = ()
) -> str:
    """A gauge's lines in an order of their own; empty without samples.

    samples: labels as by labels_of, and the value.
    """
    values = sorted(
        f"{name}{{{labels}}} {value!r}" if labels else f"{name} {value!r}"
        for labels, value in samples
    )
    if not values:
        return ""
    header = [f"# HELP {name} {help_text}", f"# TYPE {name} gauge"]
    return "\n".join([*header, *sorted(comments), *values]) + "\n"
