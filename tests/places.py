"""Where the repository stands, the data beside it, and how long a test waits for others."""

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = REPOSITORY.parent / "shared"

# How long a test waits for a server or another process before it fails. Nothing is measured by it:
# a machine under a load of twenty takes minutes for what takes seconds otherwise.
PATIENCE_S = 300.0


def at_load(seconds: float) -> float:
    """So long, on a machine that has more to do than processors as much longer.

    Of the last minute or of now: a load that has just begun isn't in the average yet.
    """
    now = int(Path("/proc/loadavg").read_text().split()[3].partition("/")[0])
    return seconds * max(1.0, max(os.getloadavg()[0], now) / (os.cpu_count() or 1))
