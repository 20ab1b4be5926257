"""Files that are there whole or not at all."""

import errno
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


def write_atomically(path: Path, text: str) -> Path:
    """Writes text to path by a temporary name and a rename, making the folder; returns path.

    A reader sees the old file or the new one. Raises OSError, and then leaves no trace.
    """
    with prepared({path: text}) as put_in_place:
        put_in_place()
    return path


@contextmanager
def prepared(texts: Mapping[Path, str]) -> Iterator[Callable[[], tuple[Path, ...]]]:
    """Writes all texts under temporary names; what it yields renames them and returns the paths.

    So a full disk or a folder in a file's place shows before any file is replaced. What isn't
    renamed by the end of the with block is gone. Raises OSError, and then leaves no trace.
    """
    written: dict[Path, Path] = {}

    def put_in_place() -> tuple[Path, ...]:
        for path, temporary in written.items():
            temporary.replace(path)
        return tuple(written)

    try:
        for path, text in texts.items():
            written[path] = _temporary(path, text)
        yield put_in_place
    finally:
        for temporary in written.values():
            temporary.unlink(missing_ok=True)


def _temporary(path: Path, text: str) -> Path:
    """The text in a file beside the path, safely on the disk."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    # Hidden, and not ending in .json or .prom: neither Grafana nor the node exporter picks it up.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)
