"""`verdict watch`: one experiment on the terminal, look by look."""

from __future__ import annotations

import argparse
import sys
from itertools import chain

from flows.cli.arguments import Commands, add_experiment, command, parse_instant
from flows.cli.lines import plain_console


def add(commands: Commands) -> None:
    """Adds the command."""
    watch = command(
        commands,
        "watch",
        _watch,
        "watch split, success, latency and score, look by look",
        shows_time=False,
    )
    add_experiment(watch)
    watch.add_argument("--once", action="store_true", help="one look, then end (for scripts)")
    watch.add_argument(
        "--at",
        metavar="TIME",
        type=parse_instant,
        help="look at this time, then end (default: now)",
    )


def _watch(options: argparse.Namespace) -> int:
    from rich.live import Live  # noqa: PLC0415

    from dashboards.watch_view import watch_screen  # noqa: PLC0415
    from flows.cli.elapsed import elapsed_line  # noqa: PLC0415
    from flows.cli.watch_screen import watch  # noqa: PLC0415

    console = plain_console()
    screens = watch(options.workspace, options.experiment, at=options.at)
    # The first look pulls everything: it may take a while.
    is_shown = not options.quiet and sys.stderr is not None and sys.stderr.isatty()
    with elapsed_line(f"watch {options.experiment}", sys.stderr, is_shown=is_shown):
        first = next(screens)
    if options.once or options.at is not None or not console.is_terminal:
        console.print(watch_screen(first))
        return 0
    try:
        with Live(console=console, auto_refresh=False) as live:
            for watched in chain([first], screens):
                live.update(watch_screen(watched), refresh=True)
    except KeyboardInterrupt:
        pass
    return 0
