"""Whether the last look at an experiment still stands, because nothing that it rests on changed.

Where that can't be told, it doesn't: a look too many costs a moment, one too few hides harm.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.formats.time import instant, milliseconds_of
from flows.ingest.pull import is_behind
from flows.look.basis import UNKNOWN, Basis, basis_of, evidence_of
from flows.look.dependencies import with_waits
from flows.plan.effective import look_time_of, plan_at
from flows.plan.from_spec import plan_of
from flows.spec.experiment import Experiment
from flows.spec.sources import PrometheusSource
from flows.warehouse.connection import open_reader
from flows.warehouse.statements import Connection, run
from flows.workspace.paths import Workspace, verdict_path

if TYPE_CHECKING:
    from flows.look.verdict_document import VerdictDocument


@dataclass(frozen=True, slots=True)
class StandingLook:
    """The last look at an experiment, of which nothing has changed since.

    stored: its verdict, as the warehouse has it; text: the same, as its file has it.
    """

    stored: Mapping[str, Any]
    text: str
    basis: Basis

    @property
    def document(self) -> VerdictDocument:
        """The verdict's document."""
        # A gate that only prints it must not wait for what reaches verdicts.
        from flows.look.verdict_document import stored_document  # noqa: PLC0415

        return stored_document(self.stored)


def evidence_at(
    con: Connection, spec: Experiment, spec_dir: Path, look_at: datetime, at: datetime
) -> str:
    """A hash of what a look reads in the warehouse; at: when it was asked for."""
    found = evidence_of(con, {spec.experiment: look_at}, at)
    return with_waits(con, spec, spec_dir, found, at)


def standing_looks(
    workspace: Workspace, specs: Sequence[tuple[Path, Experiment]], at: datetime
) -> dict[str, StandingLook]:
    """By experiment, the last looks that a look at a time would come to again, unless a pull of
    users that are no files brings something new.

    Raises WarehouseBusy or WarehouseUnusable.
    """
    if not workspace.warehouse.exists():
        return {}
    names = [spec.experiment for _, spec in specs]
    with open_reader(workspace.warehouse) as con:
        rows = run(con, "aggregate/seen_looks", experiments=names).fetchall()
        seen = {name: (look_at.astimezone(UTC), *rest) for name, look_at, *rest in rows}
        evidence = evidence_of(con, {name: look_at for name, (look_at, *_) in seen.items()}, at)
        found = {}
        for path, spec in specs:
            look_at, inputs, known, verdict = seen.get(spec.experiment, (at, "", "", ""))
            basis = basis_of(spec, path.parent) if inputs else UNKNOWN
            if not inputs or inputs != basis.inputs:
                continue
            stored = json.loads(verdict)
            text = _written(verdict_path(workspace.verdicts, spec.experiment, look_at), stored)
            if (
                text
                and known == with_waits(con, spec, path.parent, evidence, at)
                and look_at == _look_time(con, spec, stored, at)
                and not _may_differ(con, spec, stored, at)
            ):
                found[spec.experiment] = StandingLook(stored, text, basis)
        return found


def _look_time(
    con: Connection, spec: Experiment, stored: Mapping[str, Any], at: datetime
) -> datetime | None:
    """When a look now would be; None before the plan's start, of which a verdict says the time."""
    start_ms = milliseconds_of(datetime.fromisoformat(stored["window_start"]))
    plan = plan_at(con, spec, at=at) if spec.delivery else plan_of(spec, start_ms=start_ms)
    at_ms = milliseconds_of(at)
    return instant(look_time_of(plan, at_ms)) if at_ms >= plan.start_ms else None


def _may_differ(con: Connection, spec: Experiment, stored: Mapping[str, Any], at: datetime) -> bool:
    """Whether a live server may say something new of requests and of what else is measured."""
    live = [
        source
        for source in (spec.sources.requests, spec.metrics_server)
        if isinstance(source, PrometheusSource)
    ]
    # An invalid look asks it what is wrong.
    return bool(live) and (stored["decision"] == "invalid" or is_behind(con, spec, at))


def _written(path: Path, stored: Mapping[str, Any]) -> str:
    """The verdict's file, if it is there and says the same; else nothing."""
    try:
        text = path.read_text(encoding="utf-8")
        return text if json.loads(text) == stored else ""
    except (OSError, ValueError):
        return ""
