"""The `verdict` command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from flows.trouble import TROUBLE
from flows.workspace import Workspace

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

USAGE_ERROR = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code. Trouble is one line on standard error, and 2."""
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
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
    _add_gate(commands)
    _add_run(commands)
    validate = _command(commands, "validate", _validate, "say everything that is wrong with specs")
    validate.add_argument("files", nargs="*", type=Path, help="default: all of experiments/")
    schema = _command(commands, "schema", _schema, "print the JSON Schema of specs, for editors")
    schema.add_argument("--verdict", action="store_true", help="of verdict JSON instead")
    pull = _command(commands, "pull", _pull, "bring the warehouse up to date")
    pull.add_argument("experiments", nargs="*", help="default: all")
    pull.add_argument("--until", type=_instant, help="up to this time (default: now)")
    _command(commands, "publish", _publish, "publish marts and dashboards for people to read")
    return parser


def _add_gate(commands: Commands) -> None:
    gate = _command(
        commands,
        "gate",
        _gate,
        "judge one experiment; exit 0 promote, 1 rollback, 3 hold, 4 invalid, 2 error",
    )
    gate.add_argument("experiment")
    gate.add_argument("--at", type=_instant, help="look at this time (default: now)")
    gate.add_argument("--json", action="store_true", help="print the whole verdict as JSON")


def _add_run(commands: Commands) -> None:
    run = _command(commands, "run", _run, "pull, score and publish; the scheduled main job")
    run.add_argument("experiments", nargs="*", help="default: all")
    run.add_argument("--at", type=_instant, help="look at this time (default: now)")
    run.add_argument(
        "--replay",
        action="store_true",
        help="take every look of the plan up to then, as a schedule would have",
    )


def _command(
    commands: Commands, name: str, run: Callable[[argparse.Namespace], int], text: str
) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    command.set_defaults(run=run)
    return command


def _instant(text: str) -> datetime:
    from flows.spec import as_utc  # noqa: PLC0415

    try:
        return as_utc(datetime.fromisoformat(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time; write it like 2026-01-31T12:00:00Z"
        ) from error


def _gate(options: argparse.Namespace) -> int:
    from flows.look import look_at_experiment  # noqa: PLC0415

    document = look_at_experiment(Workspace(options.root), options.experiment, at=options.at)
    if options.json:
        print(document.to_json(), end="")
        return document.exit_code
    score = "no score" if document.score is None else f"score {document.score:g}"
    print(f"{document.experiment}: {document.decision.value} ({score})")
    for reason in document.reasons:
        print(f"  - {reason}")
    return document.exit_code


def _run(options: argparse.Namespace) -> int:
    from flows.run import run_all  # noqa: PLC0415

    return run_all(
        Workspace(options.root), options.experiments, at=options.at, replay=options.replay
    )


def _validate(options: argparse.Namespace) -> int:
    from flows.spec_file import SpecError, load_spec  # noqa: PLC0415

    files = options.files or sorted(Workspace(options.root).experiments.glob("*.yaml"))
    problems = 0
    for path in files:
        try:
            load_spec(path)
            print(f"{path}: ok")
        except SpecError as error:
            problems += len(error.problems)
            print(error)
    if problems:
        print(f"{problems} problems")
    elif not files:
        print(f"{Workspace(options.root).experiments} has no specs (*.yaml)", file=sys.stderr)
    return USAGE_ERROR if problems or not files else 0


def _schema(options: argparse.Namespace) -> int:
    if options.verdict:
        from flows.verdict_document import verdict_schema  # noqa: PLC0415

        print(verdict_schema(), end="")
    else:
        from flows.spec_schema import experiment_schema  # noqa: PLC0415

        print(experiment_schema(), end="")
    return 0


def _pull(options: argparse.Namespace) -> int:
    from flows.run import pull_all  # noqa: PLC0415

    return pull_all(Workspace(options.root), options.experiments, until=options.until)


def _publish(options: argparse.Namespace) -> int:
    from flows.run import publish_all  # noqa: PLC0415

    for path in publish_all(Workspace(options.root)):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
