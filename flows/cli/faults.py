"""What is said of a mistake of ours: one line, and with --debug its traceback."""

from __future__ import annotations

import traceback

from flows.cli.lines import print_beside


def show_fault(error: BaseException, *, debug: bool) -> None:
    """Prints the traceback where it is wanted, without the secrets that it may hold."""
    if not debug:
        return
    try:
        from flows.formats.safe_text import safe_traceback  # noqa: PLC0415
    except ImportError:
        # What can't even be imported is shown as it is.
        traceback.print_exception(error)
    else:
        print_beside(safe_traceback(error).rstrip("\n"))


def fault_line(error: BaseException, *, debug: bool) -> str:
    """The kind of the error and its words on one line, and how to see more."""
    try:
        from flows.formats.safe_text import safe_text  # noqa: PLC0415

        said = safe_text(str(error))
    except ImportError:
        said = str(error)
    kind = type(error).__name__
    words = " ".join([f"{kind}:", *said.split()]) if said else kind
    return words if debug else f"{words} (--debug shows the traceback)"
