"""The command, run within the test's own process: what it says and its exit code, in a moment."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from subprocess import CompletedProcess

from flows.cli.main import main


def verdict(*arguments: str | Path) -> CompletedProcess[str]:
    """As `verdict ARGUMENTS` ends as a process; for where the process itself isn't tested."""
    out, err = io.StringIO(), io.StringIO()
    words = [str(argument) for argument in arguments]
    with redirect_stdout(out), redirect_stderr(err):
        try:
            code = main(words)
        except SystemExit as ended:  # argparse's, for wrong usage
            code = ended.code if isinstance(ended.code, int) else 1
    return CompletedProcess(words, code, out.getvalue(), err.getvalue())
