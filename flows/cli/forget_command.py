"""`verdict forget`: users are removed on request."""

from __future__ import annotations

import argparse
from pathlib import Path

from flows.cli.arguments import Commands, command
from flows.formats.problems import UserError
from flows.formats.text import counted
from flows.formats.text_file import read_utf8

# Of a list of ids, in bytes: far more than anyone who asks to be forgotten needs.
_LARGEST_LIST = 1 << 28


class NobodyNamed(UserError):
    """No user is named that is to be forgotten."""


def add(commands: Commands) -> None:
    """Adds the command."""
    parser = command(
        commands,
        "forget",
        _run,
        "delete users from the warehouse, and exclude them from later pulls",
        narrates=True,
    )
    parser.add_argument("users", nargs="*", metavar="USER", help="ids, as in the data")
    parser.add_argument("--from", dest="file", type=Path, help="a text file with an id a line")


def _run(options: argparse.Namespace) -> int:
    from datetime import UTC, datetime  # noqa: PLC0415

    from flows.ingest.users.forget_users import forget_users  # noqa: PLC0415
    from flows.workspace.experiments import NoSpecs, no_specs, select_readable  # noqa: PLC0415

    workspace = options.workspace
    users = [*options.users, *_of_file(options.file)]
    if not users:
        raise NobodyNamed("name at least one user: verdict forget USER ..., or --from FILE")
    specs = select_readable(workspace).experiments
    if not specs and not workspace.warehouse.exists():
        # In another folder nobody would be forgotten where the users are.
        raise NoSpecs(no_specs(workspace.experiments))
    gone = forget_users(workspace.warehouse, specs, users, at=datetime.now(UTC))
    for experiment, rows in gone.items():
        print(f"{experiment}: {counted(rows, 'row')} removed")
    if not gone:
        print("no rows of these users; later pulls exclude them")
    return 0


def _of_file(file: Path | None) -> list[str]:
    if file is None:
        return []
    lines = read_utf8(file, largest=_LARGEST_LIST).splitlines()
    return [line for line in map(str.strip, lines) if line]
