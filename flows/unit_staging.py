"""Where users' rows wait on their way into the warehouse: a folder for the time of one pull."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb


class StagingFailed(Exception):
    """Rows of users can't be kept aside while they are read: a full disk, or too little memory."""


@contextmanager
def staging_folder() -> Iterator[Path]:
    """A folder that is gone after the with block.

    Raises StagingFailed where it can't be made or written, or where memory doesn't suffice; what
    goes wrong in a source or in the warehouse passes.
    """
    try:
        made = tempfile.TemporaryDirectory(prefix="verdict-units-")
    except OSError as error:
        raise StagingFailed(f"users' rows can't be kept aside: {error}") from error
    with made as folder:
        try:
            yield Path(folder)
        except duckdb.OutOfMemoryException as error:
            raise StagingFailed(f"users' rows need more memory than there is: {error}") from error
        except duckdb.Error as error:
            if folder not in str(error):
                raise
            raise StagingFailed(
                f"users' rows can't be kept aside in {Path(folder).parent}: {_line(error)}. Free "
                "some space there, or set TMPDIR to a folder that has some"
            ) from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
