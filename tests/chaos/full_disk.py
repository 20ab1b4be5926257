"""A disk that is full at any write: one line, and with more room the command ends as ever.

A tmpfs of so many bytes under the whole workspace. How full it is after each write is noted while
the command has room; a disk of just that size fails the next write. Then the same for the number of
files. Where none may be mounted, a limit on the size of files, which the kernel tells otherwise.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from flows.warehouse.connection import open_writer
from flows.workspace.paths import Workspace
from tests.chaos.commands import Ended, start
from tests.chaos.contents import compare
from tests.chaos.jobs import Job
from tests.chaos.tally import Tally
from tests.places import PATIENCE_S

_BLOCK = 4096
_PLENTY = 512 << 20
_PLENTY_OF_FILES = 100_000
_FINE = (0, 3)
# A warning of a run that is whole but for the file of its own metrics: the next one writes it.
_UNWRITTEN = "warning: metrics of the run: "


@dataclass(slots=True)
class _Levels:
    """How full the disk was, in blocks and in files, each time that it changed."""

    blocks: set[int] = field(default_factory=set)
    files: set[int] = field(default_factory=set)

    def note(self, folder: Path) -> None:
        """Takes in how full it is."""
        now = os.statvfs(folder)
        self.blocks.add(now.f_blocks - now.f_bfree)
        self.files.add(now.f_files - now.f_ffree)


@dataclass(frozen=True, slots=True)
class _Disk:
    """blocks, files: how many it has room for, while step number `step` runs."""

    step: int
    blocks: int = _PLENTY // _BLOCK
    files: int = _PLENTY_OF_FILES


def fill_often(job: Job, most: int, folder: Path, random_: random.Random) -> Tally:
    """Fills the disk at each write of the job, or at so many of them."""
    tally = Tally(f"full disk: {job.name}")
    undisturbed = folder / "undisturbed"
    with _workspace(job, undisturbed) as is_mounted:
        ends, levels = [], []
        for step in job.steps:
            step.before(undisturbed)
            with _noting(undisturbed) as noted:
                ended = start(undisturbed, step.run(undisturbed)).wait(PATIENCE_S)
            if ended is None or ended.code not in _FINE:
                tally.fail("other", f"fails with room: {ended}")
                return tally
            ends.append(ended)
            levels.append(noted)
        disks = list(_disks(levels)) if is_mounted else [_Disk(0)] * most
        if len(disks) > most:
            disks = random_.sample(disks, most)
        for number, disk in enumerate(disks):
            root = folder / f"full-{number}"
            # The kernel's limit, where there is no disk: some part of what the largest file needs.
            limit = None if is_mounted else random_.randrange(_BLOCK, 8 << 20)
            with _workspace(job, root):
                if _fill(job, root, disk, ends, limit, tally):
                    compare(root, undisturbed, tally, without=job.may_differ)
                    if (facts := job.facts(root)) != (wished := job.facts(undisturbed)):
                        tally.fail("other", f"{disk}: {facts} instead of {wished}")
            shutil.rmtree(root, ignore_errors=True)
    return tally


def _disks(levels: Sequence[_Levels]) -> Iterator[_Disk]:
    """One that is full at each of the writes, and one at each new file."""
    for number, noted in enumerate(levels):
        for blocks in sorted(noted.blocks)[:-1]:
            yield _Disk(number, blocks=blocks)
        for files in sorted(noted.files)[:-1]:
            yield _Disk(number, files=files)


def _fill(
    job: Job, root: Path, disk: _Disk, ends: Sequence[Ended], limit: int | None, tally: Tally
) -> bool:
    """Runs the steps, one of them first on a full disk; returns whether all came to their end."""
    for number, (step, wanted) in enumerate(zip(job.steps, ends, strict=True)):
        step.before(root)
        if number == disk.step:
            if limit is None:
                _resize(root, disk)
            small = start(root, step.run(root), largest_file=limit).wait(PATIENCE_S)
            tally.tried += 1
            _judge(small, wanted, f"{disk}", tally)
            _resize(root, _Disk(0))
            if small is not None and small.code == wanted.code and _UNWRITTEN not in small.output:
                # The last write into the warehouse's file may wait in its log for the next command.
                with open_writer(Workspace(root).warehouse):
                    continue
            job.again(root)
        ended = start(root, step.run(root)).wait(PATIENCE_S)
        if ended is None or ended.code != wanted.code:
            said = ended.output[-500:] if ended else "hangs"
            tally.fail("other", f"{disk}, once there is room again: {said}")
            return False
    return True


def _judge(ended: Ended | None, wanted: Ended, where: str, tally: Tally) -> None:
    """Room was enough, or it is said in a line and the exit code that it wasn't."""
    if ended is None:
        tally.fail("hangs", f"{where}: hangs")
        return
    tally.hear(ended.output, where)
    if ended.code not in {wanted.code, 2}:
        tally.fail("other", f"{where}: ends with {ended.code}: {ended.output[-300:]}")
    elif ended.code == 2 and not ended.output.strip():
        tally.fail("other", f"{where}: fails without a word")


@contextmanager
def _workspace(job: Job, root: Path) -> Iterator[bool]:
    """The job's workspace on a disk of its own, with plenty of room; whether that could be."""
    made = root.with_name("made")
    job.prepare(made)
    root.mkdir()
    is_mounted = _mount("-t", "tmpfs", "-o", f"size={_PLENTY}", "tmpfs", str(root))
    try:
        shutil.copytree(made, root, symlinks=True, dirs_exist_ok=True)
        shutil.rmtree(made)
        # What runs on the disk finds its place for temporary files there.
        (root / "tmp").mkdir()
        yield is_mounted
    finally:
        if is_mounted:
            subprocess.run(["umount", "--lazy", str(root)], check=False)


def _resize(root: Path, disk: _Disk) -> None:
    """No smaller than what it holds: then the next write fails."""
    now = os.statvfs(root)
    blocks = max(disk.blocks, now.f_blocks - now.f_bfree)
    files = max(disk.files, now.f_files - now.f_ffree)
    _mount("-o", f"remount,size={blocks * _BLOCK},nr_inodes={files}", str(root))


@contextmanager
def _noting(folder: Path) -> Iterator[_Levels]:
    """Notes how full the disk is, again and again, until the with block ends."""
    levels, over = _Levels(), threading.Event()

    def note() -> None:
        while not over.is_set():
            levels.note(folder)
            time.sleep(0)

    thread = threading.Thread(target=note, daemon=True)
    thread.start()
    try:
        yield levels
    finally:
        over.set()
        thread.join()


def _mount(*arguments: str) -> bool:
    return subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode == 0
