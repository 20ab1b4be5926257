"""Files that a glob names, and whether they were changed, without reading them."""

from __future__ import annotations

import glob
import time
from pathlib import Path

from flows.ingest.sources.user_rows import UserDataRefused

# A file can change twice within one tick of the file system's clock.
_CLOCK_TICK_NS = 2_000_000_000


def find_files(pattern: str, spec_dir: Path) -> dict[str, Path]:
    """The files that a glob names, by their path relative to the spec.

    Raises UserDataRefused if there are none.
    """
    # Unlike Path.glob this takes "../data/*.csv" and absolute patterns.
    names = sorted(glob.glob(pattern, root_dir=spec_dir, recursive=True))  # noqa: PTH207
    files = {name: spec_dir / name for name in names if (spec_dir / name).is_file()}
    if not files:
        raise UserDataRefused(
            f"{spec_dir / pattern}: no such file; `files` is a path or a glob, relative to the spec"
        )
    return files


def file_state(path: Path, *, now_ns: int | None = None) -> str:
    """What tells that a file was changed, without reading it; '' if it changed just now.

    The change time is part of it: it moves even where a copy keeps size and modification time. And
    the file's number: a link can lead to another one, written in the same tick.
    """
    status = path.stat()
    now_ns = time.time_ns() if now_ns is None else now_ns
    if now_ns - max(status.st_mtime_ns, status.st_ctime_ns) < _CLOCK_TICK_NS:
        return ""
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"
