"""`verdict completion`: a script that lets a shell complete commands, options and experiments."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from flows.cli.arguments import SPECS_FOLDER, Commands, command

# It ends up between double quotes, where fish takes no dollar that begins no name.
_NAMES = f"ls {SPECS_FOLDER} 2>/dev/null | sed -n 's/[.]yaml.*//p'"


def add(commands: Commands) -> None:
    """Adds the command."""
    completion = command(
        commands, "completion", _completion, "print the completion script of a shell"
    )
    completion.add_argument(
        "shell",
        choices=["bash", "zsh", "fish"],
        help='bash: eval "$(verdict completion bash)"; zsh: write it to _verdict in a folder of '
        "$fpath; fish: write it to ~/.config/fish/completions/verdict.fish",
    )


def _completion(options: argparse.Namespace) -> int:
    # A script that is printed once costs other starts nothing.
    import shtab  # noqa: PLC0415

    for action in _actions(options.parser):
        if action.dest in {"experiment", "experiments", "specs"}:
            action.complete = shtab.cmd(_NAMES)  # type: ignore[attr-defined]
        elif action.type is Path:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    print(shtab.complete(options.parser, shell=options.shell))
    return 0


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Every argument of the parser and of its commands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                yield from _actions(sub)
