"""Peers of the service that say nothing, or little: others are answered, and it can end."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import requests

from tests.chaos.commands import Command, Running, start
from tests.chaos.jobs import prepare_demo
from tests.chaos.tally import Tally
from tests.places import PATIENCE_S, at_load

_EXPERIMENT = "quiz-format"
_EACH = 40
# A head has 10 s, a body 5; an answer that nobody reads ends with the service.
_CLOSED_S, _ENDED_S = 20.0, 30.0
_HEAD = b"POST /flagger HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


def _drip(peer: socket.socket) -> None:
    for byte in _HEAD * 100:
        peer.sendall(bytes([byte]))
        time.sleep(0.3)


PEERS: dict[str, Callable[[socket.socket], None]] = {
    "nothing": lambda _: None,
    "half a line": lambda peer: peer.sendall(b"GET /verd"),
    "half a head": lambda peer: peer.sendall(_HEAD),
    "half a body": lambda peer: peer.sendall(_HEAD + b'Content-Length: 50\r\n\r\n{"name'),
    "a byte each third of a second": _drip,
    "no word after an answer": lambda peer: peer.sendall(
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    ),
}


def stay_silent(folder: Path, random_: random.Random) -> Tally:
    """So many peers of each kind at once: all are closed, others are answered meanwhile."""
    tally = Tally("silent peers of the service")
    root = folder / "served"
    prepare_demo((_EXPERIMENT,), root)
    running = start(root, Command(root, ("serve", "--port", "0")))
    try:
        url = _url(running)
        kinds = [name for name in PEERS for _ in range(_EACH)]
        random_.shuffle(kinds)
        peers = [(name, _peer(url, PEERS[name])) for name in kinds]
        tally.tried += len(peers)
        _answers(url, "/healthz", tally)
        _answers(url, f"/verdict/{_EXPERIMENT}", tally)
        deadline = time.monotonic() + at_load(_CLOSED_S)
        for name, peer in peers:
            if not _is_closed(peer, deadline):
                tally.fail("hangs", f"{name}: not closed within {_CLOSED_S:g} s")
        # Some that are silent while the service ends.
        last = [_peer(url, send) for send in PEERS.values()]
        tally.tried += len(last)
        running.process.terminate()
        if running.wait(at_load(_ENDED_S)) is None:
            tally.fail("hangs", f"does not end within {_ENDED_S:g} s of SIGTERM")
        tally.hear(running.output, "silent peers")
    finally:
        running.kill()
    return tally


def _url(running: Running) -> str:
    deadline = time.monotonic() + PATIENCE_S
    while "listening on " not in running.output:
        if time.monotonic() > deadline or not running.process.is_alive():
            raise RuntimeError(f"the service does not start: {running.output}")
        time.sleep(0.02)
    return running.output.partition("listening on ")[2].split()[0]


def _peer(url: str, send: Callable[[socket.socket], None]) -> socket.socket:
    host, port = url.removeprefix("http://").split(":")
    peer = socket.create_connection((host, int(port)), timeout=PATIENCE_S)

    def sending() -> None:
        with suppress(OSError):
            send(peer)

    threading.Thread(target=sending, daemon=True).start()
    return peer


def _answers(url: str, path: str, tally: Tally) -> None:
    """One that says to call again later is called again: the machine may be busy."""
    deadline = time.monotonic() + PATIENCE_S
    status = 503
    while status == 503 and time.monotonic() < deadline:
        try:
            answer = requests.get(url + path, timeout=PATIENCE_S)
        except requests.RequestException as error:
            tally.fail("hangs", f"{path} beside silent peers: {error}")
            return
        status = answer.status_code
        time.sleep(int(answer.headers.get("Retry-After", 0)))
    if status != 200:
        tally.fail("other", f"{path} beside silent peers: {status}")


def _is_closed(peer: socket.socket, deadline: float) -> bool:
    """Whether the service hangs up; what it says before doesn't count."""
    with suppress(ConnectionError), peer:
        while (left := deadline - time.monotonic()) > 0:
            peer.settimeout(left)
            try:
                if not peer.recv(65536):
                    return True
            except TimeoutError:
                return False
        return False
    return True
