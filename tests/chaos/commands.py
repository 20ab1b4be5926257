"""The command as a process of its own that begins at once: forked from one that has its imports.

So a kill at a random instant meets the command's work, and not Python's start.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

from flows.cli.main import main


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended: its exit code (None: it was killed by us), and what it printed."""

    code: int | None
    output: str
    took_s: float


@dataclass(slots=True)
class Running:
    """A command that runs."""

    process: ForkServerProcess
    log: Path
    began: float

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    @property
    def peak_mb(self) -> float:
        """The most memory that it has had."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024

    def wait(self, patience_s: float) -> Ended | None:
        """How it ended; None if it goes on after so long."""
        self.process.join(patience_s)
        if self.process.is_alive():
            return None
        return Ended(self.process.exitcode, self.output, time.monotonic() - self.began)

    def kill(self, *, whole_group: bool = True) -> bool:
        """SIGKILL, to its children too; returns whether it was still running."""
        pid, was_running = self.process.pid, self.process.is_alive()
        with contextlib.suppress(ProcessLookupError):
            if pid is not None and was_running:
                (os.killpg if whole_group else os.kill)(pid, signal.SIGKILL)
        self.process.join()
        return was_running and self.process.exitcode == -signal.SIGKILL


def start(
    root: Path,
    run: Callable[[], int],
    *,
    environment: Mapping[str, str] | None = None,
    largest_file: int | None = None,
) -> Running:
    """Runs a function as a process; its output goes to a file beside the root."""
    log = root.parent / f"{root.name}.out"
    log.unlink(missing_ok=True)
    temporary = root / "tmp"
    temporary.mkdir(exist_ok=True)
    arguments = (run, log, temporary, dict(environment or {}), largest_file)
    process = _context().Process(target=_child, args=arguments, daemon=True)
    process.start()
    return Running(process, log, time.monotonic())


@dataclass(frozen=True, slots=True)
class Command:
    """`verdict` with arguments, as a function that can be sent to another process."""

    root: Path
    arguments: Sequence[str]

    def __call__(self) -> int:
        """Its exit code."""
        return main(["--root", str(self.root), *self.arguments])


_contexts: list[ForkServerContext] = []


def _context() -> ForkServerContext:
    if not _contexts:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["tests.chaos.preloaded"])
        _contexts.append(context)
    return _contexts[0]


def _child(
    run: Callable[[], int],
    log: Path,
    temporary: Path,
    environment: Mapping[str, str],
    largest_file: int | None,
) -> None:
    os.setpgid(0, 0)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.environ.update(environment, TMPDIR=str(temporary))
    tempfile.tempdir = None
    if largest_file is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    code = run()
    sys.stdout.flush()
    sys.exit(code)


def _end_with_parent() -> None:
    """However that ends: what it started, and what that started, is of use to nobody then."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.killpg(0, signal.SIGKILL)
