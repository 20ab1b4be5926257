"""Reads text files that people write, with a bound on their size."""

from __future__ import annotations

from pathlib import Path

from flows.formats.problems import file_error

_HANDLES = frozenset((Path("/dev/fd"), Path("/proc/self/fd"), Path("/dev/stdin")))
STREAM = "is a pipe, a socket or a device, must be a file"


def is_stream(path: Path) -> bool:
    """Whether who opens or reads it may wait for ever; not what a shell hands on: <(command)."""
    is_handed_on = path in _HANDLES or path.parent in _HANDLES
    return path.exists() and not (path.is_file() or path.is_dir() or is_handed_on)


def read_utf8(path: Path, *, largest: int) -> str:
    """The file's text, without a byte order mark.

    largest: bytes. Raises InputError if it can't be read, is larger, or is not UTF-8.
    """
    if is_stream(path):
        raise file_error(path, 1, STREAM)
    try:
        with path.open("rb") as file:
            raw = file.read(largest + 1)
    except OSError as error:
        raise file_error(path, 1, f"can't be read: {error.strerror}") from error
    if len(raw) > largest:
        raise file_error(path, 1, f"is larger than {largest} bytes, the most that are read")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        message = f"byte {error.start} is not UTF-8; save it as UTF-8"
        raise file_error(path, line, message) from error
