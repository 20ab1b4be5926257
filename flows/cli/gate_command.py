"""`verdict gate`: one experiment judged, its reasons printed, its decision as exit code."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from flows.cli.arguments import Commands, command, parse_instant
from flows.workspace.paths import Workspace

if TYPE_CHECKING:
    from flows.look.verdict_document import VerdictDocument


def add(commands: Commands) -> None:
    """Adds the command."""
    gate = command(
        commands,
        "gate",
        _gate,
        "judge one experiment; exit 0 promote, 1 rollback, 3 hold, 4 invalid, 2 error",
    )
    gate.add_argument("experiment")
    gate.add_argument("--at", type=parse_instant, help="look at this time (default: now)")
    gate.add_argument("--json", action="store_true", help="print the whole verdict as JSON")


def _gate(options: argparse.Namespace) -> int:
    from flows.look.look import look_at_experiment  # noqa: PLC0415
    from flows.notify import send_notifications  # noqa: PLC0415

    document = look_at_experiment(
        Workspace(options.root), options.experiment, at=options.at, warn=_warn
    )
    _print(document, as_json=options.json)
    send_notifications(Workspace(options.root).warehouse, _warn)
    return document.exit_code


def _print(document: VerdictDocument, *, as_json: bool) -> None:
    if as_json:
        print(document.to_json(), end="")
        return
    score = "no score" if document.score is None else f"score {document.score:g}"
    print(f"{document.experiment}: {document.decision.value} ({score})")
    for reason in document.reasons:
        print(f"  - {reason}")
    for note in document.notes:
        print(f"  note: {note}")


def _warn(warning: str) -> None:
    print(f"warning: {warning}", file=sys.stderr)
