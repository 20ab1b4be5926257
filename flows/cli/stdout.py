"""Standard output that takes no more: its disk is full, or its reader has gone."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress


def lost_output(error: BaseException) -> str | None:
    """Why standard output took no more; None for any other error.

    Files of ours that can't be written are UserErrors, so that what is left is standard output.
    """
    # rich ends the process with 1 when its reader is gone, which would be a rollback.
    cause = error.__context__ if isinstance(error, SystemExit) else error
    if isinstance(cause, OSError) and cause.errno in (errno.EPIPE, errno.ENOSPC):
        return cause.strerror if cause.filename is None else None
    return None


def print_nowhere() -> None:
    """What is left to print is dropped: Python would try again at its end, and fail."""
    # A stream in a file's place has no number.
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
