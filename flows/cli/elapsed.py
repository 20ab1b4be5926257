"""On a terminal: for how long a command has been running, once that is over two seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

_AFTER_S = 2.0
_ERASE = "\r\x1b[K"


class ElapsedLine:
    """The last line of a terminal, taken away before anything else is printed there."""

    def __init__(self, label: str, stream: TextIO) -> None:
        self._label, self._stream = label, stream
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._is_shown = False
        self._ended = threading.Event()

    def hide(self) -> None:
        """Takes the line away; the next second shows it again."""
        with self._lock:
            if self._is_shown:
                self._write(_ERASE)
                self._is_shown = False

    def end(self) -> None:
        """Takes the line away for good."""
        self._ended.set()
        self.hide()

    def keep_showing(self) -> None:
        """Shows the line each second, until the end."""
        wait_s = _AFTER_S
        while not self._ended.wait(wait_s):
            wait_s = 1.0
            with self._lock:
                if not self._ended.is_set():
                    seconds = time.monotonic() - self._began
                    self._write(f"{_ERASE}{self._label}: {seconds:.0f} s")
                    self._is_shown = True

    def _write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            self._stream.write(text)
            self._stream.flush()


@contextmanager
def elapsed_line(label: str, stream: TextIO, *, is_shown: bool = True) -> Iterator[ElapsedLine]:
    """Shows the line while the with block runs, if it is to be shown."""
    line = ElapsedLine(label, stream)
    if is_shown:
        threading.Thread(target=line.keep_showing, daemon=True).start()
    try:
        yield line
    finally:
        line.end()
