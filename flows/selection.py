"""Which experiments a command is about: read one by one, for one broken spec stops no other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from flows.spec import Experiment
from flows.spec_file import SpecError, find_spec, load_spec
from flows.workspace import Workspace


class NoSpecs(Exception):
    """The folder has no spec at all: is it the right one?"""


@dataclass(frozen=True, slots=True)
class Selection:
    """specs: those that can be read, with their paths; broken: what is wrong with the others."""

    specs: tuple[tuple[Path, Experiment], ...]
    broken: Mapping[str, SpecError]

    @property
    def experiments(self) -> list[Experiment]:
        """The specs without their paths."""
        return [spec for _, spec in self.specs]

    @property
    def problems(self) -> list[str]:
        """Everything that is wrong with the broken ones, a line each."""
        return [str(problem) for error in self.broken.values() for problem in error.problems]


def select(workspace: Workspace, names: Sequence[str] = ()) -> Selection:
    """The named experiments, each once, or all of them. Raises NoSpecs if there is none."""
    folder = workspace.experiments
    if names:
        return _each({name: partial(find_spec, folder, name) for name in names})
    found = select_readable(workspace)
    if not (found.specs or found.broken):
        raise NoSpecs(f"{folder} has no specs (*.yaml)")
    return found


def select_readable(workspace: Workspace) -> Selection:
    """All experiments, by name; there may be none."""
    paths = sorted(workspace.experiments.glob("*.yaml"))
    return _each({path.stem: partial(_read, path) for path in paths})


def _read(path: Path) -> tuple[Path, Experiment]:
    return path, load_spec(path)


def _each(readers: Mapping[str, Callable[[], tuple[Path, Experiment]]]) -> Selection:
    specs: list[tuple[Path, Experiment]] = []
    broken: dict[str, SpecError] = {}
    for name, read in readers.items():
        try:
            specs.append(read())
        except SpecError as error:
            broken[name] = error
    return Selection(tuple(specs), broken)
