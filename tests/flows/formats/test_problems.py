"""What the system said of a file, whoever met it."""

from __future__ import annotations

import errno
import os

import duckdb
import pytest

from flows.formats.problems import os_reason


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a.csv"), "No space left on device"),
        (
            duckdb.IOException(
                'IO Error: Async write failed: {"exception_type":"IO","errno":"28"}'
            ),
            "No space left on device",
        ),
        (ValueError("no number"), "no number"),
    ],
)
def test_reason_is_the_systems_word(error: Exception, said: str) -> None:
    assert os_reason(error) == said
