"""Which split of the manifests an experiment is about; the choices, where it may be several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from flows.manifests.read import Manifests
from flows.manifests.registry import kind_of
from flows.manifests.route_cohorts import is_driven
from flows.manifests.split import Backend, Split
from flows.manifests.values import fields_of, items_of, text_of
from flows.spec.experiment import Mesh
from flows.spec.rules import OPEN_NAME, RENDER_FIRST

_MOST_NAMED = 8


class CannotInit(Exception):
    """The manifests don't say which one experiment is meant; the message says what to add."""


@dataclass(frozen=True, slots=True)
class SpecAnswers:
    """What the caller has said beside the manifests; None where nothing was said."""

    service: str | None = None
    route: str | None = None
    name: str | None = None
    mesh: Mesh | None = None
    prometheus: str | None = None


def choose_split(manifests: Manifests, wanted: SpecAnswers) -> Split:
    """The one split that is meant: of several versions, of this service and route.

    Raises CannotInit with the choices there are.
    """
    found = [split for split in manifests.splits if len(split.backends) > 1]
    found = found or list(_one_version_each(manifests.splits))
    if wanted.route is None:  # who names a route means it
        found = [split for split in found if not is_driven(split, found)]
    if wanted.service is not None:
        found = [split for split in found if split.service == wanted.service]
    if wanted.route is not None:
        found = [split for split in found if wanted.route in str(split.origin)]
    _check_defined_once(found)
    receivers = {frozenset((b.service, b.namespace, b.subset) for b in s.backends) for s in found}
    if len(receivers) == 1:  # routes of one experiment: its cohorts
        return _told_apart(next((s for s in found if s.cohort.is_everyone), found[0]), wanted)
    choices = found or list(manifests.splits)
    listed = "".join(f"\n  {_choice(split)}" for split in choices)
    if not found:
        files = ", ".join(manifests.files)
        there = "; routes there are:" if choices else _not_read(manifests)
        more = f"{_delegated(manifests)}{there}{listed}"
        raise CannotInit(f"{files}: nothing splits traffic between two versions{more}")
    raise CannotInit(
        f"{len(found)} splits fit; say which with --service NAME or --route TEXT:{listed}"
    )


def _one_version_each(splits: Sequence[Split]) -> Iterator[Split]:
    """Of objects whose routes each send everything to one of two versions (blue-green), a split."""
    of_objects: dict[tuple[str, str, str], list[Split]] = {}
    for split in splits:
        origin = split.origin
        of_objects.setdefault((origin.kind, origin.namespace, origin.name), []).append(split)
    for routes in of_objects.values():
        backends = {(b.service, b.namespace, b.subset): b for one in routes for b in one.backends}
        if len(backends) == 2:
            rest = next((one for one in routes if one.cohort.is_everyone), routes[0])
            main = (rest.backends[0].service, rest.backends[0].namespace, rest.backends[0].subset)
            ordered = [backends.pop(main), *backends.values()]
            receivers = tuple(replace(backend, percent=None) for backend in ordered)
            tests = " and ".join(str(one.cohort) for one in routes if one is not rest)
            note = f"no route splits its requests: only those of {tests} are of the other version"
            yield replace(rest, backends=receivers, notes=(*rest.notes, note))


def _told_apart(split: Split, wanted: SpecAnswers) -> Split:
    """The split. Raises CannotInit if the mesh's metrics don't tell its backends apart."""
    names = (split.service, split.namespace, *(name for b in split.backends for name in _names(b)))
    if unfilled := next((name for name in names if OPEN_NAME.search(name)), None):
        raise CannotInit(f"{split.origin}: {unfilled} is a placeholder: {RENDER_FIRST}")
    if split.one_cluster and (wanted.mesh or split.mesh) is Mesh.ENVOY:
        raise CannotInit(
            f"{split.origin}: {split.one_cluster}; or name the mesh that counts behind it (--mesh)"
        )
    return split


def _names(backend: Backend) -> tuple[str, ...]:
    return backend.name, backend.service, backend.namespace, backend.version or ""


def _check_defined_once(found: Sequence[Split]) -> None:
    """Raises CannotInit where one object is there several times, with other splits."""
    of_routes: dict[tuple[str, str, str, str], list[Split]] = {}
    for split in found:
        origin = split.origin
        named = (origin.kind, origin.namespace, origin.name, origin.route)
        of_routes.setdefault(named, []).append(split)
    for splits in of_routes.values():
        if len({(split.backends, split.stages, split.cohort) for split in splits}) > 1:
            places = "".join(f"\n  {s.origin.file}:{s.origin.line}: {_choice(s)}" for s in splits)
            raise CannotInit(
                f"{splits[0].origin} is defined {len(splits)} times, the one that is applied last "
                f"counts; leave only that in the files:{places}"
            )


def _delegated(manifests: Manifests) -> str:
    """The VirtualServices that others in the files leave routes to, and that aren't there."""
    there = {(one.kind, one.namespace, one.name) for one in manifests.objects}
    missing = dict.fromkeys(
        f"{namespace}/{name}"
        for one in manifests.objects
        if one.kind == "VirtualService"
        for route in map(fields_of, items_of(one.spec.get("http")))
        if (name := text_of(fields_of(route.get("delegate")).get("name")))
        for namespace in [text_of(route["delegate"].get("namespace")) or one.namespace]
        if (one.kind, namespace, name) not in there
    )
    return f" (add the VirtualService {' and '.join(missing)}, which has routes)" if missing else ""


def _not_read(manifests: Manifests) -> str:
    """The objects of the files that no reader knows, by kind and API version."""
    if not manifests.objects:
        return " (no Kubernetes object with a kind is in it)"
    kinds = dict.fromkeys(
        f"{one.kind} of {one.api_version}" for one in manifests.objects if kind_of(one) is None
    )
    return f" (not read: {', '.join(list(kinds)[:_MOST_NAMED])})" if kinds else ""


def _choice(split: Split) -> str:
    shares = split.percents
    shown = ", ".join(f"{name} {share:g}" for name, share in shares.items())
    names = ", ".join(one.name for one in split.backends)
    copies = "".join(f"; {one.percent:g} % copied to {one.target.name}" for one in split.mirrors)
    return f"{split.origin}: service {split.service}, {shown or names}, for {split.cohort}{copies}"
