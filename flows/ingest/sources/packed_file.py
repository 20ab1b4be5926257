"""A file's bytes, unpacked if it is packed, and whether all of them are as they were packed."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import BinaryIO, cast

_CHUNK = 1 << 20
# What reading a file or unpacking it raises.
UNREADABLE = (OSError, EOFError, zlib.error)


def open_bytes(file: Path) -> BinaryIO:
    """The file's bytes, unpacked if its name ends in .gz."""
    if _is_packed(file):
        return cast("BinaryIO", gzip.open(file, "rb"))
    return file.open("rb")


def check_whole(file: Path) -> None:
    """Raises one of UNREADABLE for a damaged gzip: DuckDB doesn't compare its checksum."""
    if _is_packed(file):
        with open_bytes(file) as stream:
            while stream.read(_CHUNK):
                pass


def _is_packed(file: Path) -> bool:
    return file.suffix.lower() == ".gz"
