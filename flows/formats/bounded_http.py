"""HTTP that is bounded as a whole: who sends a byte now and then is cut off, too."""

from __future__ import annotations

import os
import socket
import threading
from functools import partial
from typing import Any, cast
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.exceptions import InvalidProxyURL
from requests.utils import select_proxy
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.util import parse_url


class _Cutter:
    """Cuts a connection at a time; a handle of its own reaches the socket whatever wraps it."""

    def __init__(self, connected: socket.socket, after_s: float) -> None:
        self.has_cut = False
        self._handle = socket.socket(fileno=os.dup(connected.fileno()))
        self._timer = threading.Timer(after_s, self._cut)
        self._timer.daemon = True
        self._timer.start()

    def _cut(self) -> None:
        self.has_cut = True
        try:
            self._handle.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # the peer was faster

    def end(self) -> None:
        """Leaves the connection as it is."""
        self._timer.cancel()
        self._handle.close()


class _Bounded(HTTPConnection):
    """Cut off whole_s after a request begins, unless its answer is read by then."""

    whole_s: float
    _cutter: _Cutter | None = None

    def connect(self) -> None:
        try:
            super().connect()
        except (OSError, ValueError) as error:
            if self._is_cut:
                raise self._late() from error
            raise

    def request(self, *arguments: Any, **more: Any) -> None:
        if self.sock is not None:
            self._watch(self.sock)
        super().request(*arguments, **more)

    def getresponse(self) -> Any:
        # http.client closes a connection that won't be kept before its answer's body is read.
        cutter, self._cutter = self._cutter, None
        try:
            answer = super().getresponse()
        except Exception as error:
            self._cutter = cutter
            if self._is_cut:
                raise self._late() from error
            raise
        self._cutter = cutter
        # A head that was cut off looks like a whole one.
        if self._is_cut:
            raise self._late()
        return answer

    def close(self) -> None:
        self.leave()
        super().close()

    def leave(self) -> None:
        """The answer is read, or nobody wants it any more."""
        if self._cutter is not None:
            self._cutter.end()
            self._cutter = None

    def _new_conn(self) -> socket.socket:
        connected = super()._new_conn()
        # From here on: also while TLS is being agreed on.
        self._watch(connected)
        return connected

    def _watch(self, connected: socket.socket) -> None:
        self.leave()
        self._cutter = _Cutter(connected, self.whole_s)

    def _late(self) -> TimeoutError:
        """What is raised in the place of what the cut looks like."""
        return TimeoutError(f"no answer in {self.whole_s:g} s")

    @property
    def _is_cut(self) -> bool:
        return self._cutter is not None and self._cutter.has_cut


class _BoundedTLS(_Bounded, HTTPSConnection):
    """The same, by TLS."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Bounded

    def __init__(self, *arguments: Any, whole_s: float, **more: Any) -> None:
        self._whole_s = whole_s
        super().__init__(*arguments, **more)

    def _new_conn(self) -> Any:
        connection = cast("_Bounded", super()._new_conn())
        connection.whole_s = self._whole_s
        return connection

    def _put_conn(self, conn: Any) -> None:
        if conn is not None:
            conn.leave()
        super()._put_conn(conn)


class _TLSPool(_Pool, HTTPSConnectionPool):
    ConnectionCls = _BoundedTLS


def bound_pools(manager: PoolManager, whole_s: float) -> None:
    """Bounds every exchange of a request and its answer by the manager's connections."""
    pools = {"http": partial(_Pool, whole_s=whole_s), "https": partial(_TLSPool, whole_s=whole_s)}
    manager.pool_classes_by_scheme = cast("Any", pools)


class _Adapter(HTTPAdapter):
    def __init__(self, whole_s: float) -> None:
        self._whole_s = whole_s
        super().__init__(max_retries=0)

    def send(self, request: requests.PreparedRequest, *given: Any, **more: Any) -> Any:
        """As requests' own. Raises InvalidProxyURL, which names the variable and quotes nothing."""
        url = request.url or ""
        if wrong := proxy_problem(url, select_proxy(url, more.get("proxies"))):
            raise InvalidProxyURL(wrong)
        return super().send(request, *given, **more)

    def init_poolmanager(self, *arguments: Any, **more: Any) -> None:
        super().init_poolmanager(*arguments, **more)
        bound_pools(self.poolmanager, self._whole_s)

    def proxy_manager_for(self, *arguments: Any, **more: Any) -> Any:
        manager = super().proxy_manager_for(*arguments, **more)
        bound_pools(manager, self._whole_s)
        return manager


def proxy_problem(url: str, proxy: str | None) -> str | None:
    """What is wrong with the proxy that the environment names for a URL; it isn't quoted."""
    if not proxy or _is_proxy(proxy):
        return None
    scheme = urlsplit(url).scheme
    return (
        f"the proxy in {scheme}_proxy, {scheme.upper()}_PROXY or ALL_PROXY must be a URL such as "
        "http://proxy:3128; a / @ or [ in user or password is written %2F %40 or %5B"
    )


def _is_proxy(text: str) -> bool:
    """Whether requests can read it; a name without a scheme is one, too."""
    try:
        parts = urlsplit(text if "://" in text else f"http://{text.removeprefix('//')}")
        return bool(parts.hostname) and parts.port != 0 and parse_url(text).host is not None
    except (ValueError, HTTPError):
        return False


def bound(session: requests.Session, whole_s: float) -> None:
    """Lets no request of the session take longer, from connecting to the last byte that is read.

    A body that is cut off may look as if it had ended: who reads one looks at the clock, too.
    """
    for prefix in list(session.adapters):
        session.mount(prefix, _Adapter(whole_s))
