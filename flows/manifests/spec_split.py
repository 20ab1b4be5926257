"""The split that a spec's manifests configure, beside what the spec itself says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from flows.formats.problems import FileProblem, InputError
from flows.manifests.objects import UNNAMED_NAMESPACE
from flows.manifests.read import Manifests, read_manifests
from flows.manifests.route_cohorts import cohorts_among, why_mixed
from flows.manifests.split import Backend, Severity, Split
from flows.spec.experiment import Experiment, Mesh, Variant

# Percent.
_SAME = 0.05


def manifests_of_spec(spec: Experiment, spec_dir: Path) -> Manifests:
    """What the spec's manifests hold. Raises InputError for a file that can't be read."""
    return read_manifests([spec_dir / name for name in spec.manifests])


def configured_splits(spec: Experiment, manifests: Manifests) -> dict[Split, dict[str, float]]:
    """Percent by variant, of each split between the spec's variants."""
    found = {}
    for split in _own_splits(spec, manifests):
        shares: dict[str | None, float] = {}
        for backend in split.backends:
            name = _variant(spec, backend)
            shares[name] = shares.get(name, 0.0) + (backend.percent or 0.0)
        if set(shares) >= set(spec.variants) and split.percents:
            found[split] = {name: shares[name] for name in spec.variants}
    return found


def _own_splits(spec: Experiment, manifests: Manifests) -> list[Split]:
    """The splits of objects that route the spec's service, in its namespace if any does.

    Where no object does, all: the service may have another name in the mesh.
    """
    nearness: dict[tuple[str, str, str], int] = {}
    for split in manifests.splits:
        key = _object(split)
        nearness[key] = max(nearness.get(key, 0), _nearness(spec, split))
    nearest = max(nearness.values(), default=0)
    return [split for split in manifests.splits if nearness[_object(split)] == nearest]


def _object(split: Split) -> tuple[str, str, str]:
    return split.origin.kind, split.origin.namespace, split.origin.name


def _nearness(spec: Experiment, split: Split) -> int:
    """2: of the spec's service, or of a controller; 1: in another namespace; 0: of another one."""
    if split.knows_baseline or not split.is_service_known:
        return 2
    named = {spec.service, *(one.service or one.version for one in spec.variants.values())}
    if named.isdisjoint({split.service, *(backend.service for backend in split.backends)}):
        return 0
    return 2 if split.namespace in (spec.namespace, UNNAMED_NAMESPACE) else 1


def split_of_manifests(spec: Experiment, spec_dir: Path) -> dict[str, float] | None:
    """The one split that the spec's manifests configure; None if there is none, or several.

    Raises InputError for a file, or a weight between the variants, that can't be read.
    """
    manifests = manifests_of_spec(spec, spec_dir)
    found = list(configured_splits(spec, manifests).values())
    if not found and (unread := list(_unread_weights(spec, manifests))):
        raise InputError(unread)
    return found[0] if found and all(_same(found[0], other) for other in found) else None


def _unread_weights(spec: Experiment, manifests: Manifests) -> Iterator[FileProblem]:
    """The weights that leave a split between the variants unknown."""
    unknown = {
        "{} {}/{}".format(*_object(split))
        for split in _own_splits(spec, manifests)
        if not split.percents and {*spec.variants} <= {_variant(spec, b) for b in split.backends}
    }
    for one in manifests.findings:
        if one.manifest in unknown and one.field.endswith(".weight"):
            yield FileProblem(one.file, one.line, one.field, one.message)


def conflicting_splits(spec: Experiment, manifests: Manifests) -> tuple[str, ...]:
    """The splits that the manifests configure, each with its place, unless they are all the same.

    Only of a spec that leaves its split to them: against one of its own each of them is held.
    """
    if spec.split is not None or spec.plan.stages or spec.cohorts:
        return ()
    splits = configured_splits(spec, manifests)
    first = next(iter(splits.values()), {})
    if all(_same(first, other) for other in splits.values()):
        return ()
    return tuple(
        f"{split.origin.file}:{split.origin.line}: {split.origin} has {_shown(shares)}"
        for split, shares in splits.items()
    )


