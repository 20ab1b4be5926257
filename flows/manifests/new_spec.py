"""A new experiment spec from the split that manifests configure; what they can't tell is marked."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

from flows.manifests.new_cohorts import ENVOY_VERSION, NewCohorts, cohort_lines, new_cohorts
from flows.manifests.read import Manifests
from flows.manifests.registry import kind_of
from flows.manifests.route_cohorts import is_driven
from flows.manifests.split import Backend, RolloutStage, Split
from flows.manifests.values import fields_of, items_of, text_of
from flows.manifests.variant_names import VariantName, variant_names
from flows.manifests.yaml_scalar import yaml_quoted, yaml_scalar
from flows.spec.experiment import Mesh
from flows.spec.fields import NAME_PATTERN

_BASELINE = re.compile(r"stable|primary|baseline|control|blue|current|v1\b")
_CANDIDATE = re.compile(r"canary|candidate|preview|green|next\b|\bnew\b|beta|treatment")
_LINE_ENDS = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]+")
_CHECK = "# CHECK: "
# A stage that a person or an analysis ends has no length in the manifest.
_STAGE_S = 600.0
# A plan must be as long as its minimum duration, which is this if nothing is said.
_MINIMUM_S = 300.0
_DECIMALS = 6
_MOST_NAMED = 8
_DELIVERED = ("TrafficSplit", "VirtualService", "HTTPRoute")


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
    if split.one_cluster and (wanted.mesh or split.mesh) is Mesh.ENVOY:
        raise CannotInit(
            f"{split.origin}: {split.one_cluster}; or name the mesh that counts behind it (--mesh)"
        )
    return split


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
    kinds = dict.fromkeys(
        f"{one.kind} of {one.api_version}" for one in manifests.objects if kind_of(one) is None
    )
    return f" (not read: {', '.join(list(kinds)[:_MOST_NAMED])})" if kinds else ""


def experiment_name(split: Split, wanted: SpecAnswers) -> str:
    """The experiment's name: as said, else the manifest's, as a spec may have it."""
    if wanted.name is None and split.origin.name.startswith("("):
        raise CannotInit(f"{split.origin} has no name; say one with --name")
    return experiment_name_of(wanted.name, split.origin.name)


def experiment_name_of(said: str | None, manifest: str) -> str:
    """The name as said, else the manifest's, as a spec may have it. Raises CannotInit."""
    if said is not None:
        if not re.fullmatch(NAME_PATTERN, said):
            raise CannotInit(f"--name {said!r} must be small letters, digits and dashes")
        return said
    return re.sub(r"[^a-z0-9-]+", "-", manifest.lower()).strip("-")[:63].strip("-")


def scope_of(split: Split, wanted: SpecAnswers) -> str:
    """By which of its names a text tells a variant's series apart: version or service."""
    names = variant_names(in_order(split), wanted.mesh or split.mesh or Mesh.ISTIO, split.namespace)
    return "version" if all(name.version for name in names) else "service"


def cohorts_of(split: Split, manifests: Manifests, wanted: SpecAnswers) -> NewCohorts | None:
    """The route rules that must be told apart in an experiment on the split."""
    mesh, order = wanted.mesh or split.mesh, in_order(split)
    names = variant_names(order, mesh or Mesh.ISTIO, split.namespace)
    keys = {backend: name.key for backend, name in zip(order, names, strict=True)}
    return new_cohorts(split, manifests, keys, mesh)


def new_spec(
    split: Split,
    wanted: SpecAnswers,
    *,
    files: Sequence[Path],
    spec_dir: Path,
    metrics: Sequence[str] = (),
    cohorts: NewCohorts | None = None,
) -> str:
    """The spec's text. files: the manifests; they are named relative to spec_dir.

    metrics: lines of its metrics and its strategy. cohorts: those that are told apart.
    """
    mesh = wanted.mesh or split.mesh
    names = variant_names(in_order(split), mesh or Mesh.ISTIO, split.namespace)
    if cohorts and cohorts.is_envoy:  # each route has clusters of its own
        doubt = f"the label {ENVOY_VERSION} of the names of its clusters"
        names = [VariantName(one.key, None, {ENVOY_VERSION: one.key}, doubt) for one in names]
    lines = [
        _comment(f"From {split.origin}, for {split.cohort}."),
        *map(_comment, _remarks(split, has_cohorts=cohorts is not None)),
        f"experiment: {yaml_scalar(experiment_name(split, wanted))}",
        _service(split, experiment_name(split, wanted)),
        f"namespace: {yaml_scalar(split.namespace)}",
        f"mesh: {mesh.value}" if mesh else f"mesh: istio  {_CHECK}istio, linkerd or envoy?",
        "variants:",
        *_variants(names),
        *(cohort_lines(cohorts, [name.key for name in names]) if cohorts else ()),
        *metrics,
        *_plan(split, [yaml_scalar(name.key) for name in names]),
        "manifests:",
        *(f"  - {yaml_scalar(os.path.relpath(path, spec_dir))}" for path in files),
        "sources:",
        _source(wanted),
        *(() if cohorts else _delivery(split)),
    ]
    return "\n".join(lines) + "\n"


