"""Work beside the caller, in threads that keep no process from ending."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, TypeVar

_T = TypeVar("_T")
# By key, what took longer than was waited for.
_hanging: dict[Hashable, Future[Any]] = {}


def begin(work: Callable[[], _T]) -> Future[_T]:
    """The answer to come of work in a daemon thread: an executor's are waited for at the end."""
    answer: Future[_T] = Future()
    answer.set_running_or_notify_cancel()

    def run() -> None:
        try:
            found = work()
        except BaseException as error:  # noqa: BLE001 - whoever asks for the answer gets it
            answer.set_exception(error)
        else:
            answer.set_result(found)

    threading.Thread(target=run, daemon=True).start()
    return answer


def within(seconds: float, key: Hashable, work: Callable[[], _T]) -> _T:
    """What work returns. Raises TimeoutError after so long; the work goes on then.

    While it does, no other of the same key is begun: TimeoutError at once.
    """
    earlier = _hanging.get(key)
    if earlier is not None and not earlier.done():
        raise TimeoutError
    running = begin(work)
    try:
        return running.result(seconds)
    finally:
        # What still runs in time hangs nobody: others of its key are begun beside it.
        if not running.done():
            _hanging[key] = running
