"""The `verdict` command."""

from __future__ import annotations

import argparse
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from flows.formats.exit_codes import ExitCode

_ENDS = (None, ExitCode.GOOD, ExitCode.FAILED)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code. Trouble is one line on standard error, and 2.

    A mistake of ours, or of an installation that isn't whole, shows as one, with its traceback, and
    is 2 as well: left to Python it would end with 1, which tells a pipeline to roll back.
    """
    if arguments is None and not sys.warnoptions:
        # A number that isn't known is said in the verdict; numpy's words on it help nobody.
        warnings.filterwarnings("ignore", category=RuntimeWarning)
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # nothing is hidden: all of it is printed
        # argparse's own ends. A library's is none of ours, nor is the panic of one in Rust.
        if isinstance(error, SystemExit) and error.code in _ENDS:
            raise
        _print_traceback(error)
        print(f"verdict failed, nothing was decided: {type(error).__name__}", file=sys.stderr)
    return ExitCode.FAILED


def _print_traceback(error: BaseException) -> None:
    """Without the secrets that it may hold; what can't even be imported is shown as it is."""
    try:
        from flows.formats.safe_text import safe_traceback  # noqa: PLC0415
    except ImportError:
        traceback.print_exception(error)
    else:
        print(safe_traceback(error), end="", file=sys.stderr)


def _run(arguments: Sequence[str] | None) -> int:
    from flows.cli.stdout import lost_output, print_nowhere, printable_output  # noqa: PLC0415
    from flows.formats.problems import UserError  # noqa: PLC0415
    from flows.formats.safe_text import make_logs_safe  # noqa: PLC0415

    make_logs_safe()

    options = _parser().parse_args(arguments)
    action: Callable[[argparse.Namespace], int] = options.run
    try:
        with printable_output():
            code = action(options)
        # What is only printed while Python ends would end with a code of its own.
        if sys.stdout is not None:
            sys.stdout.flush()
    except UserError as error:
        print(error, file=sys.stderr)
        return ExitCode.FAILED
    except (OSError, SystemExit) as error:
        lost = lost_output(error)
        if lost is None:
            raise
        print_nowhere()
        print(
            f"the output can't be printed: {lost}; a verdict that was reached is recorded",
            file=sys.stderr,
        )
        return ExitCode.FAILED
    return code


def _parser() -> argparse.ArgumentParser:
    # Imported here, for what fails while it is imported ends with 2 as well.
    from flows.cli import (  # noqa: PLC0415
        analyze_command,
        calibrate_command,
        deliver_command,
        forget_command,
        gate_command,
        init_command,
        judge_command,
        plan_command,
        run_command,
        serve_command,
        spec_command,
        watch_command,
    )

    parser = argparse.ArgumentParser(
        prog="verdict", description="Is the new version behind the traffic split good?"
    )
    parser.add_argument(
        "--root",
        type=Path,
        default=Path(),
        help="the folder with experiments/; var/ and verdicts/ are made in it (default: .)",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (
        init_command,
        forget_command,
        gate_command,
        watch_command,
        deliver_command,
        run_command,
        serve_command,
        spec_command,
        plan_command,
        calibrate_command,
        analyze_command,
        judge_command,
    ):
        command.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
