"""Server-sent events: a page is told when there is a newer one of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from flows.service.http import Limits, Refused

# Between two questions whether the stream is over, whether a page has changed, and between two
# signs of life, which find out that a listener has gone.
_STEP_S, _ASK_S, _ALIVE_S = 0.5, 2.0, 15.0
# A listener that reads nothing for so long isn't listened for any more.
_SEND_S = 10.0
# The browser calls again, and its session is looked at anew.
_LONGEST_S = 900.0
# Who holds every stream.
_ALL = b"all"


class Listeners:
    """Counts the streams that are open, and ends them all when the service does.

    is_stopping: whether the service has been told to stop.
    """

    def __init__(self, limits: Limits, is_stopping: Callable[[], bool]) -> None:
        self._limits = limits
        self._open: Counter[bytes] = Counter()
        self.is_stopping = is_stopping

    def stream(
        self,
        holders: tuple[bytes, bytes],
        state: Callable[[], Awaitable[str | None]],
        may_go_on: Callable[[], bool],
    ) -> Response:
        """The stream of a page's states. Raises Refused (503) when too many are open.

        holders: the token and the session that it is opened with. state: now; None where that
        can't be told. may_go_on: whether the session still lives.
        """
        limits = self._limits
        most = (limits.listeners, limits.listeners_per_token, limits.listeners_per_session)
        for holder, limit in zip((_ALL, *holders), most, strict=True):
            if self._open[holder] >= limit:
                raise Refused(
                    503, "too many pages listen already: reload instead", {"Retry-After": "30"}
                )
        return _Stream(self, holders, state, may_go_on)

    def opened(self, holders: tuple[bytes, bytes]) -> None:
        """Counts a stream that begins."""
        self._open.update((_ALL, *holders))

    def ended(self, holders: tuple[bytes, bytes]) -> None:
        """Counts a stream that ends; who holds none is forgotten."""
        self._open.subtract((_ALL, *holders))
        self._open = +self._open


class _Stream(Response):
    """One listener's; nobody else waits for it."""

    media_type = "text/event-stream"

    def __init__(
        self,
        listeners: Listeners,
        holders: tuple[bytes, bytes],
        state: Callable[[], Awaitable[str | None]],
        may_go_on: Callable[[], bool],
    ) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._listeners = listeners
        self._holders = holders
        self._state = state
        self._may_go_on = may_go_on

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._listeners.opened(self._holders)
        gone = asyncio.create_task(_gone(receive))
        try:
            await self._send_states(send, gone)
        finally:
            self._listeners.ended(self._holders)
            gone.cancel()

    async def _send_states(self, send: Send, gone: asyncio.Task[None]) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        now = asyncio.get_running_loop().time
        began = asked = sent = now()
        told = await self._tell(send, None, "retry: 5000\n\n")
        while not (gone.done() or self._listeners.is_stopping() or now() - began > _LONGEST_S):
            if not self._may_go_on():
                break
            await asyncio.wait([gone], timeout=_STEP_S)
            if now() - asked >= _ASK_S:
                asked, before = now(), told
                told = await self._tell(send, told, ": \n\n" if asked - sent > _ALIVE_S else "")
                sent = asked if told != before or asked - sent > _ALIVE_S else sent
        if not gone.done():
            await _send(send, "", is_last=True)

    async def _tell(self, send: Send, told: str | None, text: str) -> str | None:
        """Sends the text and a state that hasn't been told; returns the one that has."""
        state = await self._state()
        if state is not None and state != told:
            text += f"event: state\ndata: {state}\n\n"
        if text:
            await _send(send, text)
        return state or told


async def _send(send: Send, text: str, *, is_last: bool = False) -> None:
    """Raises TimeoutError if the listener takes nothing."""
    async with asyncio.timeout(_SEND_S):
        await send({"type": "http.response.body", "body": text.encode(), "more_body": not is_last})


async def _gone(receive: Receive) -> None:
    """Returns when the listener has hung up."""
    while (await receive())["type"] != "http.disconnect":
        pass
