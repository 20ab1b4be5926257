"""Weights in a manifest in a git work tree: a shift is a commit, which a GitOps agent applies."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flows.delivery.targets.git_tree import GitTree, hash_of
from flows.delivery.targets.manifest_weights import changed_weights, read_weights
from flows.delivery.targets.target import (
    ALL_ROUTES,
    AppliedSplit,
    ShiftedRoutes,
    SplitChanged,
    TargetRefused,
    TargetUnavailable,
)
from flows.delivery.targets.yaml_edit import find_manifest, replace_numbers

_FENCE = "Split-Verdict-Fence"
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
    routes: ShiftedRoutes = ALL_ROUTES

    @property
    def title(self) -> str:
        """The target in words."""
        return f"{self.kind}/{self.name} in {self.path}"

    def read(self) -> AppliedSplit:
        """The split as committed. Raises TargetUnavailable or TargetRefused."""
        with self._tree.alone():
            if self.push:
                text = self._text()
                with self._tree.changing(text.encode()):
                    self._take_back_unpushed()
                    self._git("pull", "--quiet", "--ff-only", otherwise=TargetUnavailable)
            return self._split(self._text())

    def shift(
        self, weights: Mapping[str, float], *, fence: int, expected: str, reason: str
    ) -> AppliedSplit:
        """Changes the weights' digits in the file, and commits that; see TrafficTarget.shift."""
        with self._tree.alone():
            old = self._text()
            now = self._split(old)
            now.check(self.title, fence=fence, expected=expected)
            # A commit on no branch is seen by nobody.
            self._git("symbolic-ref", "HEAD")
            manifest = find_manifest(old, self.kind, self.name, self.path)
            numbers = changed_weights(manifest.data, self.names, weights, self.routes)
            new = replace_numbers(old, manifest, numbers, self.path)
            if new == old and now.fence == fence:
                return now
            shown = ", ".join(f"{name} {weight:g}" for name, weight in weights.items())
            message = f"{self.kind}/{self.name}: {shown}\n\n{reason}\n\n{_FENCE}: {fence}\n"
            with self._tree.changing(new.encode()):
                self._tree.write(new.encode())
                # Under a newer lease the same weights are committed, too: it keeps the fence.
                options = ("--quiet", "--allow-empty", "--only", "--file=-")
                try:
                    self._git("commit", *options, "--", str(self.path), text=message)
                except (TargetRefused, TargetUnavailable):
                    self._tree.write(old.encode())
                    raise
                if self.push:
                    self._push()
            return self._split(new)

    def _push(self) -> None:
        try:
            self._git("push", "--quiet", otherwise=TargetUnavailable)
        except TargetUnavailable as error:
            # The commit must not go out later, with another one: nothing was shifted.
            self._take_back()
            if "[remote rejected]" in str(error):
                raise TargetRefused(str(error)) from error
            if "[rejected]" in str(error):
                raise SplitChanged(f"{self.title}: its branch has moved on ({error})") from error
            raise

    def _take_back_unpushed(self) -> None:
        """Undoes a shift whose controller was killed before the push: it never came about."""
        try:
            ahead = self._git("rev-list", "@{upstream}..HEAD").split()
        except TargetRefused as error:
            # In a path, the word alone says nothing.
            if not any(said in str(error) for said in ("@{upstream}", "no upstream configured")):
                raise
            raise TargetRefused(
                f"{self.title}: its branch has no upstream to push to: git push -u REMOTE BRANCH, "
                "or leave out push"
            ) from error
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

    def _take_back(self) -> None:
        self._git("reset", "--quiet", "--soft", "HEAD~1")
        self._git("restore", "--staged", "--worktree", "--", str(self.path))

    def _split(self, text: str) -> AppliedSplit:
        manifest = find_manifest(text, self.kind, self.name, self.path)
        weights = read_weights(manifest.data, self.names, self.routes)
        return AppliedSplit(weights, self._fence(), hash_of(text.encode()))

    def _fence(self) -> int:
        """The highest number in the recent commits of the file."""
        trailer = f"--format=%(trailers:key={_FENCE},valueonly,separator=%x20)"
        found = self._git("log", f"-n{_RECENT}", trailer, "--", str(self.path)).split()
        return max((int(number) for number in found if number.isdigit()), default=0)

    def _text(self) -> str:
        """The file as committed; raises TargetRefused if it isn't."""
        if self._tree.is_changed():
            folder, name = shlex.quote(str(self.path.parent)), shlex.quote(self.path.name)
            raise TargetRefused(
                f"{self.path} has changes that aren't committed: commit them first, or take them "
                f"back: git -C {folder} restore --staged --worktree {name}"
            )
        try:
            # As bytes, so that line ends stay what they are.
            return self.path.read_bytes().decode("utf-8")
        except OSError as error:
            raise TargetRefused(f"{self.path} can't be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise TargetRefused(f"{self.path}: byte {error.start} is not UTF-8") from error

    @property
    def _tree(self) -> GitTree:
        return GitTree(self.path, self.title)

    def _git(
        self,
        *arguments: str,
        text: str = "",
        otherwise: type[TargetRefused | TargetUnavailable] = TargetRefused,
    ) -> str:
        return self._tree.git(*arguments, text=text, otherwise=otherwise)