def mixed_cohorts(spec: Experiment, manifests: Manifests) -> str:
    """Why the requests of several route rules would be pooled; empty where they are not."""
    if spec.cohorts:
        return ""
    named = {
        split: {name: one for one in split.backends if (name := _variant(spec, one)) is not None}
        for split in manifests.splits
    }
    own = _own_splits(spec, manifests)
    return why_mixed([one for one in cohorts_among(manifests.splits, named) if one.split in own])


def disagreements(spec: Experiment, manifests: Manifests) -> Iterator[str]:
    """Sentences on what the manifests configure and the spec doesn't say.

    A spec with stages agrees with a manifest that carries any of them, or one of their ends.
    """
    splits = configured_splits(spec, manifests)
    received = {
        split: {_variant(spec, one) for one in split.backends} for split in manifests.splits
    }
    shifted = any(split.stages and all_ >= set(spec.variants) for split, all_ in received.items())
    if not splits and not shifted and not spec.cohorts and spec.strategy is None:
        files, names = ", ".join(manifests.files), " and ".join(spec.variants)
        if set().union(*received.values()) >= set(spec.variants):
            yield (
                f"{files}: {names} have routes of their own and no shares (blue-green, or by "
                "header): the split of the requests is not checked"
            )
        else:
            yield f"{files}: no route splits traffic between {names}"
    said = [dict(stage.weights) for stage in spec.stages if stage.weights]
    ends = [{name: 100.0 * (name == one) for name in spec.variants} for one in spec.variants]
    said += [cohort.split for cohort in spec.cohorts.values() if cohort.split]
    allowed = [*said, *ends] if spec.plan.stages else said
    for split in splits:
        place = f"{split.origin.file}:{split.origin.line}: {split.origin}"
        if _nearness(spec, split) == 0:
            yield f"{place} splits requests to {split.service}, the spec has service {spec.service}"
        elif _nearness(spec, split) == 1:
            yield f"{place} is in another namespace than the spec's {spec.namespace}"
    yield from _copies(spec, manifests)
    if spec.delivery and spec.delivery.is_fresh:
        return  # the route has more receivers than variants
    for split, shares in splits.items():
        if said and not any(_same(shares, other) for other in allowed):
            yield (
                f"{split.origin.file}:{split.origin.line}: {split.origin} has {_shown(shares)}, "
                f"the spec {' then '.join(map(_shown, said))}"
            )


def _copies(spec: Experiment, manifests: Manifests) -> Iterator[str]:
    """Copies of requests that count as requests of a variant."""
    if spec.mesh is Mesh.ISTIO and spec.reporter != "destination":
        return
    for split in _own_splits(spec, manifests):
        for mirror in split.mirrors:
            if name := _variant(spec, mirror.target):
                place = f"{split.origin.file}:{split.origin.line}: {split.origin}"
                remedy = "; `reporter: source` leaves them out" if spec.mesh is Mesh.ISTIO else ""
                yield (
                    f"{place} copies {mirror.percent:g} % of its requests to {name}: the copies "
                    f"count as requests of {name}, and nobody sees their answers{remedy}"
                )


def mistakes(manifests: Manifests) -> list[str]:
    """What is wrong in the manifests, and what is doubtful."""
    return [
        f"{finding}" if finding.severity is Severity.WRONG else f"{finding} (doubtful)"
        for finding in manifests.findings
    ]


def _variant(spec: Experiment, backend: Backend) -> str | None:
    """The variant that receives: by the labels of a Service, by its version, else by its name."""
    found = [name for name, one in spec.variants.items() if _receives(name, one, backend)]
    labelled = [n for n in found if backend.version and spec.variants[n].version == backend.version]
    return next(iter(labelled or found), None)


def _receives(name: str, variant: Variant, backend: Backend) -> bool:
    names = {backend.name, backend.subset, backend.service, backend.deployment, backend.cluster}
    is_called_so = name in names or variant.version in {backend.version, *names} - {None}
    if backend.cluster is not None and variant.version is not None:
        is_called_so = variant.version == backend.cluster  # clusters of rules differ
    service = variant.labels.get("destination_service_name")
    if service is None:
        return is_called_so
    namespace = variant.labels.get("destination_service_namespace", backend.namespace)
    is_there = (service, namespace) == (backend.service, backend.namespace)
    return is_there and (variant.version is None or is_called_so)


def _same(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    return all(abs(one.get(name, 0) - other.get(name, 0)) <= _SAME for name in {*one, *other})


def _shown(weights: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {weight:g}" for name, weight in weights.items())
