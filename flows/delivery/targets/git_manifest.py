"""Weights in a manifest in a git work tree: a shift is a commit, which a GitOps agent applies."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flows.delivery.targets.manifest_weights import changed_weights, read_weights
from flows.delivery.targets.target import (
    AppliedSplit,
    SplitChanged,
    TargetRefused,
    TargetUnavailable,
)
from flows.delivery.targets.yaml_edit import find_manifest, replace_numbers

_FENCE = "Split-Verdict-Fence"
_TIMEOUT_S = 60.0
# Shifts of one file that are looked through for the highest fence.
_RECENT = "200"


@dataclass(frozen=True, slots=True)
class GitManifest:
    """One object in one file of a work tree.

    names: what the object calls the variants. push: to the branch's upstream, which is then also
    pulled from before each read (fast-forward only).
    """

    path: Path
    kind: str
    name: str
    names: Mapping[str, str]
    push: bool = False

    @property
    def title(self) -> str:
        """The target in words."""
        return f"{self.kind}/{self.name} in {self.path}"

    def read(self) -> AppliedSplit:
        """The split as committed. Raises TargetUnavailable or TargetRefused."""
        if self.push:
            self._text()
            self._take_back_unpushed()
            self._git("pull", "--quiet", "--ff-only", otherwise=TargetUnavailable)
        return self._split(self._text())

    def shift(
        self, weights: Mapping[str, float], *, fence: int, expected: str, reason: str
    ) -> AppliedSplit:
        """Changes the weights' digits in the file, and commits that; see TrafficTarget.shift."""
        old = self._text()
        now = self._split(old)
        now.check(self.title, fence=fence, expected=expected)
        # A commit on no branch is seen by nobody.
        self._git("symbolic-ref", "HEAD")
        manifest = find_manifest(old, self.kind, self.name, self.path)
        numbers = changed_weights(manifest.data, self.names, weights)
        new = replace_numbers(old, manifest, numbers, self.path)
        shown = ", ".join(f"{name} {weight:g}" for name, weight in weights.items())
        message = f"{self.kind}/{self.name}: {shown}\n\n{reason}\n\n{_FENCE}: {fence}\n"
        if new == old and now.fence == fence:
            return now
        mark = self._mark()
        try:
            mark.write_text(_hash(new), encoding="ascii")
        except OSError as error:
            raise TargetUnavailable(f"{mark} can't be written: {error.strerror}") from error
        self._write(new)
        try:
            # Under a newer lease the same weights are committed, too: the commit keeps the fence.
            options = ("--quiet", "--allow-empty", "--only", "--file=-")
            self._git("commit", *options, "--", str(self.path), text=message)
        except (TargetRefused, TargetUnavailable):
            self._write(old)
            raise
        finally:
            mark.unlink(missing_ok=True)
        if self.push:
            self._push(old)
        return self._split(new)

    def _push(self, old: str) -> None:
        try:
            self._git("push", "--quiet", otherwise=TargetUnavailable)
        except TargetUnavailable as error:
            # The commit must not go out later, with another one: nothing was shifted.
            self._take_back()
            self._write(old)
            if "[remote rejected]" in str(error):
                raise TargetRefused(str(error)) from error
            if "[rejected]" in str(error):
                raise SplitChanged(f"{self.title}: its branch has moved on ({error})") from error
            raise

    def _take_back_unpushed(self) -> None:
        """Undoes a shift whose controller was killed before the push: it never came about."""
        ahead = self._git("rev-list", "@{upstream}..HEAD").split()
        if not ahead:
            return
        trailer = f"--format=%(trailers:key={_FENCE},valueonly,separator=%x20)"
        ours = self._git("log", "-1", trailer, "HEAD~1..HEAD", "--", str(self.path)).strip()
        if len(ahead) > 1 or not ours:
            raise TargetUnavailable(
                f"{self.title}: its branch has commits that aren't pushed ({len(ahead)}) and "
                "aren't this delivery's: push them, or give the delivery a clone of its own"
            )
        self._take_back()
        self._git("restore", "--", str(self.path))

    def _take_back(self) -> None:
        self._git("reset", "--quiet", "--soft", "HEAD~1")
        self._git("restore", "--staged", "--", str(self.path))

    def _split(self, text: str) -> AppliedSplit:
        manifest = find_manifest(text, self.kind, self.name, self.path)
        return AppliedSplit(read_weights(manifest.data, self.names), self._fence(), _hash(text))

    def _fence(self) -> int:
        """The highest number in the recent commits of the file."""
        trailer = f"--format=%(trailers:key={_FENCE},valueonly,separator=%x20)"
        found = self._git("log", f"-n{_RECENT}", trailer, "--", str(self.path)).split()
        return max((int(number) for number in found if number.isdigit()), default=0)

    def _text(self) -> str:
        """The file as committed; raises TargetRefused if it isn't."""
        if self._is_changed() and not self._is_taken_back():
            raise TargetRefused(f"{self.path} has changes that aren't committed: commit them first")
        try:
            # As bytes, so that line ends stay what they are.
            return self.path.read_bytes().decode("utf-8")
        except OSError as error:
            raise TargetRefused(f"{self.path} can't be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise TargetRefused(f"{self.path}: byte {error.start} is not UTF-8") from error

    def _is_changed(self) -> bool:
        return bool(self._git("status", "--porcelain", "--", str(self.path)).strip())

    def _is_taken_back(self) -> bool:
        """Takes back what a controller wrote that was killed before it could commit."""
        mark = self._mark()
        try:
            if mark.read_text(encoding="ascii") != _hash(self.path.read_bytes().decode()):
                return False
        except (OSError, UnicodeDecodeError):
            return False
        self._git("restore", "--staged", "--worktree", "--", str(self.path))
        mark.unlink()
        return True

    def _mark(self) -> Path:
        """Holds the hash of the text that is being committed, outside of the work tree."""
        name = f"split-verdict-{_hash(str(self.path.resolve()))}"
        return self.path.parent / self._git("rev-parse", "--git-path", name).strip()

    def _write(self, text: str) -> None:
        partial = self.path.with_name(f".{self.path.name}.partial")
        try:
            partial.write_bytes(text.encode())
            partial.chmod(self.path.stat().st_mode)
            partial.rename(self.path)
        except OSError as error:
            raise TargetUnavailable(f"{self.path} can't be written: {error.strerror}") from error

    def _git(
        self,
        *arguments: str,
        text: str = "",
        otherwise: type[TargetRefused | TargetUnavailable] = TargetRefused,
    ) -> str:
        """What git prints; its own words in the error if it fails."""
        folder = self.path.parent
        if not folder.is_dir():
            raise TargetRefused(f"{folder} is no folder")
        try:
            done = subprocess.run(
                ["git", "-C", str(folder), *arguments],
                input=text,
                capture_output=True,
                text=True,
                check=False,
                timeout=_TIMEOUT_S,
                # Nobody is there to type a password.
                env={**os.environ, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"},
            )
        except FileNotFoundError as error:
            raise TargetRefused("the program git is not installed") from error
        except subprocess.TimeoutExpired as error:
            raise TargetUnavailable(f"git {arguments[0]} took over {_TIMEOUT_S:g} s") from error
        if done.returncode:
            said = " ".join((done.stderr or done.stdout).split())
            raise otherwise(f"{self.title}: git {arguments[0]} fails: {said}")
        return done.stdout


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