def _comment(text: str) -> str:
    """A comment on one line, whatever names the manifest has."""
    return f"# {_LINE_ENDS.sub(' ', text)}"


def _service(split: Split, name: str) -> str:
    """The line of the service; name: the experiment's, for an object that has none."""
    is_named = not split.service.startswith("(")
    doubt = f"  {_CHECK}the manifests don't say which Service clients call"
    known = split.is_service_known and is_named
    return f"service: {yaml_scalar(split.service if is_named else name)}{'' if known else doubt}"


def baseline_of(split: Split) -> Backend:
    """The receiver that is compared with: known, or called so, or the one with most traffic."""
    if split.knows_baseline:
        return split.backends[0]
    apex = [one for one in split.backends if one.name == split.service]
    called = [one for one in split.backends if _BASELINE.search(one.name.lower())]
    others = [one for one in split.backends if not _CANDIDATE.search(one.name.lower())]
    for found in (called, others, apex if split.is_service_known else []):
        if len(found) == 1:
            return found[0]
    return max(split.backends, key=lambda one: one.percent or 0.0)


def in_order(split: Split) -> list[Backend]:
    """The baseline, then the others as written."""
    baseline = baseline_of(split)
    return [baseline, *(one for one in split.backends if one is not baseline)]


def _choice(split: Split) -> str:
    shares = split.percents
    shown = ", ".join(f"{name} {share:g}" for name, share in shares.items())
    names = ", ".join(one.name for one in split.backends)
    copies = "".join(f"; {one.percent:g} % copied to {one.target.name}" for one in split.mirrors)
    return f"{split.origin}: service {split.service}, {shown or names}, for {split.cohort}{copies}"


def _remarks(split: Split, *, has_cohorts: bool) -> Iterator[str]:
    yield from split.notes
    if not split.cohort.is_everyone and not has_cohorts:
        yield (
            "CHECK: requests that the route doesn't match count as well, unless `match` names a "
            "label that tells them apart"
        )
    for fault in split.faults:
        yield f"CHECK: {fault.percent:g} % of the requests get an injected fault ({fault.what})"
    for mirror in split.mirrors:
        yield f"{mirror.percent:g} % of the requests are copied to {mirror.target.name}"


def _variants(names: Sequence[VariantName]) -> Iterator[str]:
    for place, name in enumerate(names):
        marked = "" if place else ", baseline: true"
        doubt = f"  {_CHECK}{name.doubt}" if name.doubt else ""
        yield f"  {yaml_scalar(name.key)}: {{{name}{marked}}}{doubt}"


def _plan(split: Split, keys: Sequence[str]) -> Iterator[str]:
    """Stages where the manifest has them; a split that stays is read from the manifest.

    keys: the variants, the baseline first.
    """
    stages = [stage for stage in split.stages if 0 < stage.candidate_percent < 100]
    if stages and len(split.backends) == 2:
        yield "plan:"
        total_s = sum(stage.duration_s or _STAGE_S for stage in stages)
        if total_s < _MINIMUM_S:
            yield f"  minimum_duration: {total_s:g}s  {_CHECK}very short"
        yield "  stages:"
        yield from (f"    - {_stage(stage, keys)}" for stage in stages)
    elif not split.percents:
        yield f"plan: {{duration: 30m}}  {_CHECK}no split is configured"
    else:
        yield f"plan: {{duration: 1h}}  {_CHECK}how long may it take?"


def _stage(stage: RolloutStage, keys: Sequence[str]) -> str:
    baseline, candidate = keys
    # In decimals, so that the two sum to 100 exactly.
    percent = round(Decimal(stage.candidate_percent), _DECIMALS).normalize()
    doubt = "" if stage.duration_s else f"  {_CHECK}a person or an analysis ends it"
    weights = f"{baseline}: {100 - percent:f}, {candidate}: {percent:f}"
    return f"{{duration: {stage.duration_s or _STAGE_S:g}s, weights: {{{weights}}}}}{doubt}"


def _source(wanted: SpecAnswers) -> str:
    if wanted.prometheus is not None:
        return f"  requests: {{prometheus: {yaml_quoted(wanted.prometheus)}}}"
    return f'  requests: {{prometheus: "http://prometheus:9090"}}  {_CHECK}your server'


def _delivery(split: Split) -> Iterator[str]:
    if split.origin.kind in _DELIVERED:
        target = yaml_scalar(f"{split.origin.kind}/{split.origin.name}")
        yield _comment(f"delivery: {{target: {{kubernetes: {target}}}}}  # for `verdict deliver`")
