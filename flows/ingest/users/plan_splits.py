"""When the plan's splits begin: under which of them a user was first exposed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from analysis.plan import Plan
from flows.formats.time import instant

# When each split but the first begins.
SplitStarts = Sequence[datetime]


def split_starts(plan: Plan) -> SplitStarts:
    """When the plan's splits begin; empty where the split never changes."""
    return [instant(split.start_ms) for split in plan.splits[1:]]


def begun(starts: SplitStarts, until: datetime) -> SplitStarts:
    """Those that have begun; what lies ahead can still move in a delivery."""
    return [start for start in starts if start <= until]


def split_number(starts: SplitStarts, column: str) -> str:
    """The expression of how many splits came before that of a time: 0 under the first one."""
    times = [f"timestamptz '{start.astimezone(UTC).isoformat()}'" for start in starts]
    terms = " + ".join(f"cast({column} >= {time} as smallint)" for time in times)
    return f"cast({terms or 0} as smallint)"
