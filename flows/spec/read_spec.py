"""Finds and reads spec files, and says everything that is wrong with them, line by line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from flows.formats.problems import FileProblem, Finding, InputError, file_error
from flows.formats.text_file import read_utf8
from flows.formats.yaml_file import LARGEST_FILE, YamlDocument, parse_yaml
from flows.spec.experiment import Experiment
from flows.spec.metric_templates import SPEC_RULES, with_templates
from flows.spec.recovery import Parts, understand
from flows.spec.rules import check_rules
from flows.spec.strategies import with_strategy


def read_spec(path: Path) -> Experiment:
    """The spec in one file, without its manifests. Raises InputError with every problem it has."""
    document, wrong = with_templates(with_strategy(_read(path)), path)
    parts = understand(document.data, document.texts)
    found = [*parts.findings, *check_rules(parts), *_check_name(parts, path)]
    # A metric whose template can't be read is missing in what is said of all metrics.
    findings = [*wrong, *(one for one in found if not wrong or one.path != ("metrics",))]
    if findings or document.problems or parts.spec is None:
        findings += _missing_manifests(parts, path.parent)
        raise _spec_error(path, document, findings)
    return parts.spec


def _read(path: Path) -> YamlDocument:
    documents = parse_yaml(read_utf8(path, largest=LARGEST_FILE), str(path), SPEC_RULES)
    if not documents or not isinstance(documents[0].data, dict):
        raise file_error(path, 1, "must hold fields such as `experiment:` and `variants:`")
    return replace(documents[0], first_line=1)


def _check_name(parts: Parts, path: Path) -> Iterator[Finding]:
    spec = parts.spec
    if spec is not None and parts.is_sound("experiment") and spec.experiment != path.stem:
        yield Finding(
            ("experiment",),
            f"is {spec.experiment!r}, must be the file's name {path.stem!r}; "
            "rename the file or the experiment",
        )


def _missing_manifests(parts: Parts, folder: Path) -> Iterator[Finding]:
    """Beside other problems: by itself a missing one is named when the manifests are read."""
    for index, name in enumerate(parts.spec.manifests if parts.spec else ()):
        if not (folder / name).is_file():
            message = f"is {name!r}, must be a file, relative to the spec; there is none"
            yield Finding(("manifests", index), message)


def _spec_error(path: Path, document: YamlDocument, findings: Sequence[Finding]) -> InputError:
    found = [
        FileProblem(str(path), document.line(f.path), ".".join(map(str, f.path)), f.message)
        for f in findings
    ]
    # A value that YAML itself can't read is a text to the fields' types, and wrong once more.
    unread = {problem.field for problem in document.problems if problem.message.startswith("is ")}
    others = [problem for problem in found if problem.field not in unread]
    return InputError(list(dict.fromkeys((*document.problems, *others))))
