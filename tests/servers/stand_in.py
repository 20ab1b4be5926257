"""A stand-in for kube-apiserver: objects in memory, tokens, versions, server-side apply.

Only what a client of three custom kinds sees. Lists are replaced as a whole, as custom resources
without list types have it; nothing else of field ownership is kept.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from copy import deepcopy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

import yaml

_Json = dict[str, Any]


class StandIn:
    """Serves plain HTTP while its with block lasts."""

    def __init__(self, admins: set[str], strangers: set[str]) -> None:
        """admins may do all; strangers are known, and may do nothing."""
        self.admins, self.strangers = admins, strangers
        self.kinds: dict[str, tuple[str, str]] = {}
        self.objects: dict[str, _Json] = {}
        self.version = 100
        self.lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"stand_in": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def serve_kinds(self, kinds: Mapping[str, tuple[str, str]]) -> None:
        """Version and plural by group."""
        self.kinds.update(kinds)

    def __enter__(self) -> StandIn:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, path: str, body: Any) -> tuple[int, _Json]:
        """Status and body of one call by an admin."""
        if path == "/apis":
            return 200, {"kind": "APIGroupList", "groups": [self._group(g) for g in self.kinds]}
        with self.lock:
            if method == "GET":
                found = self.objects.get(path)
                return (200, found) if found else _status(404, "not found")
            if method == "POST":
                path = f"{path}/{body['metadata']['name']}"
                return 201, self._store(path, body)
            return self._change(method, path, body)

    def _change(self, method: str, path: str, body: _Json) -> tuple[int, _Json]:
        old = self.objects.get(path)
        if method == "DELETE":
            found = self.objects.pop(path, None)
            return (200, found) if found else _status(404, "not found")
        if old is None and method == "PATCH":
            return 201, self._store(path, body)  # server-side apply makes what is missing
        if old is None:
            return _status(404, "not found")
        if body["metadata"].get("resourceVersion") not in (
            None,
            old["metadata"]["resourceVersion"],
        ):
            return _status(409, "the object has been modified; please apply your changes to it")
        return 200, self._store(path, body if method == "PUT" else _applied(old, body))

    def _store(self, path: str, body: _Json) -> _Json:
        self.version += 1
        stored = deepcopy(body)
        stored["metadata"]["resourceVersion"] = str(self.version)
        stored["metadata"].setdefault("uid", f"00000000-{self.version:04}")
        self.objects[path] = stored
        return stored

    def _group(self, group: str) -> _Json:
        version, _ = self.kinds[group]
        known = {"groupVersion": f"{group}/{version}", "version": version}
        return {"name": group, "versions": [known], "preferredVersion": known}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stand_in: StandIn

    def _serve(self) -> None:
        length = int(self.headers.get("content-length", 0))
        body = yaml.safe_load(self.rfile.read(length)) if length else None
        token = self.headers.get("authorization", "").removeprefix("Bearer ")
        path = self.path.partition("?")[0].rstrip("/")
        if token in self.stand_in.admins:
            status, answer = self.stand_in.answer(self.command, path, body)
        elif token not in self.stand_in.strangers:
            status, answer = _status(401, "Unauthorized")
        elif path == "/apis":
            status, answer = self.stand_in.answer(self.command, path, body)
        else:
            status, answer = _status(403, 'is forbidden: User "stranger" cannot get resource')
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - the library's names

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def _applied(old: _Json, change: _Json) -> _Json:
    """Maps are merged, all else is replaced."""
    merged = dict(old)
    for name, value in change.items():
        both_maps = isinstance(value, dict) and isinstance(old.get(name), dict)
        merged[name] = _applied(old[name], value) if both_maps else value
    return merged


def _status(code: int, message: str) -> tuple[int, _Json]:
    return code, {"kind": "Status", "status": "Failure", "message": message, "code": code}
