"""Whether the service can judge: specs that can be read, and a warehouse that can be used."""

from __future__ import annotations

import os
from dataclasses import dataclass

from flows.selection import select_readable
from flows.warehouse import WarehouseBusy, WarehouseUnusable, open_reader
from flows.workspace import Workspace

_WAIT_S = 0.2


@dataclass(frozen=True, slots=True)
class Readiness:
    """problems: what is wrong, also of single specs, which don't make the service unready."""

    is_ready: bool
    experiments: int
    warehouse: str
    problems: tuple[str, ...]


def readiness_of(workspace: Workspace) -> Readiness:
    """Reads the specs and opens the warehouse."""
    found = select_readable(workspace)
    problems = found.problems
    if not found.specs:
        problems.append(f"{workspace.experiments} has no spec that can be read")
    state, trouble = _warehouse_state(workspace)
    return Readiness(
        is_ready=bool(found.specs) and not trouble,
        experiments=len(found.specs),
        warehouse=state,
        problems=(*problems, *trouble),
    )


def _warehouse_state(workspace: Workspace) -> tuple[str, list[str]]:
    """A warehouse in use is as good as one that is free; a missing one is made by a look."""
    if not workspace.warehouse.exists():
        folder = next(path for path in workspace.warehouse.parents if path.exists())
        if os.access(folder, os.W_OK | os.X_OK):
            return "none yet", []
        return "unusable", [f"{workspace.warehouse} can't be made: {folder} is not writable"]
    try:
        with open_reader(workspace.warehouse, wait_s=_WAIT_S) as con:
            con.execute("select 1")
    except WarehouseBusy:
        return "in use", []
    except WarehouseUnusable as error:
        return "unusable", [str(error)]
    return "readable", []
