"""Whether the versions' Deployments differ by more than the version: in pods, or in their size."""

from __future__ import annotations

from collections.abc import Iterator

from flows.manifests.objects import Manifest
from flows.manifests.read import Manifests
from flows.manifests.values import fields_of, items_of, labels_of, quantity_of
from flows.spec.experiment import Experiment, Variant

REMEDY = (
    "a difference may be theirs, not the version's: run a fresh baseline of the same size beside "
    "the candidate (docs/how-to/fair-baseline.md)"
)


def unlike_pods(spec: Experiment, manifests: Manifests) -> Iterator[str]:
    """Sentences on each candidate whose Deployment asks for other pods than the baseline's."""
    known = {
        name: found
        for name, variant in spec.variants.items()
        if (found := _deployment(name, variant, manifests)) is not None
    }
    baseline = known.get(spec.baseline)
    for name in spec.candidates:
        if baseline is None or name not in known:
            continue
        sizes = _size(baseline), _size(known[name])
        for what in sorted(sizes[0].keys() | sizes[1].keys()):
            theirs, ours = (size.get(what) for size in sizes)
            if theirs != ours:
                yield (
                    f"{what}: {spec.baseline} has {theirs or 'none'}, {name} has {ours or 'none'}; "
                    f"{REMEDY}"
                )


def _deployment(name: str, variant: Variant, manifests: Manifests) -> Manifest | None:
    """The Deployment whose pods have the variant's version, or that is called like the variant."""
    found = [one for one in manifests.objects if one.kind == "Deployment"]
    labelled = [one for one in found if _version(one) in {name, variant.version} - {None}]
    named = [one for one in found if one.name in {variant.version, variant.service} - {None}]
    chosen = labelled or named
    return chosen[0] if len(chosen) == 1 else None


def _template(manifest: Manifest) -> dict[str, object]:
    return fields_of(manifest.spec.get("template"))


def _version(manifest: Manifest) -> str | None:
    labels = dict(labels_of(fields_of(_template(manifest).get("metadata")).get("labels")))
    return labels.get("version") or labels.get("app.kubernetes.io/version")


def _size(manifest: Manifest) -> dict[str, str]:
    """Replicas, and what each container asks for, in one notation."""
    found = {"replicas": str(manifest.spec.get("replicas", 1))}
    for item in items_of(fields_of(_template(manifest).get("spec")).get("containers")):
        container = fields_of(item)
        for kind, asked in fields_of(container.get("resources")).items():
            for resource, amount in fields_of(asked).items():
                exact = quantity_of(amount)
                what = f"{kind} of {resource} of container {container.get('name')}"
                found[what] = f"{amount}" if exact is None else f"{float(exact):g}"
    return found
