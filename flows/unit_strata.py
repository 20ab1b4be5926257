"""The parts of users that sums are kept of: segments, and their crossings where strata are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flows.spec import Experiment

# Between the columns of a crossing, so that no column's name is taken for one.
_CROSSED = "\x1f"


def dimensions_of(spec: Experiment) -> Mapping[str, tuple[str, ...]]:
    """By name, the columns of every set of segments: each alone, and crossed where strata are."""
    alone = {column: (column,) for column in spec.segments}
    asked = [spec.strata_of(metric) for metric in spec.unit_metrics.values()]
    return alone | {dimension_name(strata): strata for strata in asked if len(strata) > 1}


def dimension_name(columns: Sequence[str]) -> str:
    """The name of a set of columns."""
    return _CROSSED.join(columns)
