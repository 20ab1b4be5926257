"""Where the repository stands, the data beside it, and how long a test waits for others."""

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = REPOSITORY.parent / "shared"

# How long a test waits for a server or another process before it fails. Nothing is measured by it:
# a machine under a load of twenty takes minutes for what takes seconds otherwise.
PATIENCE_S = 300.0


def at_load(seconds: float) -> float:
    """So long, on a machine that has more to do than processors as much longer."""
    return seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
