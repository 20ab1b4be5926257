"""Files that are there whole or not at all."""

import errno
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from flows.formats.scratch_folder import scratch_folder


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
    renamed by the end of the with block is gone, and so is what a killed process left in the same
    folders. Raises OSError, and then leaves no trace.
    """
    written: dict[Path, Path] = {}

    def put_in_place() -> tuple[Path, ...]:
        for path, temporary in written.items():
            temporary.replace(path)
        return tuple(written)

    with ExitStack() as kept:
        scratch: dict[Path, Path] = {}
        for path, text in texts.items():
            folder = path.parent
            if folder not in scratch:
                folder.mkdir(parents=True, exist_ok=True)
                made = scratch_folder(".", suffix=".part", within=folder)
                scratch[folder] = kept.enter_context(made)
            written[path] = _write(scratch[folder], path, text)
        yield put_in_place


def _write(scratch: Path, path: Path, text: str) -> Path:
    """The text in a file of the scratch folder, safely on the disk."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    # Not ending in .json or .prom: neither Grafana nor the node exporter picks it up.
    temporary = scratch / f"{path.name}.part"
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.chmod(0o644)
    return temporary
