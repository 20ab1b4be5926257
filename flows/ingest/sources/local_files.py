"""Files that a glob names, and whether they were changed, without reading them."""

from __future__ import annotations

import glob
import posixpath
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from flows.formats.safe_text import safe_url
from flows.ingest.sources.user_rows import UserDataRefused

# A file can change twice within one tick of the file system's clock.
_CLOCK_TICK_NS = 2_000_000_000


def find_files(pattern: str, spec_dir: Path) -> dict[str, Path]:
    """The files that a glob names, by their path relative to the spec.

    Raises UserDataRefused if there are none.
    """
    names = sorted(_matching(pattern, spec_dir))
    files = {name: spec_dir / name for name in names if (spec_dir / name).is_file()}
    folder = next((name for name in names if (spec_dir / name).is_dir()), None)
    if not files and folder is not None:
        raise UserDataRefused(
            f"{spec_dir / folder}: is a folder; name its files, such as {folder}/*.csv"
        )
    if not files and "://" in pattern:
        said = "must be a path or a glob, relative to the spec; only an `engine` reads a URL"
        raise UserDataRefused(f"is {safe_url(pattern)}, {said}")
    if not files:
        raise UserDataRefused(
            f"{spec_dir / pattern}: no such file; write a path or a glob, relative to the spec"
        )
    return files


def _matching(pattern: str, root: Path) -> set[str]:
    """The paths that a glob names; `**` stands for any folders, each of them once."""
    whole = f"/{pattern}/*" if f"/{pattern}".endswith("/**") else f"/{pattern}"
    before, has_folders, after = whole.partition("/**/")
    if not has_folders:
        # Unlike Path.glob this takes "../data/*.csv" and absolute patterns.
        return set(glob.glob(pattern, root_dir=root))  # noqa: PTH207
    begin = before[1:] or ("/" if pattern.startswith("/") else "")
    found = set[str]()
    for folder in _folders(sorted(glob.glob(begin, root_dir=root)) if begin else [""], root):  # noqa: PTH207
        found |= {
            posixpath.join(folder, name) for name in _matching(after.lstrip("/"), root / folder)
        }
    return found


def _folders(begin: Sequence[str], root: Path) -> Iterator[str]:
    """Folders and all within them; by a link only what isn't there otherwise.

    Links that lead back, or to each other, would have endlessly many paths.
    """
    seen = set[tuple[int, int]]()
    waiting, links = list(begin), list[str]()
    while waiting or links:
        folder = waiting.pop() if waiting else links.pop(0)
        try:
            status = (root / folder).stat()
            inner = sorted(path for path in (root / folder).iterdir() if path.is_dir())
        except OSError:
            continue  # as for any glob, what can't be read isn't there
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        for path in inner:
            if not path.name.startswith("."):
                kind = links if path.is_symlink() else waiting
                kind.append(posixpath.join(folder, path.name))
        yield folder


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
