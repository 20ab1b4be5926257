"""Standard output: without control characters of others, and what if it takes no more."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, TextIO, cast

from flows.cli.elapsed import ElapsedLine, elapsed_line
from flows.formats.safe_text import CONTROLS

# Colours and the moves of a progress bar, which our own tables have on a terminal.
_OURS = re.compile(r"(\x1b\[[0-9;?]*[A-HJKhlm]|\r)")


class _Printable:
    """A stream without the control characters that a server's or a file's text may hold."""

    def __init__(self, stream: TextIO, line: ElapsedLine | None) -> None:
        self._stream, self._line = stream, line

    def write(self, text: str) -> int:
        """Writes the text, such characters replaced."""
        if self._line is not None:
            self._line.hide()
        parts = _OURS.split(text) if self._stream.isatty() else [text]
        parts[::2] = [CONTROLS.sub("\ufffd", part) for part in parts[::2]]
        return self._stream.write("".join(parts))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def printable_output(*, is_silent: bool = False, label: str | None = None) -> Iterator[None]:
    """Lets nothing that is printed in the with block command the terminal.

    is_silent: standard output takes nothing. label: what a terminal is told to be running for how
    long.
    """
    with ExitStack() as stack:
        line = None
        # A process can be started without them.
        if label is not None and sys.stderr is not None and sys.stderr.isatty():
            line = stack.enter_context(elapsed_line(label, sys.stderr))
        out, err = (
            None if stream is None else cast("TextIO", _Printable(stream, line))
            for stream in (sys.stdout, sys.stderr)
        )
        if is_silent:
            out = stack.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
        stack.enter_context(redirect_stdout(out))
        stack.enter_context(redirect_stderr(err))
        yield


def lost_output(error: BaseException) -> str | None:
    """Why standard output took no more; None for any other error.

    Files of ours that can't be written are UserErrors, so that what is left is standard output.
    """
    # rich ends the process with 1 when its reader is gone, which would be a rollback.
    cause = error.__context__ if isinstance(error, SystemExit) else error
    if isinstance(cause, OSError) and cause.errno in (errno.EPIPE, errno.ENOSPC):
        return cause.strerror if cause.filename is None else None
    return None
