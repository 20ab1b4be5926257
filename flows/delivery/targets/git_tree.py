"""A git work tree that one controller at a time changes, and that a kill leaves as it was.

Before anything is changed, a mark outside of the work tree says so; who finds one later takes back
what was half done: git's locks, files that a checkout had half written, what wasn't committed yet.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from flows.delivery.targets.target import TargetRefused, TargetUnavailable
from flows.warehouse.file_lock import LockHeld, file_lock

TIMEOUT_S = 60.0
_TURN = "split-verdict-turn"
_LOCKED = re.compile(r"Unable to create '(.+?\.lock)': File exists")
_PROCESSES = Path("/proc")


@dataclass(frozen=True, slots=True)
class GitTree:
    """The work tree that a file is in. title: what messages call the target."""

    path: Path
    title: str

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keeps other controllers away for the with block; first takes back what a kill left."""
        turn = self._git_path(_TURN)
        try:
            with file_lock(turn, shared=False, deadline=time.monotonic() + TIMEOUT_S) as handle:
                # A git that outlives a killed controller keeps the others waiting.
                os.set_inheritable(handle, True)
                self._take_back()
                yield
        except LockHeld as error:
            raise TargetUnavailable(f"{self.title} is being changed by another process") from error

    @contextmanager
    def changing(self, *texts: bytes) -> Iterator[None]:
        """Marks the with block: texts are what may stand in the file within it, and not after it.

        An exception takes back what is half done, as a later process does after a kill.
        """
        mark = self._mark()
        try:
            mark.write_text("\n".join(map(hash_of, texts)), encoding="ascii")
        except OSError as error:
            raise TargetUnavailable(f"{mark} can't be written: {error.strerror}") from error
        try:
            yield
        except BaseException:
            # What went wrong is what is said; where this fails too, the mark stays for the next.
            with suppress(TargetRefused, TargetUnavailable):
                self._take_back()
            raise
        mark.unlink(missing_ok=True)

    def git(
        self,
        *arguments: str,
        text: str = "",
        otherwise: type[TargetRefused | TargetUnavailable] = TargetRefused,
    ) -> str:
        """What git prints; its own words in the error if it fails."""
        done = self._run(arguments, text.encode())
        if done.returncode:
            said = " ".join((done.stderr or done.stdout).decode(errors="replace").split())
            if locked := _LOCKED.search(said):
                raise TargetUnavailable(
                    f"{self.title}: git's lock {locked[1]} is held, or a git that was killed left "
                    f"it; if no git runs there: rm {shlex.quote(locked[1])}"
                )
            raise otherwise(f"{self.title}: git {arguments[0]} fails: {said}")
        return done.stdout.decode(errors="replace")

    def is_changed(self) -> bool:
        """Whether the file is not as committed."""
        return bool(self.git("status", "--porcelain", "--", str(self.path)).strip())

    def write(self, content: bytes) -> None:
        """Replaces the file. Raises TargetUnavailable."""
        partial = self._partial()
        try:
            partial.write_bytes(content)
            partial.chmod(self.path.stat().st_mode)
            partial.rename(self.path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise TargetUnavailable(f"{self.path} can't be written: {error.strerror}") from error

    def _take_back(self) -> None:
        """Makes the work tree what it was before the change that a mark tells of."""
        mark = self._mark()
        try:
            began, hashes = mark.stat().st_mtime, mark.read_text(encoding="ascii").split()
        except OSError:
            return
        top = Path(self.git("rev-parse", "--show-toplevel").rstrip("\n"))
        self._remove_locks(began, top)
        self._partial().unlink(missing_ok=True)
        ours = os.path.relpath(self.path.resolve(), top)
        upstream = self._run(("rev-parse", "--verify", "-q", "@{upstream}"), b"").returncode == 0
        pulled = (
            self.git("diff", "--name-only", "--no-renames", "-z", "HEAD", "@{upstream}")
            if (upstream)
            else ""
        )
        for name in {ours, *filter(None, pulled.split("\0"))}:
            versions = [self._blob("@{upstream}", name)] if upstream else []
            content = _content_of(top / name)
            if name == ours and content is not None and hash_of(content) in hashes:
                versions.append(content)
            self._restore(top, name, content, versions)
        mark.unlink(missing_ok=True)

    def _restore(
        self, top: Path, name: str, content: bytes | None, versions: list[bytes | None]
    ) -> None:
        """Brings a committed version back, if the file is the beginning of one of these."""
        committed = self._blob("HEAD", name)
        whole = [each for each in (committed, *versions) if each is not None]
        if content is not None and not any(each.startswith(content) for each in whole):
            return
        if not self.git("-C", str(top), "status", "--porcelain", "--", name):
            return
        self.git("-C", str(top), "reset", "--quiet", "HEAD", "--", name)
        if committed is not None:
            self.git("-C", str(top), "restore", "--", name)
        elif content is not None:
            (top / name).unlink()

    def _remove_locks(self, since: float, top: Path) -> None:
        """Removes git's locks of that time on; nobody of ours is at work. Leaves a person's git."""
        folders = {self._git_path("."), self._git_path("refs").parent}
        found = [
            lock
            for folder in folders
            for lock in (*folder.glob("*.lock"), *folder.glob("refs/**/*.lock"))
            if lock.stat().st_mtime >= since
        ]
        if found and _is_git_at_work(top):
            raise TargetUnavailable(f"{self.title}: another git is at work there; try again later")
        for lock in found:
            lock.unlink(missing_ok=True)

    def _blob(self, revision: str, name: str) -> bytes | None:
        done = self._run(("cat-file", "blob", f"{revision}:{name}"), b"")
        return None if done.returncode else done.stdout

    def _mark(self) -> Path:
        """Outside of the work tree, one for each file."""
        return self._git_path(f"split-verdict-{hash_of(os.fsencode(self.path.resolve()))}")

    def _git_path(self, name: str) -> Path:
        return self.path.parent / self.git("rev-parse", "--git-path", name).rstrip("\n")

    def _partial(self) -> Path:
        return self.path.with_name(f".{self.path.name}.partial")

    def _run(self, arguments: tuple[str, ...], text: bytes) -> subprocess.CompletedProcess[bytes]:
        folder = self.path.parent
        if not folder.is_dir():
            raise TargetRefused(f"{folder} is not a folder")
        # No work in the background: it would keep the handle, and with it the lock.
        alone = ("-c", "gc.auto=0", "-c", "maintenance.auto=false", "-c", "core.fsmonitor=false")
        # Nobody is there to type a password; and what only reads leaves no lock.
        surroundings = {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
        command = ["git", "-C", str(folder), *alone, *arguments]
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                close_fds=False,
                env=os.environ | surroundings,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise TargetRefused("the program git is not installed") from error
        with process:
            try:
                out, said = process.communicate(text, TIMEOUT_S)
            except BaseException as error:
                # With its hooks and helpers: nobody else would end them.
                os.killpg(process.pid, signal.SIGKILL)
                if isinstance(error, subprocess.TimeoutExpired):
                    told = f"git {arguments[0]} took over {TIMEOUT_S:g} s: does a hook hang?"
                    raise TargetUnavailable(told) from error
                raise
        return subprocess.CompletedProcess(command, process.returncode, out, said)


def hash_of(content: bytes) -> str:
    """Tells two texts apart."""
    return hashlib.sha256(content).hexdigest()[:16]


def _content_of(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _is_git_at_work(top: Path) -> bool:
    """Whether a git runs in the work tree, as far as can be seen; True where nothing can."""
    if not _PROCESSES.is_dir():
        return True
    for entry in _PROCESSES.glob("[0-9]*"):
        with suppress(OSError):
            is_git = (entry / "comm").read_text().startswith("git")
            if is_git and (entry / "cwd").readlink().is_relative_to(top):
                return True
    return False
