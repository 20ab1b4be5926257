"""What the commands share: how one is added, and the types of their arguments."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]
else:
    Commands = argparse._SubParsersAction  # not generic when it runs

USAGE_ERROR = 2


def command(
    commands: Commands, name: str, run: Callable[[argparse.Namespace], int], text: str
) -> argparse.ArgumentParser:
    """Adds a command that answers with run's exit code; options.root is the workspace's folder."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run)
    return parser


def parse_instant(text: str) -> datetime:
    """An argument that is a time; without a zone it is UTC."""
    from flows.formats.time import as_utc  # noqa: PLC0415

    try:
        return as_utc(datetime.fromisoformat(text))
    except (ValueError, OverflowError) as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time; write it like 2026-01-31T12:00:00Z"
        ) from error


def share(text: str) -> float:
    """An argument between 0 and 1."""
    value = positive(text)
    if value >= 1:
        raise argparse.ArgumentTypeError(f"{text!r} must lie between 0 and 1")
    return value


def positive(text: str) -> float:
    """An argument that is a number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number above 0")
    return value


def number_within(low: float, high: float) -> Callable[[str], float]:
    """The type of an argument that is a number from low to high."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text!r} must be a number from {low:g} to {high:g}")
        return value

    return parse


def named(parse: Callable[[str], float]) -> Callable[[str], tuple[str, float]]:
    """The type of an argument NAME=NUMBER, or NUMBER alone for every name: ""."""

    def split(text: str) -> tuple[str, float]:
        name, _, value = text.rpartition("=")
        return name, parse(value)

    return split
