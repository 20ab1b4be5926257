"""The jobs that are killed: what they begin with, what they run, and what must be so in the end."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from flows.delivery.deliver import tell
from flows.formats.problems import UserError
from flows.warehouse.connection import open_writer, transaction
from flows.warehouse.delivery_log import DeliveryEventKind
from flows.workspace.paths import Workspace
from tests.builders.delivery_workspace import canary_share, delivery_workspace, events
from tests.builders.manifests import TRAFFIC_SPLIT
from tests.chaos.commands import Command
from tests.chaos.contents import OF_LOOKS
from tests.places import REPOSITORY
from tests.servers.own_process import verdict

AT = "2026-11-23T17:32:28Z"


@dataclass(frozen=True, slots=True)
class Step:
    """One process that may be killed and is begun anew until it ends; before: what a person did."""

    run: Callable[[Path], Callable[[], int]]
    before: Callable[[Path], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class Job:
    """prepare: makes the workspace. again: what is so before a killed step begins anew. facts: what
    must be the same in the end, beside rows and files. may_differ: tables whose rows may not be.
    """

    name: str
    prepare: Callable[[Path], None]
    steps: Sequence[Step]
    again: Callable[[Path], None] = lambda _: None
    facts: Callable[[Path], object] = lambda _: None
    may_differ: Collection[str] = ()


def prepare_demo(names: Sequence[str], root: Path) -> None:
    """A workspace with some of the demo's experiments."""
    root.mkdir()
    (root / "demo").symlink_to(REPOSITORY / "demo")
    (root / "experiments").mkdir()
    for name in names:
        shutil.copy(REPOSITORY / "experiments" / f"{name}.yaml", root / "experiments")


def _verdict(*arguments: str) -> Step:
    return Step(lambda root: Command(root, arguments))


def _create(root: Path) -> int:
    """As a command that writes begins."""
    try:
        with open_writer(Workspace(root).warehouse):
            return 0
    except UserError as error:
        print(error, file=sys.stderr)
        return 2


def _pulled(names: Sequence[str], root: Path) -> None:
    """With looks, so that there is something to publish: taken once, for all beside each other."""
    looked = root.parent / "looked"
    if not looked.exists():
        prepare_demo(names, looked)
        if verdict("--root", looked, "run", "--at", AT).returncode:
            raise RuntimeError("the workspace could not be made")
    shutil.copytree(looked, root, symlinks=True)


def of_data(*names: str) -> list[Job]:
    """First creation, pull, run and publish of some of the demo's experiments."""
    prepare = partial(prepare_demo, names)
    return [
        Job(
            "first creation", partial(prepare_demo, ()), [Step(lambda root: partial(_create, root))]
        ),
        Job("pull", prepare, [_verdict("pull", "--until", AT)]),
        Job("run", prepare, [_verdict("run", "--at", AT)]),
        Job("publish", partial(_pulled, names), [_verdict("publish")]),
    ]


def _time_passes(root: Path) -> None:
    """The lease of the killed controller has run out."""
    warehouse = Workspace(root).warehouse
    if warehouse.exists():
        with open_writer(warehouse) as con, transaction(con):
            con.execute("update delivery_leases set until = until - interval 1 minute")


def _approve(root: Path) -> None:
    tell(Workspace(root), "exam", DeliveryEventKind.APPROVED, "seen elsewhere")


_DELIVER = _verdict("deliver", "exam", "--once")
_TO_THE_END = [_DELIVER, *[Step(_DELIVER.run, _approve)] * 2]


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _to_git(root: Path) -> None:
    _to_envoy(root)
    tree = root / "tree"
    tree.mkdir()
    _git(tree, "init", "-q", "-b", "main")
    _git(tree, "config", "user.name", "Ops")
    _git(tree, "config", "user.email", "ops@example.org")
    (tree / "exam.yaml").write_text(TRAFFIC_SPLIT.replace("weight: 900", "weight: 1000").replace(
        "weight: 100\n", "weight: 0\n"
    ))  # fmt: skip
    _git(tree, "add", "exam.yaml")
    _git(tree, "commit", "-q", "-m", "By hand")
    spec = root / "experiments" / "exam.yaml"
    target = "git: ../tree/exam.yaml, object: TrafficSplit/exam, settle: 1s, "
    target += "names: {stable: exam-stable, canary: exam-canary}"
    spec.write_text(spec.read_text().replace("envoy: ../routes.json", target))


def _to_envoy(root: Path) -> None:
    root.mkdir()
    delivery_workspace(root)


def _envoy_facts(root: Path) -> object:
    """The log, the weight, and how often the file was changed."""
    workspace = Workspace(root)
    changed = json.loads((root / "routes.json").read_text())["version_info"]
    return events(workspace), canary_share(workspace), changed


def _git_facts(root: Path) -> object:
    """The log, the manifest, the number of commits, and whether the tree is clean."""
    tree = root / "tree"
    commits = _git(tree, "rev-list", "--count", "HEAD").strip()
    locks = [path.name for path in (tree / ".git").rglob("*.lock")]
    status = _git(tree, "status", "--porcelain")
    text = (tree / "exam.yaml").read_text()
    return events(Workspace(root)), text, commits, status, locks


def of_deliveries() -> list[Job]:
    """A delivery from its begin to all traffic, to Envoy and to git."""
    return [
        Job("deliver (Envoy)", _to_envoy, _TO_THE_END, _time_passes, _envoy_facts, OF_LOOKS),
        Job("deliver (git)", _to_git, _TO_THE_END, _time_passes, _git_facts, OF_LOOKS),
    ]
