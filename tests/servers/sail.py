"""A Spark Connect server without a JVM (Sail), and a way to it that can be cut."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def sail_server() -> Iterator[str]:
    """The address of a server for the with block: sc://host:port."""
    from pysail.spark import SparkConnectServer  # noqa: PLC0415

    server = SparkConnectServer("127.0.0.1", 0)
    server.start(background=True)
    host, port = server.listening_address
    try:
        yield f"sc://{host}:{port}"
    finally:
        server.stop()


@contextmanager
def cut_after(address: str, answered: int) -> Iterator[str]:
    """The address of a way to a server that is cut for good once so many bytes came back."""
    host, _, port = address.removeprefix("sc://").partition(":")
    listener = socket.create_server(("127.0.0.1", 0))
    left, is_cut = [answered], threading.Event()

    def pass_on(source: socket.socket, target: socket.socket, *, is_counted: bool) -> None:
        with suppress(OSError):
            while (data := source.recv(65536)) and not is_cut.is_set():
                if is_counted:
                    left[0] -= len(data)
                    if left[0] < 0:
                        is_cut.set()
                        listener.close()
                        break
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def accept() -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection((host, int(port)))
                for ends, counted in (((near, far), False), ((far, near), True)):
                    threading.Thread(
                        target=pass_on, args=ends, kwargs={"is_counted": counted}, daemon=True
                    ).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"sc://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        is_cut.set()
        listener.close()
