"""What whole processes cost: CPU seconds and memory, of commands and of other programs."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

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
