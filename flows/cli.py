"""The `verdict` command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from flows.commands import (
    analyze,
    calibrate,
    deliver,
    gate,
    init,
    judge,
    plan,
    run,
    serve,
    spec,
    watch,
)
from flows.commands.parser import USAGE_ERROR
from flows.trouble import TROUBLE


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code. Trouble is one line on standard error, and 2."""
    options = _parser().parse_args(arguments)
    action: Callable[[argparse.Namespace], int] = options.run
    try:
        return action(options)
    except TROUBLE as error:
        print(error, file=sys.stderr)
        return USAGE_ERROR


def _parser() -> argparse.ArgumentParser:
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
    for module in (init, gate, watch, deliver, run, serve, spec, plan, calibrate, analyze, judge):
        module.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
