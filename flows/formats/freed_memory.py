"""Memory that was freed stays with the process for the next arrays, up to a bound."""

from __future__ import annotations

import ctypes
import platform
from functools import cache

# Of glibc's malloc.h, with bytes: from what size on a block has a mapping of its own (its largest
# value), and how much unused memory at the heap's end is kept.
_M_MMAP_THRESHOLD, _LARGEST_IN_HEAP = -3, 32 << 20
_M_TRIM_THRESHOLD, _MOST_UNUSED = -1, 8 << 20


@cache
def keep_freed_memory() -> bool:
    """Whether the C library keeps freed memory from now on, 8 MB at a heap's end; only glibc can.

    It gives arrays back to the system as soon as they are freed, and every 4 kB of the next ones
    is a page fault then: a tenth of the time of a pull by JSON. With 64 MB, which saves as much, a
    delivery whose source never ends an answer came to 1.1 GB.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    said = mallopt(_M_MMAP_THRESHOLD, _LARGEST_IN_HEAP), mallopt(_M_TRIM_THRESHOLD, _MOST_UNUSED)
    return said == (1, 1)
