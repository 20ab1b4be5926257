"""`verdict deliver`, `verdict approve`, `verdict abort`: traffic shifted stage by stage."""

from __future__ import annotations

import argparse
import getpass
import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

from flows.cli.arguments import Commands, add_experiment, command
from flows.cli.faults import show_fault
from flows.cli.lines import complain, say

if TYPE_CHECKING:
    from flows.delivery.step import Step
    from flows.warehouse.delivery_log import DeliveryState

_PROMOTED, _ROLLED_BACK, _GOES_ON = 0, 1, 3


def add(commands: Commands) -> None:
    """Adds the commands."""
    deliver = command(
        commands,
        "deliver",
        _deliver,
        "shift traffic stage by stage, roll back on harm; exit 0 promoted, 1 rolled back or "
        "aborted, 3 in progress (--once, or stopped: run again to resume), 2 error",
        narrates=True,
        shows_time=False,
    )
    add_experiment(deliver)
    deliver.add_argument("--once", action="store_true", help="take one step and end")
    deliver.add_argument(
        "--again", action="store_true", help="start a new delivery after one that has ended"
    )
    deliver.add_argument(
        "--dry-run",
        action="store_true",
        help="print what would be done; change nothing",
    )
    for name, run, text in (
        ("approve", _approve, "approve the next stage of a delivery, and signals that hold"),
        ("abort", _abort, "abort a delivery and return all traffic to the baseline"),
    ):
        parser = command(commands, name, run, text, narrates=True)
        add_experiment(parser)
        parser.add_argument("--reason", default="", help="stored with the delivery")
        if name == "approve":
            parser.add_argument(
                "--stage",
                type=int,
                help="the stage that may begin, whether or not the delivery asks (one more than "
                "there are: all traffic)",
            )


def _deliver(options: argparse.Namespace) -> int:
    from flows.delivery.deliver import deliver  # noqa: PLC0415
    from flows.notify import warn_of_wrong_urls  # noqa: PLC0415
    from flows.warehouse.delivery_log import DeliveryOutcome  # noqa: PLC0415

    workspace = options.workspace
    if options.dry_run:
        from flows.delivery.dry_run import preview  # noqa: PLC0415

        for line in preview(workspace, options.experiment):
            say(line, indent="  ")
        return 0
    warn_of_wrong_urls(workspace.warehouse, lambda said: complain(f"warning: {said}"))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    step = None
    steps = deliver(workspace, options.experiment, again=options.again, once=options.once)
    try:
        for step in steps:
            _show(step, debug=options.debug)
    except KeyboardInterrupt:
        steps.close()
        complain("stopped; the split is unchanged. Run the command again to resume")
        return _GOES_ON
    outcome = step.state.outcome if step else None
    if outcome is None:
        return _GOES_ON
    return _PROMOTED if outcome is DeliveryOutcome.PROMOTED else _ROLLED_BACK


def _show(step: Step, *, debug: bool) -> None:
    """Prints the step. Who can't read it doesn't end the delivery: a full disk, a closed pipe."""
    from flows.formats.problems import UserError  # noqa: PLC0415

    with suppress(OSError, ValueError):
        print(_line(step), flush=True)
    if step.fault is not None and not isinstance(step.fault, UserError):
        with suppress(OSError, ValueError):
            show_fault(step.fault, debug=debug)


def _line(step: Step) -> str:
    state = step.state
    where = "ended" if state.outcome else f"stage {state.stage} of {state.stages}"
    score = step.document.score if step.document else None
    scored = "" if score is None else f", score {score:g}"
    return f"{step.at:%H:%M:%S} {where}{scored}: {step.said}"


def _approve(options: argparse.Namespace) -> int:
    from flows.delivery.approve import approve  # noqa: PLC0415

    detail = _by(options, "approved")
    found = approve(options.workspace, options.experiment, detail, stage=options.stage)
    if found.signals:
        print(
            f"{options.experiment}: {detail}: {', '.join(found.signals)}; more harm than may have "
            "been there at the latest look holds again"
        )
    if found.delivery is not None:
        _show_told(options, detail, found.delivery)
    return 0


def _abort(options: argparse.Namespace) -> int:
    from flows.delivery.deliver import tell  # noqa: PLC0415
    from flows.warehouse.delivery_log import DeliveryEventKind  # noqa: PLC0415

    detail, kind = _by(options, "aborted"), DeliveryEventKind.ABORTED
    state = tell(options.workspace, options.experiment, kind, detail)
    _show_told(options, detail, state)
    return 0


def _by(options: argparse.Namespace, kind: str) -> str:
    by = f"{kind} by {_who()}"
    return f"{by}: {options.reason}" if options.reason else by


def _show_told(options: argparse.Namespace, detail: str, state: DeliveryState) -> None:
    where = f"stage {state.stage} of {state.stages}"
    print(f"{options.experiment}: {detail}, at {where}; the controller acts on it within seconds")


def _who() -> str:
    """The user's name; in a container the number may have none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"
