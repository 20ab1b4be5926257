"""Reads manifest files: every split that they configure, and everything that is wrong in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath

from flows.formats.problems import FileProblem, InputError
from flows.formats.yaml_file import Document, read_documents
from flows.manifests.cross_checks import check_together
from flows.manifests.fields.check import FieldFinding, check_fields, dotted
from flows.manifests.objects import Manifest, ManifestSet, manifests_of
from flows.manifests.registry import KINDS, Kind, kind_of
from flows.manifests.split import ManifestFinding, Severity, Split


@dataclass(frozen=True, slots=True)
class Manifests:
    """What the files hold. files: their names as given; findings are in the order of the files."""

    files: tuple[str, ...]
    objects: tuple[Manifest, ...]
    splits: tuple[Split, ...]
    findings: tuple[ManifestFinding, ...]


def read_manifests(paths: Sequence[FilePath]) -> Manifests:
    """Every file together, because manifests name each other.

    Raises InputError with every file that can't be read: not YAML, or hostile.
    """
    documents: list[Document] = []
    problems: list[FileProblem] = []
    for path in paths:
        try:
            documents += read_documents(path)
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    return manifests_in(documents, tuple(map(str, paths)))


def manifests_in(documents: Iterable[Document], files: tuple[str, ...]) -> Manifests:
    """The splits and findings of documents that are already read."""
    objects = tuple(manifest for document in documents for manifest in manifests_of(document))
    around = ManifestSet(objects)
    splits: list[Split] = []
    findings: list[ManifestFinding] = []
    for manifest in objects:
        kind = kind_of(manifest)
        if kind is None:
            findings += _in_file(manifest, _unknown_group(manifest))
            continue
        findings += _in_file(manifest, _check(manifest, kind, around))
        splits += kind.read_splits(manifest, around)
    for manifest, finding in check_together(around):
        findings += _in_file(manifest, [finding])
    order = {file: place for place, file in enumerate(files)}
    findings.sort(key=lambda item: (order.get(item.file, 0), item.line, item.field, item.message))
    return Manifests(files, objects, tuple(splits), tuple(dict.fromkeys(findings)))


def _check(manifest: Manifest, kind: Kind, around: ManifestSet) -> Iterator[FieldFinding]:
    versions = kind.groups[manifest.group]
    if manifest.version not in versions:
        known = ", ".join(versions)
        message = f"is {manifest.group}/{manifest.version}; {manifest.kind} has {known}"
        yield FieldFinding(("apiVersion",), message)
    yield from check_fields(manifest.data, kind.fields(manifest.version))
    yield from kind.find_problems(manifest, around)


def _unknown_group(manifest: Manifest) -> Iterator[FieldFinding]:
    """A kind that would be read, under an API group that is slightly wrong."""
    kind = KINDS.get(manifest.kind)
    if kind is None:
        return
    for group, versions in kind.groups.items():
        if group.split(".")[-2:] == manifest.group.split(".")[-2:] or not manifest.group:
            written = f"{manifest.group}/{manifest.version}".lstrip("/")
            message = f"is {written or 'empty'}, must be {group}/{versions[0]}; it isn't read"
            yield FieldFinding(("apiVersion",), message, Severity.DOUBT)
            return


def _in_file(manifest: Manifest, findings: Iterable[FieldFinding]) -> Iterator[ManifestFinding]:
    for item in findings:
        yield ManifestFinding(
            manifest.document.file,
            manifest.line(item.path),
            dotted(item.path),
            item.message,
            str(manifest),
            item.severity,
        )
