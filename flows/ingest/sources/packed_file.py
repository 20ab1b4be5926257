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


# By its first bytes, what is no text in UTF-8, and what to do.
_OTHERS = (
    (b"\x1f\x8b", "packed by gzip: unpack it, or let its name end in .gz"),
    (b"PK\x03\x04", "an archive or an Excel workbook: export it as CSV"),
    (b"\x28\xb5\x2f\xfd", "packed by zstd: unpack it, or pack it by gzip"),
    (b"BZh", "packed by bzip2: unpack it, or pack it by gzip"),
    (b"PAR1", "a Parquet file: its name must end in .parquet"),
    (codecs.BOM_UTF16_LE, "UTF-16: save it as UTF-8"),
    (codecs.BOM_UTF16_BE, "UTF-16: save it as UTF-8"),
)


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


def check_text(file: Path) -> None:
    """Raises UserDataRefused for what is no text in UTF-8, as its first bytes tell."""
    with open_bytes(file) as stream:
        begin = stream.read(8)
    found = next((said for magic, said in _OTHERS if begin.startswith(magic)), None)
    if found is None and b"\x00" in begin[:4]:
        found = "UTF-16, or no text: save it as UTF-8"
    if found is not None:
        raise UserDataRefused(f"{file}: is {found}")


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
