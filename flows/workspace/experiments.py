"""Which experiments a command is about: read one by one, for one broken spec stops no other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from flows.formats.problems import InputError, UserError, did_you_mean, file_error
from flows.spec.experiment import Experiment
from flows.spec.read_spec import read_spec
from flows.workspace.paths import Workspace


class NoSpecs(UserError):
    """The folder has no spec at all: is it the right one?"""


@dataclass(frozen=True, slots=True)
class Selection:
    """specs: those that can be read, with their paths; broken: what is wrong with the others."""

    specs: tuple[tuple[Path, Experiment], ...]
    broken: Mapping[str, InputError]

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
        raise NoSpecs(no_specs(folder))
    return found


def select_readable(
    workspace: Workspace, known: Sequence[tuple[Path, Experiment]] = ()
) -> Selection:
    """All experiments, by name; there may be none. known: those that needn't be read again."""
    paths = sorted(workspace.experiments.glob("*.yaml"))
    found = dict(known)
    return _each({path.stem: partial(_read, path, found.get(path)) for path in paths})


def _read(path: Path, known: Experiment | None) -> tuple[Path, Experiment]:
    return path, known or load_spec(path)


def _each(readers: Mapping[str, Callable[[], tuple[Path, Experiment]]]) -> Selection:
    specs: list[tuple[Path, Experiment]] = []
    broken: dict[str, InputError] = {}
    for name, read in readers.items():
        try:
            specs.append(read())
        except InputError as error:
            broken[name] = error
    return Selection(tuple(specs), broken)


def load_spec(path: Path) -> Experiment:
    """The spec in one file, with the split of its manifests. Raises InputError."""
    spec = read_spec(path)
    _check_order(spec, path)
    return _with_configured_split(spec, path) if spec.manifests else spec


def _check_order(spec: Experiment, path: Path) -> None:
    """Raises InputError where `after` names no experiment, or leads back to one it began at."""
    chain, waiting = [spec.experiment], [iter(spec.after)]
    # Each experiment once, however many ways lead to it.
    done: set[str] = set()
    while waiting:
        name = next(waiting[-1], None)
        if name is None:
            waiting.pop()
            done.add(chain.pop())
        elif name in chain:
            circle = " after ".join((*chain[chain.index(name) :], name))
            raise file_error(path, 1, f"is a circle: {circle}; none could begin", "after")
        elif name not in done:
            file = path.parent / f"{name}.yaml"
            if not file.is_file():
                raise file_error(path, 1, f"names {name}: there is no such experiment", "after")
            chain.append(name)
            waiting.append(iter(read_spec(file).after))


def _with_configured_split(spec: Experiment, path: Path) -> Experiment:
    """The spec, its split read from its manifests where it says none itself."""
    # Most specs name no manifests, and a gate should not wait for their reader.
    from flows.manifests.spec_split import split_of_manifests  # noqa: PLC0415

    if spec.split is not None or spec.plan.stages:
        return spec
    split = split_of_manifests(spec, path.parent)
    return spec.model_copy(update={"split": split}) if split else spec


def find_spec(folder: Path, name: str) -> tuple[Path, Experiment]:
    """The spec of one experiment. Raises InputError with the names there are, if it isn't there."""
    path = folder / f"{name}.yaml"
    if path.is_file():
        return path, load_spec(path)
    if path.is_dir():
        raise file_error(path, 1, "is a folder, must be a spec file")
    named = folder / name
    if named.is_dir():
        raise file_error(named, 0, "is a folder; name an experiment, and its folder by --root")
    if named.is_file():
        raise file_error(named, 0, "is no spec: a spec's name ends in .yaml")
    known = sorted(item.stem for item in folder.glob("*.yaml") if item.is_file())
    message = f"there is no experiment {name!r}{did_you_mean(name, known)}"
    listed = f"; known: {', '.join(known)}" if known else f"; {no_specs(folder)}"
    if path.with_suffix(".yml").is_file():
        listed = f"; rename {name}.yml to {name}.yaml"
    raise file_error(folder, 0, message + listed)


def no_specs(folder: Path) -> str:
    """That a folder has no specs, and what to do."""
    other = next((item.name for item in sorted(folder.glob("*.yml"))), None)
    if other:
        return f"{folder} has no specs (*.yaml): rename {other} to {other[:-3]}yaml"
    there = "has no specs (*.yaml)" if folder.is_dir() else "is not there"
    return f"{folder} {there}: run `verdict init`, or name the project's folder by --root"
