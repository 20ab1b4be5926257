"""What `verdict deliver` would do now, without doing it.

A look records what it saw, so it is taken on a copy of the warehouse, which is thrown away.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from flows.delivery.controller import check_unchanged
from flows.delivery.move_after import move_after
from flows.delivery.stage_weights import shown_split, weights_of
from flows.delivery.targets.open_target import open_fresh_pods, open_target
from flows.formats.scratch_folder import scratch_folder
from flows.formats.time import shown_duration
from flows.look.look import look_by_spec
from flows.spec.experiment import Experiment
from flows.warehouse.connection import copy_warehouse, open_reader
from flows.warehouse.delivery_log import DeliveryState, read_delivery
from flows.workspace.experiments import find_spec
from flows.workspace.paths import Workspace


def preview(workspace: Workspace, name: str) -> Iterator[str]:
    """Lines for a person: the target as it is, the stages, and the next move.

    Asks the target and the source; shifts, records and writes nothing. Raises what `deliver`
    raises.
    """
    path, spec = find_spec(workspace.experiments, name)
    target = open_target(spec, spec_dir=path.parent)
    yield f"{target.title} now has {shown_split(target.read().weights)}"
    if (fresh := open_fresh_pods(spec)) is not None:
        yield (
            f"{fresh.title} is made before stage 1 (image of {fresh.stable}, size of "
            f"{fresh.candidate}), has as many requests as the candidate, and is removed at the end"
        )
    for number, stage in enumerate(spec.stages, start=1):
        after = " after a person's approval" if stage.approval else ""
        lasts = f"{shown_duration(stage.duration)} to {shown_duration(stage.longest)}"
        yield f"stage {number}: {shown_split(stage.weights)} for {lasts}{after}"
    yield f"promoted: {shown_split(weights_of(spec, len(spec.stages) + 1))}"
    if not workspace.warehouse.exists():
        yield from _next(workspace, path, spec, None)
        return
    with scratch_folder("verdict-dry-run-") as folder:
        copy = Workspace(folder)
        copy_warehouse(workspace.warehouse, copy.warehouse)
        with open_reader(copy.warehouse) as con:
            state = read_delivery(con, spec.experiment)
        yield from _next(copy, path, spec, state)


def _next(
    copy: Workspace, path: Path, spec: Experiment, state: DeliveryState | None
) -> Iterator[str]:
    if state is None or state.stage == 0 or state.outcome is not None:
        ended = (
            f"the last delivery has ended: {state.outcome.value}; "
            if state and state.outcome
            else ""
        )
        again = " (--again)" if ended else ""
        yield f"next: {ended}stage 1 would be applied{again}"
        return
    check_unchanged(path, spec, state)
    if state.pending is not None or state.aborted is not None:
        stage = state.pending.stage if state.pending else 0
        yield f"next: {shown_split(weights_of(spec, stage))}, as was decided"
        return
    at = datetime.now(UTC)
    document = look_by_spec(copy, path, spec, at=at)
    move = move_after(spec, state, document, at)
    why = f"{document.decision.value}: {move.reason}"
    yield f"in stage {state.stage}, next: {move.move.value} ({why})"
