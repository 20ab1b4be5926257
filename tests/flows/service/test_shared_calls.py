"""Who shares an answer with whom."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from flows.service.shared_calls import Overloaded, SharedCalls, TookTooLong
from tests.places import at_load

# What takes a second here takes longer on a busy machine, and all of it by as much.
_UNIT_S = at_load(1.0)


class _Work:
    """Counts its runs and how many ran at once."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._running = 0
        self.runs = 0
        self.most = 0

    def __call__(self) -> int:
        with self._lock:
            self.runs += 1
            self._running += 1
            self.most = max(self.most, self._running)
            mine = self.runs
        time.sleep(self._seconds * _UNIT_S)
        with self._lock:
            self._running -= 1
        return mine


def _calls(
    *, workers: int = 4, waiting: int = 100, timeout_s: float = 5.0, fresh_s: float = 0.2
) -> SharedCalls:
    return SharedCalls(
        workers=workers, waiting=waiting, timeout_s=timeout_s * _UNIT_S, fresh_s=fresh_s * _UNIT_S
    )


def test_same_calls_share_one_run_until_it_is_stale() -> None:
    async def run() -> None:
        calls, work = _calls(), _Work(0.05)
        assert await asyncio.gather(*(calls.call("a", None, work) for _ in range(50))) == [1] * 50
        assert await calls.call("a", None, work) == 1
        await asyncio.sleep(0.25 * _UNIT_S)
        assert await calls.call("a", None, work) == 2
        calls.close()

    asyncio.run(run())


def test_group_runs_one_at_a_time_and_groups_beside_each_other() -> None:
    async def run() -> None:
        calls, one, other = _calls(), _Work(0.03), _Work(0.03)
        work = [calls.call("a", n, one) for n in range(5)]
        work += [calls.call(f"b{n}", None, other) for n in range(5)]
        await asyncio.gather(*work)
        assert (one.runs, one.most) == (5, 1)
        assert (other.runs, other.most > 1) == (5, True)
        calls.close()

    asyncio.run(run())


def test_caller_gives_up_but_the_call_goes_on_for_the_next() -> None:
    async def run() -> None:
        calls, work = _calls(timeout_s=0.05, fresh_s=1), _Work(0.15)
        with pytest.raises(TookTooLong):
            await calls.call("a", None, work)
        await asyncio.sleep(0.15 * _UNIT_S)
        assert await calls.call("a", None, work) == 1
        calls.close()

    asyncio.run(run())


def test_caller_that_is_gone_does_not_cancel_the_others() -> None:
    async def run() -> None:
        calls, work = _calls(), _Work(0.1)
        gone = asyncio.create_task(calls.call("a", None, work))
        stays = asyncio.create_task(calls.call("a", None, work))
        await asyncio.sleep(0.02 * _UNIT_S)
        gone.cancel()
        assert await stays == 1
        calls.close()

    asyncio.run(run())


def test_more_than_may_wait_are_refused_and_shared_ones_are_not() -> None:
    async def run() -> None:
        calls, work = _calls(waiting=2, workers=1), _Work(0.05)
        first = [asyncio.create_task(calls.call("a", n, work)) for n in (1, 2)]
        await asyncio.sleep(0.01 * _UNIT_S)
        with pytest.raises(Overloaded):
            await calls.call("a", 3, work)
        assert await calls.call("a", 2, work) == 2
        await asyncio.gather(*first)
        calls.close()

    asyncio.run(run())


def test_failure_is_everyones_and_then_forgotten() -> None:
    async def run() -> None:
        calls = _calls()

        def fail() -> int:
            raise ZeroDivisionError

        found = await asyncio.gather(
            *(calls.call("a", None, fail) for _ in range(3)), return_exceptions=True
        )
        assert [type(error) for error in found] == [ZeroDivisionError] * 3
        await asyncio.sleep(0.25 * _UNIT_S)
        assert await calls.call("a", None, _Work(0)) == 1
        calls.close()

    asyncio.run(run())


def test_calls_that_hang_take_nobody_elses_turn() -> None:
    async def run() -> None:
        calls, go_on = _calls(workers=1, timeout_s=0.1), threading.Event()
        for group in ("a", "b"):
            with pytest.raises(TookTooLong):
                await calls.call(group, None, go_on.wait)
        assert await calls.call("c", None, _Work(0.0)) == 1
        assert set(calls.stuck()) == {"a", "b"}
        assert min(calls.stuck().values()) >= 0.1 * _UNIT_S
        began = time.monotonic()
        calls.close(wait_s=0.2 * _UNIT_S)
        assert time.monotonic() - began < _UNIT_S
        go_on.set()
        await asyncio.sleep(0.1 * _UNIT_S)
        assert calls.stuck() == {}

    asyncio.run(run())


def test_what_a_call_raises_reaches_its_caller() -> None:
    def fail() -> None:
        raise KeyError("x")

    async def run() -> None:
        with pytest.raises(KeyError):
            await _calls().call("a", None, fail)

    asyncio.run(run())
