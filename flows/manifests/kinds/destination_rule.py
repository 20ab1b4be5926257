"""Istio's DestinationRule: it splits nothing, but it says which pods a subset means."""

from __future__ import annotations

from collections.abc import Iterator

from flows.manifests.fields.field_check import FieldFinding
from flows.manifests.objects import Manifest, ManifestSet
from flows.manifests.split import Severity, Split
from flows.manifests.values import fields_of, items_of


def read_splits(_: Manifest, __: ManifestSet) -> Iterator[Split]:
    """None: weights stand in the VirtualService."""
    yield from ()


def find_problems(manifest: Manifest, _: ManifestSet) -> Iterator[FieldFinding]:
    """Subsets that can't be told apart or mean every pod."""
    seen: dict[str, int] = {}
    for index, item in enumerate(items_of(manifest.spec.get("subsets"))):
        subset = fields_of(item)
        name = str(subset.get("name"))
        path = ("spec", "subsets", index)
        if name in seen:
            yield FieldFinding(
                (*path, "name"), f"duplicate subset {name}, as subsets[{seen[name]}]"
            )
        seen.setdefault(name, index)
        if not subset.get("labels"):
            message = f"has no labels: {name} means every pod of the host"
            yield FieldFinding(path, message, Severity.DOUBT)
