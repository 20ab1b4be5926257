"""What a pod really answered: counters in a mapped file, which even SIGKILL can't lose."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

_NAME_BYTES = 24
_SLOT = struct.Struct(f"<{_NAME_BYTES}sQ")
_SLOTS = 64
_COUNT = struct.Struct("<Q")


class TruthFile:
    """Counts per answer ("200", "503", "200 grpc 14"), added to what the file already holds."""

    def __init__(self, path: Path) -> None:
        """Opens the file of one pod, which its next process continues."""
        if not path.exists():
            path.write_bytes(bytes(_SLOT.size * _SLOTS))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        self._counts = read_truth(path)
        self._offsets = {name: index * _SLOT.size for index, name in enumerate(self._counts)}

    def count(self, answer: str) -> None:
        """Adds one; visible to other processes at once. Raises ValueError past 64 kinds."""
        offset = self._offsets.get(answer)
        if offset is None:
            offset = self._new_slot(answer)
        self._counts[answer] += 1
        _COUNT.pack_into(self._map, offset + _NAME_BYTES, self._counts[answer])

    def _new_slot(self, answer: str) -> int:
        if len(self._offsets) == _SLOTS:
            raise ValueError(f"no slot left for {answer!r}")
        offset = self._offsets[answer] = len(self._offsets) * _SLOT.size
        self._counts[answer] = 0
        _SLOT.pack_into(self._map, offset, answer.encode(), 0)
        return offset


def read_truth(path: Path) -> dict[str, int]:
    """Requests per answer, in the order of first appearance."""
    if not path.exists():
        return {}
    counts = {}
    for name, count in _SLOT.iter_unpack(path.read_bytes()):
        if name[0]:
            counts[name.rstrip(b"\0").decode()] = count
    return counts
