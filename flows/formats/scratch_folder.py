"""A folder for a while, which the next one like it removes if the process is killed.

Whoever works in it holds its lock, which ends with the process: what nobody holds is a leftover.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# As tempfile names them; before them may stand what the folder is for.
_RANDOM = r"(?:.+\.)?[a-z0-9_]{8}"


@contextmanager
def scratch_folder(prefix: str, *, suffix: str = "", within: Path | None = None) -> Iterator[Path]:
    """A new folder, readable by nobody else, called prefix, something random, and suffix.

    within: an existing folder; by default the one for temporary files. All that is left there under
    such a name, files too, is removed first. Raises OSError.
    """
    root = within or Path(tempfile.gettempdir())
    name = re.compile(re.escape(prefix) + _RANDOM + re.escape(suffix))
    for path in root.iterdir():
        if name.fullmatch(path.name):
            _remove_if_left(path)
    handle = None
    while handle is None:
        folder = Path(tempfile.mkdtemp(prefix=prefix, suffix=suffix, dir=root))
        handle = _held(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def _held(folder: Path) -> int | None:
    """A handle that holds the folder; None if another process took it for a leftover just now."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return None
    # A file system without such locks has no leftovers that are known as ones.
    with suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_EX)
    if _is_still(handle, folder):
        return handle
    os.close(handle)
    return None


def _remove_if_left(path: Path) -> None:
    """Removes what is this user's and nobody holds."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(handle).st_uid != os.geteuid() or not _is_still(handle, path):
            return
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
    except OSError:
        # Held, on a file system without locks, or not ours to remove.
        return
    finally:
        os.close(handle)


def _is_still(handle: int, path: Path) -> bool:
    """Whether the path is what the handle was opened on."""
    try:
        return os.path.samestat(os.fstat(handle), path.lstat())
    except FileNotFoundError:
        return False
