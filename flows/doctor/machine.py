"""This machine and folder: specs, warehouse, disk and memory."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from flows.doctor.health_finding import Health, HealthFinding
from flows.formats.problems import FileProblem
from flows.formats.text import counted, said_size
from flows.look.basis import data_files
from flows.notify import wrong_urls
from flows.spec.experiment import Experiment
from flows.warehouse.connection import WarehouseBusy, open_reader
from flows.warehouse.outbox import SERVICES, services
from flows.workspace.experiments import Selection
from flows.workspace.paths import Workspace

_GB = 1 << 30
_LEAST_MEMORY = _GB
_LEAST_DISK = _GB
_CGROUP = Path("/sys/fs/cgroup/memory.max")
_WAIT_S = 2.0


def check_specs(workspace: Workspace, chosen: Selection) -> Sequence[HealthFinding]:
    """Whether every spec can be read."""
    if not (chosen.specs or chosen.broken):
        said = f"{workspace.experiments} has no specs (*.yaml)"
        return [HealthFinding("specs", Health.FAIL, said, "write one: verdict init --help")]
    found = (
        [HealthFinding("specs", Health.OK, counted(len(chosen.specs), "spec"))]
        if chosen.specs
        else []
    )
    found += [
        HealthFinding("specs", Health.FAIL, str(problem), _remedy_for(problem))
        for error in chosen.broken.values()
        for problem in error.problems
    ]
    return found


def _remedy_for(problem: FileProblem) -> str:
    """What to do about a spec that isn't there (line 0: a folder), or is wrong."""
    if not problem.line:
        return "name a known one, or write its spec: verdict init --help"
    return "correct this line"


def check_files(spec: Experiment, path: Path) -> Sequence[HealthFinding]:
    """Whether the files that hold an experiment's data are there; path: of its spec."""
    # A table with a row per user is a file of exposures, and of outcomes.
    files = list(dict.fromkeys(file for _, file in data_files(spec, path.parent)))
    if not files:
        return []
    subject = f"files of {spec.experiment}"
    absent = [str(file) for file in files if not file.is_file()]
    if absent:
        return [HealthFinding(subject, Health.FAIL, f"{', '.join(absent)}: no such file")]
    size = said_size(sum(file.stat().st_size for file in files))
    return [HealthFinding(subject, Health.OK, f"{counted(len(files), 'file')}, {size}")]


def check_warehouse(workspace: Workspace) -> Sequence[HealthFinding]:
    """Whether the warehouse opens, and what it takes."""
    path = workspace.warehouse
    if not path.exists():
        return [HealthFinding("warehouse", Health.OK, f"{path} is made by the first look")]
    size = f"{path}, {said_size(path.stat().st_size)}"
    try:
        with open_reader(path, wait_s=_WAIT_S) as con:
            con.execute("select 1")
    except WarehouseBusy:
        return [HealthFinding("warehouse", Health.OK, f"{size}, in use by another process")]
    return [HealthFinding("warehouse", Health.OK, size)]


def check_notifications() -> Sequence[HealthFinding]:
    """Whether services could read the URLs that people are told by; none of them is asked."""
    subject = "notifications"
    if not services():
        return [HealthFinding(subject, Health.UNUSED, f"{SERVICES} is not set")]
    wrong = [
        HealthFinding(subject, Health.WARN, one.found, one.remedy) for one in wrong_urls().values()
    ]
    return wrong or [HealthFinding(subject, Health.OK, counted(len(services()), "URL"))]


def check_disk(workspace: Workspace) -> Sequence[HealthFinding]:
    """Whether there is room for three more of the warehouse: a publish writes a file as large."""
    folder = next(
        path for path in (workspace.warehouse.parent, *_above(workspace)) if path.exists()
    )
    if not os.access(folder, os.W_OK | os.X_OK):
        remedy = "make it writable to this user, or name another --root"
        return [HealthFinding("disk", Health.FAIL, f"{folder} is not writable", remedy)]
    size = workspace.warehouse.stat().st_size if workspace.warehouse.exists() else 0
    free, needed = shutil.disk_usage(folder).free, max(_LEAST_DISK, 3 * size)
    said = f"{said_size(free)} free in {folder}"
    if free >= needed:
        return [HealthFinding("disk", Health.OK, said)]
    remedy = f"free some: runs want {said_size(needed)} (three times the warehouse, 1 GB at least)"
    return [HealthFinding("disk", Health.WARN, said, remedy)]


def check_memory() -> Sequence[HealthFinding]:
    """What is available, or what the container may take if that is less."""
    free = _available()
    if free is None:
        return [HealthFinding("memory", Health.UNUSED, "this system doesn't tell")]
    said = f"{said_size(free)} available"
    if free >= _LEAST_MEMORY:
        return [HealthFinding("memory", Health.OK, said)]
    remedy = "a run takes up to 1 GB: give it more, or fewer experiments at once"
    return [HealthFinding("memory", Health.WARN, said, remedy)]


def _above(workspace: Workspace) -> Sequence[Path]:
    return tuple(workspace.warehouse.absolute().parents)


def _available() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        (line,) = (one for one in lines if one.startswith("MemAvailable:"))
        free = int(line.split()[1]) * 1024
    except (OSError, ValueError):
        return None
    try:
        limit = _CGROUP.read_text(encoding="ascii").strip()
    except OSError:
        return free
    return min(free, int(limit)) if limit.isdecimal() else free
