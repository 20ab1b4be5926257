"""Commits that stop halfway, and work trees in a state that hides them."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from flows.delivery.targets import git_tree
from flows.delivery.targets.git_manifest import GitManifest
from flows.delivery.targets.target import TargetRefused, TargetUnavailable
from tests.builders.manifests import NAMES, TRAFFIC_SPLIT, VIRTUAL_SERVICE
from tests.flows.delivery.targets.test_git_manifest import (
    TO,
    commit,
    git,
    manifest,
    shift,
    work_tree,
)
from tests.lab.processes import wait_until
from tests.places import at_load

# A controller that dies when its shift is committed, but not yet pushed.
_KILLED = """
import os, signal, sys
from pathlib import Path
from flows.delivery.targets.git_manifest import GitManifest
GitManifest._push = lambda self: os.kill(os.getpid(), signal.SIGKILL)
names = {"stable": "exam-stable", "canary": "exam-canary"}
found = GitManifest(Path(sys.argv[1]), "VirtualService", "exam", names, True)
found.shift({"stable": 75, "canary": 25}, fence=4, expected=found.read().revision, reason="-")
"""


# One that dies when the file is written, but not yet committed.
_KILLED_EARLY = """
import os, signal, sys
from pathlib import Path
from flows.delivery.targets.git_manifest import GitManifest
from flows.delivery.targets.git_tree import GitTree
write = GitTree.write
GitTree.write = lambda self, text: (write(self, text), os.kill(os.getpid(), signal.SIGKILL))
names = {"stable": "exam-stable", "canary": "exam-canary"}
found = GitManifest(Path(sys.argv[1]), "TrafficSplit", "exam", names)
found.shift({"stable": 75, "canary": 25}, fence=4, expected=found.read().revision, reason="-")
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return work_tree(tmp_path / "tree")


@pytest.fixture
def pushed(tmp_path: Path) -> GitManifest:
    commit(work_tree(tmp_path / "seed"), VIRTUAL_SERVICE)
    git(tmp_path, "clone", "-q", "--bare", "seed", "remote.git")
    git(tmp_path, "clone", "-q", "remote.git", "clone")
    return manifest(work_tree(tmp_path / "clone") / "exam.yaml", "VirtualService", push=True)


def test_the_same_shift_again_makes_no_commit(tree: Path) -> None:
    target = manifest(commit(tree, TRAFFIC_SPLIT))
    shift(target)
    before = git(tree, "rev-parse", "HEAD")
    shift(target)
    assert git(tree, "rev-parse", "HEAD") == before


def test_a_newer_lease_is_kept_even_if_the_weights_stay(tree: Path) -> None:
    target = manifest(commit(tree, TRAFFIC_SPLIT))
    shift(target, fence=1)
    text = target.path.read_text()
    target.shift(TO, fence=2, expected=target.read().revision, reason="resumed")
    assert target.path.read_text() == text
    assert (
        git(tree, "log", "-1", "--format=%(trailers:key=Split-Verdict-Fence,valueonly)")[0] == "2"
    )


def test_a_commit_on_no_branch_is_refused(tree: Path) -> None:
    target = manifest(commit(tree, TRAFFIC_SPLIT))
    git(tree, "checkout", "-q", "--detach")
    with pytest.raises(
        TargetRefused, match="symbolic-ref fails: fatal: ref HEAD is not a symbolic"
    ):
        shift(target)
    assert target.path.read_text() == TRAFFIC_SPLIT


