"""Looks at several experiments at once, in processes of their own.

What is pulled and worked out goes on side by side; each write has the warehouse for itself.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from datetime import datetime
from multiprocessing.util import Finalize
from pathlib import Path
from threading import Lock, Thread

from flows.formats.problems import UserError
from flows.look.look import look_at_experiment
from flows.look.verdict_document import VerdictDocument
from flows.workspace.paths import Workspace

# Finalizers of multiprocessing run from the highest to the lowest.
_LAST = -1000
# A look is tried again where a worker was killed, which may have been another's.
_TRIES = 3
_pools: dict[int, ProcessPoolExecutor] = {}
_turn = Lock()


class WorkerLost(UserError):
    """The process of a look was killed, each time that it was tried."""


@dataclass(frozen=True, slots=True)
class Looked:
    """A verdict, and what was wrong with the pull before it."""

    document: VerdictDocument
    warnings: tuple[str, ...]


def look_apart(root: Path, experiment: str, at: datetime | None, *, workers: int = 0) -> Looked:
    """The verdict of one look, worked out in one of this process's workers, of which it waits for.

    Threads that call it are served side by side. workers: how many there are; 0 for one a core.
    Raises what look_at_experiment raises, or WorkerLost.
    """
    for _ in range(_TRIES):
        pool = _pool(workers or os.cpu_count() or 1)
        try:
            answer = pool.submit(_look, root, experiment, at).result()
        except BrokenProcessPool:
            # One worker that is killed ends the looks of all: whose it was fails again.
            _forget(pool)
            continue
        if isinstance(answer, Exception):
            raise answer
        return answer
    raise WorkerLost(
        f"{experiment}: the process that looked at it was killed {_TRIES} times; is there enough "
        "memory (`verdict doctor`)?"
    )


def _pool(workers: int) -> ProcessPoolExecutor:
    with _turn:
        if workers not in _pools:
            # A fork of a process with threads can stop for good.
            context = multiprocessing.get_context("spawn")
            _pools[workers] = ProcessPoolExecutor(
                workers, mp_context=context, initializer=_end_with_parent
            )
        return _pools[workers]


def _forget(broken: ProcessPoolExecutor) -> None:
    with _turn:
        for workers in [w for w, pool in _pools.items() if pool is broken]:
            del _pools[workers]


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever."""

    def watch() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    Thread(target=watch, daemon=True).start()
    # With that thread Python's end would find DuckDB's objects in use, and print so.
    Finalize(None, os._exit, (0,), exitpriority=_LAST)


def _look(root: Path, experiment: str, at: datetime | None) -> Looked | Exception:
    """In a worker; an exception is handed on as one that reaches the parent whole."""
    warnings: list[str] = []
    try:
        document = look_at_experiment(Workspace(root), experiment, at=at, warn=warnings.append)
    except UserError as error:
        return error if _reaches(error) else UserError(str(error))
    return Looked(document, tuple(warnings))


def _reaches(error: UserError) -> bool:
    """Whether another process can make the same of it."""
    try:
        return str(pickle.loads(pickle.dumps(error))) == str(error)
    except Exception:  # noqa: BLE001  # whatever its class needs to be made
        return False
