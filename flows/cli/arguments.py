"""What the commands share: how one is added, and the types of their arguments."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flows.workspace.paths import Workspace

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]
else:
    Commands = argparse._SubParsersAction  # not generic when it runs

USAGE_ERROR = 2
SPECS_FOLDER = "experiments"


def command(
    commands: Commands,
    name: str,
    run: Callable[[argparse.Namespace], int],
    text: str,
    *,
    narrates: bool = False,
    shows_time: bool = True,
) -> argparse.ArgumentParser:
    """Adds a command that answers with run's exit code.

    narrates: what it prints is no answer that --quiet would take away. shows_time: a terminal is
    told for how long it has been running.
    """
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    add_shared(parser, default=argparse.SUPPRESS)
    parser.set_defaults(run=run, narrates=narrates, shows_time=shows_time)
    return parser


def add_shared(parser: argparse.ArgumentParser, *, default: object) -> None:
    """Adds the options of every command, which may be written before and after its name."""
    parser.add_argument(
        "--root",
        type=Path,
        metavar="FOLDER",
        default=default,
        help="the folder with experiments/; var/ and verdicts/ are made in it (default: .)",
    )
    parser.add_argument(
        "--quiet", action="store_true", default=default, help="print only answers and errors"
    )
    parser.add_argument(
        "--debug", action="store_true", default=default, help="print a traceback on errors"
    )


def add_experiment(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    """Adds the argument that names an experiment, or none and more of them."""
    if several:
        text = "names, or paths of their specs (default: all)"
        parser.add_argument("experiments", nargs="*", metavar="EXPERIMENT", help=text)
    else:
        text = "its name, or the path of its spec"
        parser.add_argument("experiment", metavar="EXPERIMENT", help=text)


def workspace_of(options: argparse.Namespace) -> Workspace:
    """Where a command's specs and data are; paths in its arguments become names of experiments.

    The warehouse of a spec that lies in a folder experiments/ is the one beside that folder, so
    that one experiment has one history, from wherever it is called. Raises UserError.
    """
    from flows.formats.problems import UserError  # noqa: PLC0415
    from flows.workspace.paths import Workspace  # noqa: PLC0415

    root = options.root or Path()
    single = "experiment" in options
    given = [options.experiment] if single else list(getattr(options, "experiments", ()))
    folders = {Path(text).parent for text in given if _is_path(text)}
    names = [_experiment_name(text) for text in given]
    if single:
        (options.experiment,) = names
    elif names:
        options.experiments = names
    own = (root / SPECS_FOLDER).resolve()
    others = {folder for folder in folders if folder.resolve() != own}
    if not others:
        return Workspace(root)
    if len(others) > 1 or not all(map(_is_path, given)) or others != folders:
        raise UserError("specs of several folders; name those of one folder at a time")
    (folder,) = others
    if options.root is None and folder.name == SPECS_FOLDER:
        return Workspace(folder.parent)
    return Workspace(root, specs=folder)


def _is_path(text: str) -> bool:
    """Whether the text is a spec's path: it has a folder, or is a file here."""
    return os.sep in text or (text.endswith(".yaml") and Path(text).is_file())


def _experiment_name(text: str) -> str:
    return Path(text).name.removesuffix(".yaml") if _is_path(text) else text.removesuffix(".yaml")


def parse_instant(text: str) -> datetime:
    """An argument that is a time; without a zone it is UTC."""
    from flows.formats.time import as_plausible_utc  # noqa: PLC0415

    try:
        return as_plausible_utc(datetime.fromisoformat(text))
    except (ValueError, OverflowError) as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a time; write it like 2026-01-31T12:00:00Z"
        ) from error


def share(text: str) -> float:
    """An argument above 0 and below 1."""
    value = _number(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be above 0 and below 1")
    return value


def number_within(low: float, high: float) -> Callable[[str], float]:
    """The type of an argument that is a number from low to high."""

    def parse(text: str) -> float:
        value = _number(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text!r} must be a number from {low:g} to {high:g}")
        return value

    return parse


def whole_number(least: int, most: int | None = None) -> Callable[[str], int]:
    """The type of an argument that is a whole number of at least, and at most, so much."""

    def parse(text: str) -> int:
        value = int(text) if text.isdecimal() else -1
        if value < least or (most is not None and value > most):
            end = "" if most is None else f" to {most}"
            raise argparse.ArgumentTypeError(f"{text!r} must be a whole number from {least}{end}")
        return value

    return parse


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def named(parse: Callable[[str], float]) -> Callable[[str], tuple[str, float]]:
    """The type of an argument NAME=NUMBER, or NUMBER alone for every name: ""."""

    def split(text: str) -> tuple[str, float]:
        name, _, value = text.rpartition("=")
        return name, parse(value)

    return split
