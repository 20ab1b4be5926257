"""Weights changed by commits: nothing but the digits, and nothing on failure."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from flows.delivery.targets.git_manifest import GitManifest
from flows.delivery.targets.target import (
    NewerController,
    SplitChanged,
    TargetRefused,
    TargetUnavailable,
)
from tests.builders.manifests import BY_KIND, NAMES, TRAFFIC_SPLIT, VIRTUAL_SERVICE

TO = {"stable": 75.0, "canary": 25.0}
OTHERS = "kind: ConfigMap\nmetadata: {name: exam}\n--- # next\n"


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout


def work_tree(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "-q", "-b", "main")
    git(folder, "config", "user.name", "Ops")
    git(folder, "config", "user.email", "ops@example.org")
    return folder


def commit(folder: Path, text: str) -> Path:
    path = folder / "exam.yaml"
    path.write_bytes(text.encode())
    git(folder, "add", "exam.yaml")
    git(folder, "commit", "-q", "-m", "By hand")
    return path


def manifest(path: Path, kind: str = "TrafficSplit", *, push: bool = False) -> GitManifest:
    return GitManifest(path, kind, "exam", NAMES, push)


def shift(target: GitManifest, fence: int = 1) -> None:
    target.shift(TO, fence=fence, expected=target.read().revision, reason="no harm is seen")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return work_tree(tmp_path / "tree")


@pytest.mark.parametrize("line_end", ["\n", "\r\n"], ids=["unix", "dos"])
@pytest.mark.parametrize("kind", BY_KIND)
def test_only_the_weights_digits_change(tree: Path, kind: str, line_end: str) -> None:
    text = (OTHERS + BY_KIND[kind]).replace("\n", line_end)
    target = manifest(commit(tree, text), kind)
    shift(target)
    scaled = text.replace("weight: 900", "weight: 75").replace("weight: 100", "weight: 25")
    wanted = scaled.replace("weight: 90", "weight: 75").replace("weight: 10", "weight: 25")
    assert target.path.read_bytes().decode() == wanted
    assert target.read().weights == TO
    assert git(tree, "status", "--porcelain") == ""


def test_the_commit_says_what_and_why_and_under_which_lease(tree: Path) -> None:
    target = manifest(commit(tree, TRAFFIC_SPLIT))
    shift(target, fence=7)
    said = git(tree, "log", "-1", "--format=%B")
    assert said.startswith("TrafficSplit/exam: stable 75, canary 25\n\nno harm is seen\n")
    assert target.read().fence == 7
    commit(tree, target.path.read_text() + "# by hand\n")
    assert target.read().fence == 7


def test_what_others_have_staged_is_not_committed(tree: Path) -> None:
    target = manifest(commit(tree, TRAFFIC_SPLIT))
    (tree / "other.txt").write_text("not yet")
    git(tree, "add", "other.txt")
    shift(target)
    assert git(tree, "show", "--name-only", "--format=", "HEAD").split() == ["exam.yaml"]
    assert git(tree, "status", "--porcelain") == "A  other.txt\n"


def test_an_old_controller_and_an_old_read_are_refused(tree: Path) -> None:
    target = manifest(commit(tree, TRAFFIC_SPLIT))
    before = target.read().revision
    shift(target, fence=5)
    with pytest.raises(NewerController, match="under lease 5"):
        shift(target, fence=4)
    with pytest.raises(SplitChanged):
        target.shift(TO, fence=6, expected=before, reason="late")


def test_uncommitted_changes_are_never_touched(tree: Path) -> None:
    target = manifest(commit(tree, TRAFFIC_SPLIT))
    edited = TRAFFIC_SPLIT.replace("90", "80")
    target.path.write_text(edited)
    with pytest.raises(TargetRefused, match="aren't committed: commit them first"):
        target.read()
    assert target.path.read_text() == edited


def test_a_hook_that_refuses_leaves_the_file_as_it_was(tree: Path) -> None:
    target = manifest(commit(tree, TRAFFIC_SPLIT))
    hook = tree / ".git" / "hooks" / "pre-commit"
    hook.write_text("#!/bin/sh\necho frozen until Monday >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(TargetRefused, match="git commit fails: frozen until Monday"):
        shift(target)
    assert target.path.read_text() == TRAFFIC_SPLIT
    assert git(tree, "status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("kind: [\n", ":2: is not YAML"),
        ("kind: TrafficSplit\nmetadata: {name: other}\n", "has TrafficSplit/exam not at all"),
        (f"{TRAFFIC_SPLIT}---\n{TRAFFIC_SPLIT}", "has TrafficSplit/exam twice or more"),
        (
            TRAFFIC_SPLIT.replace("    weight: 10\n", "").replace("90 ", "100 "),
            r"exam\.yaml:11: spec\.backends\.1\.weight isn't written out",
        ),
        (
            TRAFFIC_SPLIT.replace("weight: 90", "weight: &w 50").replace(
                "weight: 10", "weight: *w"
            ),
            "can't be changed one by one: write them out",
        ),
    ],
    ids=["broken", "absent", "twice", "no weight", "alias"],
)
def test_a_file_that_cannot_be_edited_is_explained(tree: Path, text: str, problem: str) -> None:
    target = manifest(commit(tree, text))
    with pytest.raises(TargetRefused, match=problem):
        shift(target)
    assert target.path.read_text() == text


def test_a_folder_that_is_no_work_tree_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "exam.yaml"
    path.write_text(TRAFFIC_SPLIT)
    with pytest.raises(TargetRefused, match="git rev-parse fails: fatal: not a git repository"):
        manifest(path).read()


@pytest.fixture
def clones(tmp_path: Path) -> tuple[GitManifest, GitManifest]:
    """Two clones of one remote, both to be pushed."""
    commit(work_tree(tmp_path / "seed"), VIRTUAL_SERVICE)
    git(tmp_path, "clone", "-q", "--bare", "seed", "remote.git")
    found = []
    for name in ("ours", "theirs"):
        git(tmp_path, "clone", "-q", "remote.git", name)
        work_tree(tmp_path / name)
        found.append(manifest(tmp_path / name / "exam.yaml", "VirtualService", push=True))
    return found[0], found[1]


def test_a_shift_is_pushed_and_seen_by_another_clone(
    clones: tuple[GitManifest, GitManifest],
) -> None:
    ours, theirs = clones
    shift(ours, fence=3)
    assert theirs.read().weights == TO
    assert theirs.read().fence == 3


def test_a_push_that_comes_too_late_undoes_its_commit(
    clones: tuple[GitManifest, GitManifest],
) -> None:
    ours, theirs = clones
    before = ours.read()
    shift(theirs)
    with pytest.raises(SplitChanged, match="its branch has moved on"):
        ours.shift(TO, fence=1, expected=before.revision, reason="late")
    assert ours.path.read_text() == VIRTUAL_SERVICE
    assert git(ours.path.parent, "status", "--porcelain") == ""
    assert ours.read().weights == TO  # theirs, pulled


def test_a_remote_that_is_gone_shifts_nothing(clones: tuple[GitManifest, GitManifest]) -> None:
    ours, _ = clones
    before = ours.read()
    remote = ours.path.parent.parent / "remote.git"
    remote.rename(remote.with_name("gone.git"))
    with pytest.raises(TargetUnavailable, match="git push fails"):
        ours.shift(TO, fence=1, expected=before.revision, reason="offline")
    assert ours.path.read_text() == VIRTUAL_SERVICE
    with pytest.raises(TargetUnavailable, match="git pull fails"):
        ours.read()
