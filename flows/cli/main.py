"""The `verdict` command."""

from __future__ import annotations

import argparse
import errno
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NoReturn

from flows.cli.faults import fault_line, show_fault
from flows.cli.lines import complain, print_nowhere
from flows.formats.exit_codes import ExitCode

if TYPE_CHECKING:
    from flows.cli.arguments import Commands

# Their text is all they are for.
_DECIDES_NOTHING = ("analyze", "calibrate", "completion", "export", "plan", "schema")
_ENDS = (None, ExitCode.GOOD, ExitCode.FAILED)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code. Trouble is one line on standard error, and 2.

    A mistake of ours, or of an installation that isn't whole, shows as one (with its traceback if
    --debug is set) and is 2 as well: left to Python it would end with 1, a rollback.
    """
    debug = "--debug" in (sys.argv[1:] if arguments is None else arguments)
    if arguments is None and not sys.warnoptions:
        # A number that isn't known is said in the verdict; numpy's words on it help nobody.
        warnings.filterwarnings("ignore", category=RuntimeWarning)
    try:
        return _run(arguments)
    except KeyboardInterrupt as error:
        show_fault(error, debug=debug)
        complain("interrupted; verdicts that were reached are recorded")
        return ExitCode.INTERRUPTED
    except BaseException as error:  # nothing is hidden: --debug prints all of it
        # argparse's own ends. A library's is none of ours, nor is the panic of one in Rust.
        if isinstance(error, SystemExit) and error.code in _ENDS:
            raise
        show_fault(error, debug=debug)
        said = fault_line(error, debug=debug)
        complain(f"verdict failed, nothing was decided: {said}")
    return ExitCode.FAILED


def _run(arguments: Sequence[str] | None) -> int:
    from flows.cli.arguments import workspace_of  # noqa: PLC0415
    from flows.cli.stdout import lost_output, printable_output  # noqa: PLC0415
    from flows.formats.problems import UserError  # noqa: PLC0415
    from flows.formats.safe_text import make_logs_safe  # noqa: PLC0415
    from flows.warehouse.interrupts import queries_end_on_signals  # noqa: PLC0415

    make_logs_safe()
    # Plug-ins of pydantic are looked for in all that is installed; none is ours.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

    words = sys.argv[1:] if arguments is None else arguments
    parser = command_parser(_named(words))
    options = parser.parse_args(arguments, argparse.Namespace(parser=parser))
    action: Callable[[argparse.Namespace], int] = options.run
    try:
        # What is said beside an answer is said to nobody where quiet is asked for.
        is_silent = options.quiet and options.narrates and not getattr(options, "json", False)
        label = None if options.quiet or not options.shows_time else _label(options)
        with queries_end_on_signals(), printable_output(is_silent=is_silent, label=label):
            options.workspace = workspace_of(options)
            code = action(options)
        # What is only printed while Python ends would end with a code of its own.
        if sys.stdout is not None:
            sys.stdout.flush()
    except UserError as error:
        complain(_of_experiment(error, getattr(options, "experiment", "")))
        return ExitCode.FAILED
    except (OSError, SystemExit) as error:
        lost = lost_output(error)
        if lost is None:
            raise
        print_nowhere(sys.stdout)
        if lost == os.strerror(errno.EPIPE) and options.command in _DECIDES_NOTHING:
            # `| head` has seen enough: nothing is lost by it.
            return ExitCode.GOOD
        complain(f"the output can't be printed: {lost}; a verdict that was reached is recorded")
        return ExitCode.FAILED
    return code


def _of_experiment(error: Exception, name: str) -> str:
    """What is wrong, with the experiment whose source it is wrong with."""
    from flows.ingest.sources.source_error import SourceError  # noqa: PLC0415

    said = str(error)
    is_named = not isinstance(error, SourceError) or said.startswith(f"{name}: ")
    return said if is_named or not name else f"{name}: {said}"


def _label(options: argparse.Namespace) -> str:
    """What is running, as a terminal shows it beside the time it takes."""
    return f"{options.command} {getattr(options, 'experiment', '')}".rstrip()


class _Parser(argparse.ArgumentParser):
    """Quotes what it can't read without the passwords that may stand in it."""

    def error(self, message: str) -> NoReturn:
        """Says what is wrong, and ends with 2."""
        from flows.formats.safe_text import safe_text  # noqa: PLC0415

        super().error(safe_text(message))


class _Version(argparse.Action):
    """Prints the version, which is looked up only then."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version  # noqa: PLC0415

        print(f"verdict {version('split-verdict')}")
        parser.exit()


def _named(words: Sequence[str]) -> str:
    """The word that names the command; '' where only a parser can tell."""
    if len(words) > 1 and words[0] == "--root":
        words = words[2:]
    return words[0] if words else ""


def command_parser(wanted: str = "") -> argparse.ArgumentParser:
    """The command line with all its commands; wanted: which is called, if that is known."""
    parser: argparse.ArgumentParser = _Parser(
        prog="verdict", description="Is the new version behind the traffic split good?"
    )
    from flows.cli.arguments import add_shared  # noqa: PLC0415

    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    add_shared(parser, default=None)
    commands = parser.add_subparsers(required=True, dest="command", metavar="COMMAND")
    if wanted == "gate":
        # Pipelines wait for it; it needs no other command.
        from flows.cli import gate_command  # noqa: PLC0415

        gate_command.add(commands)
    else:
        _add_all(commands)
    return parser


def _add_all(commands: Commands) -> None:
    # Imported here, for what fails while it is imported ends with 2 as well.
    from flows.cli import (  # noqa: PLC0415
        analyze_command,
        calibrate_command,
        completion_command,
        deliver_command,
        doctor_command,
        export_command,
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
        export_command,
        doctor_command,
        completion_command,
    ):
        command.add(commands)


if __name__ == "__main__":
    sys.exit(main())
