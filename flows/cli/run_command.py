"""`verdict run`, `pull` and `publish`: the main job and its parts."""

from __future__ import annotations

import argparse

from flows.cli.arguments import Commands, add_experiment, command, parse_instant


def add(commands: Commands) -> None:
    """Adds the commands."""
    run = command(
        commands, "run", _run, "pull, score and publish; the scheduled main job", narrates=True
    )
    add_experiment(run, several=True)
    run.add_argument(
        "--at", metavar="TIME", type=parse_instant, help="look at this time (default: now)"
    )
    run.add_argument(
        "--replay",
        action="store_true",
        help="take every look of the plan up to then, as a schedule would have",
    )
    pull = command(commands, "pull", _pull, "bring the warehouse up to date", narrates=True)
    add_experiment(pull, several=True)
    pull.add_argument(
        "--at", "--until", metavar="TIME", type=parse_instant, help="up to this time (default: now)"
    )
    command(
        commands,
        "publish",
        _publish,
        "publish marts and dashboards for people to read",
        narrates=True,
    )


def _run(options: argparse.Namespace) -> int:
    from flows.cli.main_job import run_all  # noqa: PLC0415

    return run_all(
        options.workspace,
        options.experiments,
        at=options.at,
        replay=options.replay,
        debug=options.debug,
    )


def _pull(options: argparse.Namespace) -> int:
    from flows.cli.main_job import pull_all  # noqa: PLC0415

    return pull_all(options.workspace, options.experiments, until=options.at, debug=options.debug)


def _publish(options: argparse.Namespace) -> int:
    from flows.cli.main_job import publish_readable  # noqa: PLC0415

    return publish_readable(options.workspace)
