"""Another process that does something with a file until it is told to go on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Holds a warehouse as a "writer" or a "reader"; a line on its input makes a writer write and end.
HOLD = """
import sys, time
from pathlib import Path
from flows.warehouse.connection import open_reader, open_writer
opened = open_writer if sys.argv[1] == "writer" else open_reader
with opened(Path(sys.argv[2])) as con:
    print("open", flush=True)
    if sys.stdin.readline():
        con.execute("insert into user_shifts values ('e', 'held', 'mean', 1)")
"""


@contextmanager
def process(code: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Another process, once it has said that it is where it should be."""
    child = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline()
        yield child
    finally:
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()


def let_go(child: subprocess.Popen[str]) -> None:
    """Sends the line that the process waits for."""
    assert child.stdin is not None
    child.stdin.write("go\n")
    child.stdin.flush()
