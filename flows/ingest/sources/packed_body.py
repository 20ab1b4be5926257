"""Bodies that a server packs: unpacked piece by piece, so that a bound on their size holds."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator

from flows.ingest.sources.samples import SourceRefused

# Series of constant counters are 150 times as large unpacked; what is packed to hurt, 1,000 times.
_MOST_TIMES, _FIRST = 400, 16 << 20


def unpacking(encoding: str) -> Callable[[bytes, int], Iterator[bytes]]:
    """What unpacks a part of a body into pieces of at most so many bytes."""
    if encoding.lower() in ("", "identity"):
        return lambda part, _: iter((part,))
    if encoding.lower() not in ("gzip", "x-gzip", "deflate"):
        raise SourceRefused(
            f"the server's answer is packed by {encoding!r}, which was not requested"
        )
    # 32 more than the largest window: gzip or zlib, as the header says.
    unpacker = zlib.decompressobj(wbits=32 + zlib.MAX_WBITS)
    read = unpacked = 0

    def unpack(part: bytes, size: int) -> Iterator[bytes]:
        nonlocal read, unpacked
        while part:
            try:
                piece = unpacker.decompress(part, size)
            except zlib.error as error:
                raise SourceRefused(f"the server's answer can't be unpacked: {error}") from error
            read += len(part) - len(unpacker.unconsumed_tail)
            unpacked += len(piece)
            if unpacked > max(_FIRST, _MOST_TIMES * read):
                raise SourceRefused(
                    f"the server's answer is over {_MOST_TIMES} times as large unpacked"
                )
            yield piece
            part = unpacker.unconsumed_tail

    return unpack
