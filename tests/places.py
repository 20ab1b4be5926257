"""Where the repository stands, the data beside it, and how long a test waits for others."""

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = REPOSITORY.parent / "shared"

# How long a test waits for a server or another process before it fails. Nothing is measured by it:
# a machine under a load of twenty takes minutes for what takes seconds otherwise.
PATIENCE_S = 300.0
