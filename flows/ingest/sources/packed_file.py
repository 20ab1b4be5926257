"""A file's bytes, unpacked if it is packed, and whether all of them are as they were packed."""

from __future__ import annotations

import codecs
import gzip
import zlib
from pathlib import Path
from typing import BinaryIO, cast

from flows.ingest.sources.user_rows import UserDataRefused

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


def check_whole_array(file: Path) -> None:
    """Raises UserDataRefused for a JSON array without its end, which DuckDB reads as if whole."""
    with open_bytes(file) as stream:
        last = start = stream.read(_CHUNK).removeprefix(codecs.BOM_UTF8).strip()
        if not start.startswith(b"["):
            return
        while chunk := stream.read(_CHUNK):
            last = chunk.strip() or last
    if not last.endswith(b"]"):
        raise UserDataRefused(
            f"{file}: not a whole JSON array: it begins with [ and must end with ]; was it still "
            "being written?"
        )


def _is_packed(file: Path) -> bool:
    return file.suffix.lower() == ".gz"
