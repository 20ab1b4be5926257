"""Where the repository stands, and the data beside it that tests read where it is there."""

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = REPOSITORY.parent / "shared"
