"""What whole processes cost: CPU seconds and memory, of commands and of other programs."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import timeit
from dataclasses import dataclass
from pathlib import Path

from benchmarks.results import Figure

IMPORTS = "import numpy, duckdb, pydantic"
_IMPORTED_S = 0.18
_COMPILED = Path(tempfile.gettempdir()) / "split-verdict-compiled"


@dataclass(frozen=True, slots=True)
class Cost:
    """Of a process: CPU seconds and the largest memory, in MiB."""

    cpu_s: float
    peak_mib: float


def verdict(root: Path, *arguments: str) -> Cost:
    """Of the command `verdict` in a project."""
    # A gate that rolls back or holds.
    command = [sys.executable, "-m", "flows.cli", "--root", str(root), *arguments]
    return _measured(command, codes=(0, 1, 3) if arguments[0] == "gate" else (0,))


def program(text: str) -> Cost:
    """Of a program in Python."""
    return _measured([sys.executable, "-c", text])


def goal_of(work: str, cpu_s: float, goal_s: float) -> Figure:
    """CPU seconds beside a goal in seconds, at the speed of the machine that it was set on.

    There importing numpy, duckdb and pydantic took 0.18 s; here, as long as it takes now.
    """
    floor = min(timeit.repeat(lambda: program(IMPORTS), number=1))
    of = f"the imports, {_IMPORTED_S} s where the goal was set"
    return Figure(work, cpu_s, "s", f"{goal_s / _IMPORTED_S:.3g} ({goal_s} s)", floor, of)


def _measured(command: list[str], *, codes: tuple[int, ...] = (0,)) -> Cost:
    # With compiled modules, as an installed package has them.
    compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(_COMPILED)}
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **compiled},
    )
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) not in codes:
        raise SystemExit(f"{command} ended with {status}")
    process.returncode = 0
    found: resource.struct_rusage = usage
    return Cost(found.ru_utime + found.ru_stime, found.ru_maxrss / 1024)
