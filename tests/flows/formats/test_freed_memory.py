"""Memory that was freed is there for the next arrays without the system's help."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# Arrays of growing size, as a pull has them, taken and freed again and again.
_FAULTS = """
import resource, sys
import numpy as np
from flows.formats.freed_memory import keep_freed_memory
if sys.argv[1] == "kept":
    assert keep_freed_memory()
def take():
    return [np.ones(1 << size) for size in (14, 15, 16) for _ in range(6)]
take()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    take()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told so")
def test_arrays_take_the_memory_of_those_before() -> None:
    usual, kept = (
        int(subprocess.check_output([sys.executable, "-c", _FAULTS, how]))
        for how in ("usual", "kept")
    )
    assert kept < usual / 10
