"""Blocking calls, a few at a time in threads, their answers shared by all who ask the same.

A call that hangs keeps its own group waiting, and takes nobody else's turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from flows.formats import apart

_T = TypeVar("_T")


class Overloaded(Exception):
    """So many calls wait that another one would wait too long."""


class TookTooLong(Exception):
    """The caller's time is over; the call goes on, and who asks again may find its answer."""


@dataclass(slots=True)
class _Shared:
    task: asyncio.Task[Any]
    began: float


class SharedCalls:
    """Runs blocking calls: one of a group at a time, the same call once within `fresh_s`.

    workers: calls at one time; one that runs for longer than timeout_s is stuck and counts no
    more. waiting: unfinished calls, beyond which new ones are refused. timeout_s: for how long a
    caller waits. To be used from one event loop.
    """

    def __init__(
        self, *, workers: int, waiting: int, timeout_s: float, fresh_s: float = 1.0
    ) -> None:
        self._turns = asyncio.Semaphore(workers)
        self._running: set[Future[object]] = set()
        self._stuck: dict[str, float] = {}
        self._waiting = waiting
        self._timeout_s = timeout_s
        self._fresh_s = fresh_s
        self._calls: dict[tuple[str, Hashable], _Shared] = {}
        self._groups: dict[str, asyncio.Lock] = {}

    async def call(self, group: str, key: Hashable, work: Callable[[], _T]) -> _T:
        """What work returns or raises; a call of the same group and key is joined while it runs.

        A finished one's answer is taken if it began less than `fresh_s` seconds ago.
        Raises Overloaded or TookTooLong.
        """
        self._forget_stale()
        shared = self._calls.get((group, key))
        if shared is None:
            shared = self._begin(group, key, work)
        done, _ = await asyncio.wait([shared.task], timeout=self._timeout_s)
        if not done:
            raise TookTooLong
        return cast("_T", shared.task.result())

    def stuck(self) -> dict[str, float]:
        """The groups whose call has run for longer than a caller waits: since how many seconds."""
        now = _now()
        return {group: now - began for group, began in self._stuck.items()}

    def close(self, *, wait_s: float = 8.0) -> None:
        """Waits for the calls that run, but for no stuck one; those that wait are given up."""
        wait(list(self._running), wait_s)

    def _begin(self, group: str, key: Hashable, work: Callable[[], object]) -> _Shared:
        if sum(not shared.task.done() for shared in self._calls.values()) >= self._waiting:
            raise Overloaded
        task = asyncio.create_task(self._run(group, work))
        # An answer that nobody waits for any longer may be an exception: it is read here.
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        shared = self._calls[group, key] = _Shared(task, _now())
        return shared

    async def _run(self, group: str, work: Callable[[], object]) -> object:
        async with self._groups.setdefault(group, asyncio.Lock()):
            async with self._turns:
                began, running = _now(), self._start(work)
                done, _ = await asyncio.wait([running], timeout=self._timeout_s)
            if not done:
                self._stuck[group] = began
            try:
                return await running
            finally:
                self._stuck.pop(group, None)

    def _start(self, work: Callable[[], object]) -> asyncio.Future[object]:
        """The answer to come, of a thread that doesn't keep the process from ending."""
        running = apart.begin(work)
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        return asyncio.wrap_future(running)

    def _forget_stale(self) -> None:
        oldest = _now() - self._fresh_s
        for name, shared in list(self._calls.items()):
            if shared.task.done() and shared.began <= oldest:
                del self._calls[name]
        running = {group for group, _ in self._calls}
        for group in self._groups.keys() - running:
            del self._groups[group]


def _now() -> float:
    return asyncio.get_running_loop().time()
