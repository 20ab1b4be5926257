"""A disk that is full at any write: one line, and with more room the command ends as ever.

A small tmpfs where one may be mounted; else a limit on the size of files, which the kernel says in
other words.
"""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

from tests.chaos.commands import Ended, start
from tests.chaos.contents import compare
from tests.chaos.jobs import Job
from tests.chaos.tally import Tally
from tests.places import PATIENCE_S

_BLOCK = 4096
_PLENTY = 512 << 20


def fill_often(job: Job, times: int, folder: Path, random_: random.Random) -> Tally:
    """Runs the job's one step on so many disks that are too small, and again with room."""
    tally = Tally(f"full disk: {job.name}")
    undisturbed = folder / "undisturbed"
    job.prepare(undisturbed)
    before = _used(undisturbed / "var")
    wanted = start(undisturbed, job.steps[0].run(undisturbed)).wait(PATIENCE_S)
    if wanted is None:
        tally.fail("hangs", "hangs even with room")
        return tally
    # DuckDB needs more while it writes than in the end.
    largest = 2 * _used(undisturbed / "var")
    for number in range(times):
        root = folder / f"full-{number}"
        job.prepare(root)
        size = random_.randrange(before + _BLOCK, largest, _BLOCK)
        mounted = _mounted(root / "var", size)
        try:
            limit = None if mounted else size // 2
            small = start(root, job.steps[0].run(root), largest_file=limit).wait(PATIENCE_S)
            tally.tried += 1
            _judge(small, wanted, f"with {size} bytes", tally)
            if mounted:
                _mount("-o", f"remount,size={_PLENTY}", str(root / "var"))
            ended = start(root, job.steps[0].run(root)).wait(PATIENCE_S)
            if ended is None or ended.code != wanted.code:
                said = ended.output[-500:] if ended else "hangs"
                tally.fail("other", f"once there is room again: {said}")
            else:
                compare(root, undisturbed, tally)
        finally:
            if mounted:
                subprocess.run(["umount", "--lazy", str(root / "var")], check=False)
        shutil.rmtree(root, ignore_errors=True)
    return tally


def _judge(ended: Ended | None, wanted: Ended, where: str, tally: Tally) -> None:
    """Room was enough, or it is said in a line and the exit code that it wasn't."""
    if ended is None:
        tally.fail("hangs", f"{where}: hangs")
        return
    tally.hear(ended.output, where)
    if ended.code not in {wanted.code, 2}:
        tally.fail("other", f"{where}: ends with {ended.code}: {ended.output[-300:]}")


def _mounted(folder: Path, size: int) -> bool:
    """Whether the folder is now a disk of that size, with what it held."""
    held = folder.with_name("held")
    if folder.exists():
        folder.rename(held)
    folder.mkdir()
    done = _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    if held.exists():
        shutil.copytree(held, folder, dirs_exist_ok=True)
        shutil.rmtree(held)
    return done


def _mount(*arguments: str) -> bool:
    return subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode == 0


def _used(folder: Path) -> int:
    return sum(
        -(-path.stat().st_size // _BLOCK) * _BLOCK for path in folder.rglob("*") if path.is_file()
    )
