"""Connections that send too slowly are closed; one client has only so many."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

from flows.service.http import Limits
from flows.service.rate_limit import client_of


def guarded_protocol(limits: Limits) -> type[H11Protocol]:
    """uvicorn's protocol with a deadline for a request's head, which uvicorn itself hasn't."""

    class GuardedProtocol(H11Protocol):
        """Closed if no request is under way `header_timeout_s` after its first byte was due."""

        _deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if self._siblings() > limits.connections_per_client:
                transport.abort()
                return
            self._arm()

        def data_received(self, data: bytes) -> None:
            if self._deadline is None and self._is_idle():
                self._arm()
            super().data_received(data)
            if not self._is_idle():
                self._disarm()

        def connection_lost(self, exc: Exception | None) -> None:
            self._disarm()
            super().connection_lost(exc)

        def _is_idle(self) -> bool:
            return self.cycle is None or self.cycle.response_complete

        def _arm(self) -> None:
            self._deadline = self.loop.call_later(limits.header_timeout_s, self._overdue)

        def _disarm(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

        def _overdue(self) -> None:
            self._deadline = None
            if self._is_idle():
                self.transport.abort()

        def _siblings(self) -> int:
            """Connections of this client, this one among them."""
            if self.client is None:
                return 0
            mine = client_of(self.client[0])
            others = (getattr(other, "client", None) for other in self.connections)
            return sum(client is not None and client_of(client[0]) == mine for client in others)

    return GuardedProtocol
