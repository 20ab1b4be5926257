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
    value = _number(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must lie between 0 and 1")
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
