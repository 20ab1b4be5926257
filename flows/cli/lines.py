"""Sentences on a terminal: broken between words at its width; whole lines for other programs."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console


def say(text: str, *, indent: str = "") -> None:
    """Prints a sentence, what doesn't fit on its first line indented by `indent`."""
    print(fitted(text, indent=indent), flush=True)


def complain(text: object) -> None:
    """Prints a warning or an error to stderr, each line of it as `say` does on a terminal."""
    is_shown = sys.stderr is not None and sys.stderr.isatty()
    for line in str(text).split("\n"):
        print_beside(_broken(line, "  ") if is_shown else line)


def print_beside(text: str) -> None:
    """Prints to standard error; what it can't take is lost, and the exit code alone decides.

    Left to Python, a full disk or a reader that is gone would end the process with 1, a rollback;
    and without a standard error it would print among the answers.
    """
    if sys.stderr is None:
        return
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        print_nowhere(sys.stderr)


def print_nowhere(stream: TextIO) -> None:
    """What the stream is left to print is dropped: Python would try again at its end, and fail."""
    # A stream in a file's place has no number.
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def fitted(text: str, *, indent: str = "") -> str:
    """The sentence on lines as wide as the terminal, or as COLUMNS says; else on one line.

    No word is cut, however long.
    """
    if not (sys.stdout.isatty() or os.environ.get("COLUMNS")):
        return text
    return _broken(text, indent)


def _broken(text: str, indent: str) -> str:
    # What other programs read costs them no import.
    import shutil  # noqa: PLC0415
    import textwrap  # noqa: PLC0415

    return textwrap.fill(
        text,
        max(20, shutil.get_terminal_size().columns),
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def plain_console(*, stderr: bool = False) -> Console:
    """Prints tables; what their texts hold in brackets or between colons is no markup of ours."""
    from rich.console import Console  # noqa: PLC0415 - slow, for who prints tables

    return Console(stderr=stderr, markup=False, emoji=False)
