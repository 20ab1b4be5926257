"""What was published last: what of it is still as it should be needs no second publishing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from dashboards.experiment_view import uid_of
from dashboards.page_templates import page_of
from flows.formats.atomic_file import write_atomically
from flows.publish.marts import Earlier
from flows.spec.experiment import Experiment
from flows.warehouse.connection import open_reader
from flows.warehouse.statements import run
from flows.workspace.paths import Workspace
from flows.workspace.software import software


@dataclass(frozen=True, slots=True)
class Published:
    """What was published, and of what.

    common: a hash of what all of it depends on; experiments: by name, of what its page and
    dashboard do. marts: path of the file; shown: paths that are named to people; files: by path,
    the state of each.
    """

    common: str = ""
    experiments: Mapping[str, str] = field(default_factory=dict)
    marts: str = ""
    shown: Sequence[str] = ()
    files: Mapping[str, str] = field(default_factory=dict)

    def is_of(self, other: Published) -> bool:
        """Whether it was published of the same."""
        return (self.common, self.experiments) == (other.common, other.experiments)

    def is_whole(self) -> bool:
        """Whether every file is as it was written."""
        return all(state == _state(Path(path)) != "" for path, state in self.files.items())

    def stands_for(self, now: Published, workspace: Workspace, experiment: str) -> bool:
        """Whether an experiment's own files need not be written again."""
        paths = [str(path) for path in files_of(workspace, experiment)]
        return (
            self.common == now.common
            and self.experiments.get(experiment) == now.experiments[experiment]
            and paths[0] in self.files
            and all(self.files.get(path, "") == _state(Path(path)) for path in paths)
        )

    def earlier(self, now: Published) -> Earlier | None:
        """The marts that those of now can be made of; None if anything in them may have changed."""
        state = self.files.get(self.marts, "")
        if self.common != now.common or not state or state != _state(Path(self.marts)):
            return None
        changed = [name for name, of in now.experiments.items() if self.experiments.get(name) != of]
        return Earlier(Path(self.marts), changed, len(now.experiments))


def files_of(workspace: Workspace, experiment: str) -> tuple[Path, Path]:
    """An experiment's dashboard and its page, which is there when it was looked at."""
    return (
        workspace.dashboards / f"{uid_of(experiment)}.json",
        workspace.report / page_of(experiment),
    )


def read_published(workspace: Workspace) -> Published:
    """What was published last; nothing where that isn't known."""
    try:
        found = json.loads(_path(workspace).read_text(encoding="utf-8"))
        return Published(**found)
    except (OSError, ValueError, TypeError):
        return Published()


def keep_published(
    workspace: Workspace,
    now: Published,
    *,
    marts: Path,
    shown: Iterable[Path],
    files: Iterable[Path],
) -> Sequence[str]:
    """Notes what is published now, when all of it is in its place; returns what is shown.

    Raises OSError.
    """
    states = {str(path): _state(path) for path in (marts, *files)}
    named = [str(path) for path in shown]
    kept = replace(now, marts=str(marts), shown=named, files=states)
    write_atomically(_path(workspace), json.dumps(asdict(kept)))
    return named


def to_publish(
    workspace: Workspace, specs: Iterable[Experiment], common: Iterable[str]
) -> Published:
    """What is to be published now; common: what all of it depends on beside the warehouse.

    Raises WarehouseBusy or WarehouseUnusable.
    """
    with open_reader(workspace.warehouse) as con:
        known = dict(run(con, "aggregate/published_state").fetchall())
    experiments = {
        spec.experiment: _hash((spec.model_dump_json(), known.pop(spec.experiment, "")))
        for spec in specs
    }
    # What has no spec is in the marts all the same.
    rest = (f"{name} {state}" for name, state in sorted(known.items()))
    return Published(_hash((software(), *sorted(experiments), "", *common, "", *rest)), experiments)


def _hash(facts: Iterable[str]) -> str:
    known = hashlib.sha256()
    for fact in facts:
        known.update(f"{len(fact)} {fact}".encode())
    return known.hexdigest()[:32]


def _path(workspace: Workspace) -> Path:
    return workspace.marts.parent / "published.json"


def _state(path: Path) -> str:
    """Of a file; '' if it isn't there."""
    try:
        status = path.stat()
    except OSError:
        return ""
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"
