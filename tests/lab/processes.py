"""Child processes that never outlive their parent, and ports for them to listen on."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import random
import signal
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from tests.places import PATIENCE_S, REPOSITORY

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)
_alive: weakref.WeakSet[Child] = weakref.WeakSet()


class PortPool:
    """Ports of 127.0.0.1 on which nothing listens, each handed out once.

    The range lies below the usual ephemeral ports: a restarting pod must find its port free,
    and not taken by somebody's outgoing connection.
    """

    def __init__(self, *, lowest: int = 15_000, highest: int = 30_000) -> None:
        """The range of ports to try, in random order."""
        self._untried = random.SystemRandom().sample(range(lowest, highest), highest - lowest)

    def take(self) -> int:
        """One more; raises RuntimeError when all are taken."""
        while self._untried:
            port = self._untried.pop()
            with socket.socket() as probe, contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
        raise RuntimeError("no port is free")


def wait_until(
    ready: Callable[[], bool], *, what: str, timeout_s: float = PATIENCE_S, every_s: float = 0.05
) -> None:
    """Returns when the predicate holds; raises TimeoutError naming what was awaited."""
    deadline = time.monotonic() + timeout_s
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout_s:g} s")
        time.sleep(every_s)


class Child:
    """A process in a group of its own, killed with the thread that started it at the latest."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        """Starts the command; its output is appended to the log. env, cwd: None: our own."""
        self.command = list(command)
        self.log = log
        with log.open("ab") as output:
            self._process = self._start(output, env, cwd)
        _alive.add(self)

    def _start(
        self, output: IO[bytes], env: Mapping[str, str] | None, cwd: Path | None
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.command,
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - it only calls prctl
        )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def wait(self, timeout_s: float) -> int:
        """The exit code; raises subprocess.TimeoutExpired."""
        return self._process.wait(timeout_s)

    def fail_if_ended(self) -> None:
        """Raises RuntimeError with the end of its log if the process is gone."""
        if not self.is_running:
            tail = self.log.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{self.command[:4]} ended: {self._process.returncode}\n{tail}")

    def stop(self, *, timeout_s: float = 10.0) -> None:
        """Asks the process to end, and kills its group if it doesn't in time."""
        self._signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)
        self.kill()

    def kill(self) -> None:
        """Ends the whole group at once."""
        if self.is_running:
            self._signal(signal.SIGKILL)
            self._process.wait()
        _alive.discard(self)

    def _signal(self, number: signal.Signals) -> None:
        if self.is_running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)


def start_python(module: str, *arguments: str, log: Path) -> Child:
    """A child that runs a module of this repository with this interpreter."""
    root = REPOSITORY
    code = f"import sys; sys.path.insert(0, {str(root)!r}); import runpy; "
    code += f"runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
    return Child([sys.executable, "-c", code, *arguments], log=log)


def _die_with_parent() -> None:
    """Linux kills the child when its parent's thread ends, even if that was killed itself."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@atexit.register
def _kill_what_is_left() -> None:
    for child in list(_alive):
        child.kill()
