"""Reads manifest files: every split that they configure, and everything that is wrong in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path as FilePath

from flows.formats.problems import FileProblem, InputError
from flows.formats.yaml_file import YamlDocument, read_documents
from flows.manifests.cross_checks import check_together
from flows.manifests.fields.field_check import FieldFinding, check_fields, dotted
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
    documents: list[YamlDocument] = []
    problems: list[FileProblem] = []
    for path in paths:
        try:
            documents += read_documents(path)
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    return manifests_in(documents, tuple(map(str, paths)))


def manifests_in(documents: Iterable[YamlDocument], files: tuple[str, ...]) -> Manifests:
    """The splits and findings of documents that are already read."""
    objects = tuple(manifest for document in documents for manifest in manifests_of(document))
    around = ManifestSet(objects)
    splits: list[Split] = []
    findings: list[ManifestFinding] = []
    for manifest in objects:
        kind = kind_of(manifest)
        if kind is None:
            findings += _in_file(manifest, _unknown_kind(manifest))
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
    found = check_fields(manifest.data, kind.fields(manifest.version), manifest.texts)
    if manifest.version in versions:
        yield from found
    else:
        message = (
            f"{manifest.api_version} is unknown, it is read as {manifest.group}/{versions[0]}; "
            f"{manifest.kind} has {', '.join(versions)}"
        )
        yield FieldFinding(("apiVersion",), message)
        # A version that is not known may have other fields.
        yield from (replace(finding, severity=Severity.DOUBT) for finding in found)
    yield from kind.find_problems(manifest, around)


def _unknown_kind(manifest: Manifest) -> Iterator[FieldFinding]:
    """A kind that would be read, under another API group or spelt with other capitals."""
    kind = KINDS.get(manifest.kind)
    if kind is not None:
        group, versions = next(iter(kind.groups.items()))
        message = (
            f"{manifest.api_version} is unknown, so this {manifest.kind} isn't read; "
            f"known is {group}/{versions[0]}"
        )
        yield FieldFinding(("apiVersion",), message, Severity.DOUBT)
        return
    for name in KINDS:
        if name.lower() == manifest.kind.lower():
            message = f"is {manifest.kind}, must be {name}; it isn't read"
            yield FieldFinding(("kind",), message)


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
