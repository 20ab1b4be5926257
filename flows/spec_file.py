"""Finds and reads spec files, and says everything that is wrong with them, line by line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from flows.spec import Experiment
from flows.spec_document import Document, read_document
from flows.spec_finding import Finding, did_you_mean
from flows.spec_parts import Parts, understand
from flows.spec_problem import Problem, SpecError
from flows.spec_rules import check_rules

__all__ = ["Problem", "SpecError", "find_spec", "load_spec"]


def load_spec(path: Path) -> Experiment:
    """The spec in one file. Raises SpecError with every problem that it has."""
    document = read_document(path)
    parts = understand(document.data, document.texts)
    findings = [*parts.findings, *check_rules(parts), *_check_name(parts, path)]
    if findings or document.problems or parts.spec is None:
        findings += _missing_manifests(parts, path.parent)
        raise _spec_error(path, document, findings)
    return _with_configured_split(parts.spec, path) if parts.spec.manifests else parts.spec


def _check_name(parts: Parts, path: Path) -> Iterator[Finding]:
    spec = parts.spec
    if spec is not None and parts.is_sound("experiment") and spec.experiment != path.stem:
        yield Finding(
            ("experiment",),
            f"is {spec.experiment!r}, must be the file's name {path.stem!r}, "
            "so that it is found by one guess",
        )


def _missing_manifests(parts: Parts, folder: Path) -> Iterator[Finding]:
    """Beside other problems: by itself a missing one is named when the manifests are read."""
    for index, name in enumerate(parts.spec.manifests if parts.spec else ()):
        if not (folder / name).is_file():
            message = f"is {name!r}, must be a file, relative to the spec; there is none"
            yield Finding(("manifests", index), message)


def _with_configured_split(spec: Experiment, path: Path) -> Experiment:
    """The spec, its split read from its manifests where it says none itself."""
    # Most specs name no manifests, and a gate should not wait for their reader.
    from flows.manifests.configured import split_of_manifests  # noqa: PLC0415

    if spec.split is not None or spec.plan.stages:
        return spec
    split = split_of_manifests(spec, path.parent)
    return spec.model_copy(update={"split": split}) if split else spec


def find_spec(folder: Path, name: str) -> tuple[Path, Experiment]:
    """The spec of one experiment. Raises SpecError with the names there are, if it isn't there."""
    path = folder / f"{name}.yaml"
    if path.is_file():
        return path, load_spec(path)
    if path.is_dir():
        raise SpecError([Problem(str(path), 1, "", "is a folder, must be a spec file")])
    known = sorted(item.stem for item in folder.glob("*.yaml") if item.is_file())
    message = f"there is no experiment {name!r}{did_you_mean(name, known)}"
    listed = f"; there are {', '.join(known)}" if known else f"; {folder} has no specs (*.yaml)"
    raise SpecError([Problem(str(folder), 1, "", message + listed)])


def _spec_error(path: Path, document: Document, findings: Sequence[Finding]) -> SpecError:
    found = [
        Problem(str(path), document.line(f.path), ".".join(map(str, f.path)), f.message)
        for f in findings
    ]
    # A value that YAML itself can't read is a text to the fields' types, and wrong once more.
    unread = {problem.field for problem in document.problems if problem.message.startswith("is ")}
    others = [problem for problem in found if problem.field not in unread]
    return SpecError(list(dict.fromkeys((*document.problems, *others))))
