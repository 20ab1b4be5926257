"""`verdict gate`: one experiment judged, its reasons printed, its decision as exit code."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from analysis.explain.spans import span_s
from flows.cli.arguments import Commands, add_experiment, command, parse_instant
from flows.cli.lines import complain, say


def add(commands: Commands) -> None:
    """Adds the command."""
    gate = command(
        commands,
        "gate",
        _gate,
        "judge one experiment; exit 0 promote, 1 rollback, 3 hold, 4 invalid, 2 error",
        narrates=True,
    )
    add_experiment(gate)
    gate.add_argument(
        "--at", metavar="TIME", type=parse_instant, help="look at this time (default: now)"
    )
    gate.add_argument("--json", action="store_true", help="print the whole verdict as JSON")


def _gate(options: argparse.Namespace) -> int:
    from flows.look.look_time import look_time  # noqa: PLC0415
    from flows.look.plan_is_over import as_of_now  # noqa: PLC0415
    from flows.look.seen import standing_looks  # noqa: PLC0415
    from flows.notify import send_notifications  # noqa: PLC0415
    from flows.workspace.experiments import find_spec  # noqa: PLC0415

    workspace, at = options.workspace, look_time(options.at)
    path, spec = find_spec(workspace.experiments, options.experiment)
    known = standing_looks(workspace, [(path, spec)], at).get(spec.experiment)
    if known is not None and not known.basis.is_pulled:
        text, verdict = known.text, known.stored
    else:
        from flows.look.look import look_anew  # noqa: PLC0415

        text = look_anew(workspace, path, spec, at=at, warn=_warn).to_json()
        verdict = json.loads(text)
    told = as_of_now(spec, verdict, at)
    if told is not verdict:
        from flows.look.verdict_document import stored_document  # noqa: PLC0415

        text, verdict = stored_document(told).to_json(), told
    _print(text, verdict, as_json=options.json)
    if not options.json:
        _print_age(verdict, at, spec.plan.bucket)
    send_notifications(workspace.warehouse, _warn)
    return int(verdict["exit_code"])


def _print(text: str, verdict: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(text, end="")
        return
    score = "no score" if verdict["score"] is None else f"score {verdict['score']:g}"
    print(f"{verdict['experiment']}: {verdict['decision']} ({score})")
    for reason in verdict["reasons"]:
        say(f"  - {reason}", indent="    ")
    for note in verdict["notes"]:
        say(f"  note: {note}", indent="    ")


def _print_age(verdict: Mapping[str, Any], at: datetime, bucket: timedelta) -> None:
    """Of when the verdict is, where that isn't now: a promote is of the plan's end."""
    look_at = datetime.fromisoformat(verdict["look_at"])
    if at - look_at <= bucket:
        return
    then = f"{look_at:%Y-%m-%d %H:%M:%S} UTC"
    if verdict["decision"] == "promote":
        said = f"the plan ended at {then}; what came later is not judged"
    else:
        said = f"judged as of {then}, {span_s((at - look_at).total_seconds())} ago"
    say(f"  note: {said}", indent="    ")


def _warn(warning: str) -> None:
    complain(f"warning: {warning}")
