"""Reads text files that people write, with a bound on their size."""

from __future__ import annotations

from pathlib import Path

from flows.formats.problems import file_error


def read_utf8(path: Path, *, largest: int) -> str:
    """The file's text, without a byte order mark.

    largest: bytes. Raises InputError if it can't be read, is larger, or is not UTF-8.
    """
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