def test_without_an_identity_git_says_what_to_set(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = manifest(commit(tree, TRAFFIC_SPLIT))
    for name in ("user.name", "user.email"):
        git(tree, "config", "--unset", name)
    git(tree, "config", "user.useConfigOnly", "true")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    for name in ("EMAIL", "GIT_AUTHOR_EMAIL", "GIT_AUTHOR_NAME"):
        monkeypatch.delenv(name, raising=False)
    for name in ("GIT_COMMITTER_EMAIL", "GIT_COMMITTER_NAME"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(TargetRefused, match=r"git commit fails: .*user\.email"):
        shift(target)
    assert target.path.read_text() == TRAFFIC_SPLIT
    assert git(tree, "status", "--porcelain") == ""


def test_a_file_that_is_not_tracked_is_refused(tree: Path) -> None:
    commit(tree, TRAFFIC_SPLIT)
    (tree / "new.yaml").write_text(TRAFFIC_SPLIT)
    with pytest.raises(TargetRefused, match="aren't committed: commit them first"):
        GitManifest(tree / "new.yaml", "TrafficSplit", "exam", NAMES).read()


def test_a_binary_file_is_explained(tree: Path) -> None:
    path = commit(tree, TRAFFIC_SPLIT)
    path.write_bytes(b"\x7fELF\xff")
    git(tree, "commit", "-q", "-am", "By mistake")
    with pytest.raises(TargetRefused, match=r"exam\.yaml: byte 4 is not UTF-8"):
        manifest(path).read()


def test_a_branch_that_the_remote_protects_is_no_race(pushed: GitManifest) -> None:
    hook = pushed.path.parent.parent / "remote.git" / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho this branch is protected >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(TargetRefused, match="this branch is protected"):
        shift(pushed)
    assert pushed.path.read_text() == VIRTUAL_SERVICE
    assert pushed.read().fence == 0


@pytest.mark.parametrize("how", [("branch", "--unset-upstream"), ("switch", "-q", "-c", "new")])
def test_a_branch_without_an_upstream_is_told(pushed: GitManifest, how: tuple[str, ...]) -> None:
    git(pushed.path.parent, *how)
    with pytest.raises(TargetRefused, match="has no upstream to push to: git push -u"):
        pushed.read()


def test_a_shift_killed_before_its_push_never_came_about(pushed: GitManifest) -> None:
    done = subprocess.run([sys.executable, "-c", _KILLED, str(pushed.path)], check=False)
    assert done.returncode == -signal.SIGKILL
    again = pushed.read()
    assert (again.weights, again.fence) == ({"stable": 90.0, "canary": 10.0}, 0)
    assert git(pushed.path.parent, "status", "--porcelain") == ""
    shift(pushed, fence=5)
    assert git(pushed.path.parent, "log", "--format=%s", "@{upstream}").count("VirtualService") == 1


def test_other_peoples_unpushed_commits_are_not_touched(pushed: GitManifest) -> None:
    tree = pushed.path.parent
    (tree / "other.txt").write_text("mine")
    git(tree, "add", "other.txt")
    git(tree, "commit", "-q", "-m", "Mine")
    before = git(tree, "rev-parse", "HEAD")
    with pytest.raises(TargetUnavailable, match="give the delivery a clone of its own"):
        pushed.read()
    assert git(tree, "rev-parse", "HEAD") == before


def test_another_deliverys_commit_on_its_way_is_not_touched(pushed: GitManifest) -> None:
    tree = pushed.path.parent
    (tree / "other.yaml").write_text(TRAFFIC_SPLIT)
    git(tree, "add", "other.yaml")
    git(tree, "commit", "-q", "-m", "Other\n\nSplit-Verdict-Fence: 3")
    before = git(tree, "rev-parse", "HEAD")
    with pytest.raises(TargetUnavailable, match="aren't this delivery's"):
        pushed.read()
    assert git(tree, "rev-parse", "HEAD") == before


def test_a_shift_killed_before_its_commit_is_taken_back(tree: Path) -> None:
    target = manifest(commit(tree, TRAFFIC_SPLIT))
    done = subprocess.run([sys.executable, "-c", _KILLED_EARLY, str(target.path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert target.path.read_text() != TRAFFIC_SPLIT
    assert target.read().weights == {"stable": 90.0, "canary": 10.0}
    assert target.path.read_text() == TRAFFIC_SPLIT
    shift(target, fence=5)
    assert target.read().weights == TO


def test_what_a_person_wrote_after_such_a_kill_is_kept(tree: Path) -> None:
    target = manifest(commit(tree, TRAFFIC_SPLIT))
    subprocess.run([sys.executable, "-c", _KILLED_EARLY, str(target.path)], check=False)
    edited = target.path.read_text() + "# by hand\n"
    target.path.write_text(edited)
    with pytest.raises(TargetRefused, match="aren't committed"):
        target.read()
    assert target.path.read_text() == edited


def test_a_lock_that_is_not_ours_is_left_and_the_one_command_said(tree: Path) -> None:
    target = manifest(commit(tree, TRAFFIC_SPLIT))
    lock = tree / ".git" / "index.lock"
    lock.touch()
    with pytest.raises(TargetUnavailable, match=f"if no git runs there: rm {lock}$"):
        shift(target)
    assert target.path.read_text() == TRAFFIC_SPLIT
    lock.unlink()
    shift(target)
    assert target.read().weights == TO


@pytest.mark.parametrize("left", ["", "kind: Tr", None], ids=["empty", "half", "gone"])
def test_what_a_killed_checkout_left_is_taken_back(tree: Path, left: str | None) -> None:
    target = manifest(commit(tree, TRAFFIC_SPLIT))
    subprocess.run([sys.executable, "-c", _KILLED_EARLY, str(target.path)], check=False)
    for name in ("index.lock", "HEAD.lock", "refs/heads/main.lock", "next-index-7.lock"):
        (tree / ".git" / name).touch()
    target.path.unlink()
    if left is not None:
        target.path.write_text(TRAFFIC_SPLIT[: len(left)])
    assert target.read().weights == {"stable": 90.0, "canary": 10.0}
    assert git(tree, "status", "--porcelain") == ""
    assert not list((tree / ".git").rglob("*.lock"))
    shift(target)


@pytest.mark.parametrize("push", [False, True])
def test_a_kill_at_any_instant_needs_no_person(pushed: GitManifest, push: bool) -> None:
    """Controller and gits are killed together, as by the end of a container."""
    target = replace(pushed, push=push)
    chance = random.Random(3)
    tree, other = target.path.parent, target.path.parent.parent / "other"
    git(other.parent, "clone", "-q", "remote.git", "other")
    work_tree(other)
    kills = 0
    for number in range(1, 9):
        if push:
            # So that a read has something to pull.
            (other / f"new-{number}").write_text("x" * 200_000)
            (other / "changing").write_text(f"{number}\n" * 100_000)
            git(other, "pull", "-q")
            git(other, "add", ".")
            git(other, "commit", "-q", "-m", f"Other {number}")
            git(other, "push", "-q")
        child = os.fork()
        if child == 0:
            os.setsid()
            to = {"stable": 100.0 - number, "canary": float(number)}
            expected = target.read().revision
            target.shift(to, fence=number, expected=expected, reason="-")
            os._exit(0)
        time.sleep(chance.uniform(0.01, 0.12))
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        kills += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        found = target.read()
        assert found.weights["stable"] + found.weights["canary"] == 100
        assert git(tree, "status", "--porcelain") == ""
        assert not list((tree / ".git").rglob("*.lock"))
    assert kills > 1
    target.shift(TO, fence=99, expected=target.read().revision, reason="-")
    assert target.read().weights == TO


def test_a_hook_that_hangs_ends_with_its_git(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = manifest(commit(tree, TRAFFIC_SPLIT))
    hook = tree / ".git" / "hooks" / "prepare-commit-msg"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nsleep 60 & echo $! > .git/child; wait\n")
    hook.chmod(0o755)
    monkeypatch.setattr(git_tree, "TIMEOUT_S", at_load(1.0))
    with pytest.raises(TargetUnavailable, match=r"git commit took over .*: does a hook hang"):
        shift(target)
    child = int((tree / ".git" / "child").read_text())
    wait_until(lambda: not _is_alive(child), what="the end of the hook's child")
    hook.unlink()
    shift(target)
    assert target.read().weights == TO


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
