"""Blocking calls in a few worker threads, their answers shared by all who ask the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar, cast

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

    workers: threads; waiting: unfinished calls, beyond which new ones are refused;
    timeout_s: for how long a caller waits. To be used from one event loop.
    """

    def __init__(
        self, *, workers: int, waiting: int, timeout_s: float, fresh_s: float = 1.0
    ) -> None:
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="look")
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

    def close(self) -> None:
        """Ends the threads after the calls that run; those that wait are given up."""
        self._pool.shutdown(wait=True, cancel_futures=True)

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
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)

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
