"""A new experiment spec from the split that manifests configure; what they can't tell is marked."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from flows.manifests.read import Manifests
from flows.manifests.split import Backend, RolloutStage, Split
from flows.spec.experiment import Mesh
from flows.spec.fields import NAME_PATTERN

_BASELINE = re.compile(r"stable|primary|baseline|control|blue|current|v1\b")
_CHECK = "# CHECK: "
# A stage that a person or an analysis ends has no length in the manifest.
_STAGE_S = 600.0
# A plan must be as long as its minimum duration, which is this if nothing is said.
_MINIMUM_S = 300.0
_DELIVERED = ("TrafficSplit", "VirtualService", "HTTPRoute")


class CannotInit(Exception):
    """The manifests don't say which one experiment is meant; the message says what to add."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the caller has said beside the manifests; None where nothing was said."""

    service: str | None = None
    route: str | None = None
    name: str | None = None
    mesh: Mesh | None = None
    prometheus: str | None = None


def choose_split(manifests: Manifests, wanted: Wanted) -> Split:
    """The one split that is meant: of several versions, of this service and route.

    Raises CannotInit with the choices there are.
    """
    found = [split for split in manifests.splits if len(split.backends) > 1]
    if wanted.service is not None:
        found = [split for split in found if split.service == wanted.service]
    if wanted.route is not None:
        found = [split for split in found if wanted.route in str(split.origin)]
    if len(found) == 1:
        return found[0]
    choices = found or list(manifests.splits)
    listed = "".join(f"\n  {_choice(split)}" for split in choices)
    if not found:
        files = ", ".join(manifests.files)
        what = f"{files}: nothing splits traffic between two versions"
        raise CannotInit(f"{what}{'; routes there are:' if choices else ''}{listed}")
    raise CannotInit(
        f"{len(found)} splits fit; say which with --service NAME or --route TEXT:{listed}"
    )


def experiment_name(split: Split, wanted: Wanted) -> str:
    """The experiment's name: as said, else the manifest's, as a spec may have it."""
    if wanted.name is None and split.origin.name.startswith("("):
        raise CannotInit(f"{split.origin} has no name; say one with --name")
    if wanted.name is not None:
        if not re.fullmatch(NAME_PATTERN, wanted.name):
            raise CannotInit(f"--name {wanted.name!r} must be small letters, digits and dashes")
        return wanted.name
    return re.sub(r"[^a-z0-9-]+", "-", split.origin.name.lower()).strip("-")[:63].strip("-")


def new_spec(split: Split, wanted: Wanted, *, files: Sequence[Path], spec_dir: Path) -> str:
    """The spec's text. files: the manifests; they are named relative to spec_dir."""
    mesh = wanted.mesh or split.mesh
    lines = [
        f"# From {split.origin}, for {split.cohort}.",
        *(f"# {note}" for note in _remarks(split)),
        f"experiment: {experiment_name(split, wanted)}",
        f"service: {split.service}",
        f"namespace: {split.namespace}",
        f"mesh: {mesh.value}" if mesh else f"mesh: istio  {_CHECK}istio, linkerd or envoy?",
        "variants:",
        *_variants(split, mesh or Mesh.ISTIO),
        *_plan(split),
        "manifests:",
        *(f"  - {os.path.relpath(path, spec_dir)}" for path in files),
        "sources:",
        _source(wanted),
        *_delivery(split),
    ]
    return "\n".join(lines) + "\n"


def baseline_of(split: Split) -> Backend:
    """The receiver that is compared with: known, or called so, or the one with most traffic."""
    if split.knows_baseline:
        return split.backends[0]
    called = [one for one in split.backends if _BASELINE.search(one.name.lower())]
    if len(called) == 1:
        return called[0]
    return max(split.backends, key=lambda one: one.percent or 0.0)


def in_order(split: Split) -> list[Backend]:
    """The baseline, then the others as written."""
    baseline = baseline_of(split)
    return [baseline, *(one for one in split.backends if one is not baseline)]


def version_of(backend: Backend, mesh: Mesh) -> str | None:
    """What the mesh's metrics call it, as far as the manifests tell."""
    if mesh is Mesh.ISTIO:
        return backend.version
    if mesh is Mesh.LINKERD:
        return backend.deployment or backend.service
    return backend.service


def _choice(split: Split) -> str:
    shares = split.percents
    shown = ", ".join(f"{name} {share:g}" for name, share in shares.items())
    names = ", ".join(one.name for one in split.backends)
    return f"{split.origin}: service {split.service}, {shown or names}, for {split.cohort}"


def _remarks(split: Split) -> Iterator[str]:
    yield from split.notes
    if not split.cohort.is_everyone:
        yield (
            "CHECK: requests that the route doesn't match count as well, unless `match` names a "
            "label that tells them apart"
        )
    for fault in split.faults:
        yield f"CHECK: {fault.percent:g} % of the requests get an injected fault ({fault.what})"
    for mirror in split.mirrors:
        yield f"{mirror.percent:g} % of the requests are copied to {mirror.target.name}"


def _variants(split: Split, mesh: Mesh) -> Iterator[str]:
    for place, backend in enumerate(in_order(split)):
        version = version_of(backend, mesh)
        marked = "" if place else ", baseline: true"
        doubt = "" if version else f"  {_CHECK}the version label of its pods"
        yield f"  {_variant(backend)}: {{version: {version or backend.name}{marked}}}{doubt}"


def _variant(backend: Backend) -> str:
    return re.sub(r"[^a-z0-9-]+", "-", backend.name.lower()).strip("-")[:63]


def _plan(split: Split) -> Iterator[str]:
    """Stages where the manifest has them; a split that stays is read from the manifest."""
    stages = [stage for stage in split.stages if 0 < stage.candidate_percent < 100]
    if stages and len(split.backends) == 2:
        yield "plan:"
        total_s = sum(stage.duration_s or _STAGE_S for stage in stages)
        if total_s < _MINIMUM_S:
            yield f"  minimum_duration: {total_s:g}s  {_CHECK}very short"
        yield "  stages:"
        yield from (f"    - {_stage(split, stage)}" for stage in stages)
    elif not split.percents:
        yield f"plan: {{duration: 30m}}  {_CHECK}no split is configured"
    else:
        yield f"plan: {{duration: 1h}}  {_CHECK}how long may it take?"


def _stage(split: Split, stage: RolloutStage) -> str:
    baseline, candidate = map(_variant, in_order(split))
    percent = stage.candidate_percent
    doubt = "" if stage.duration_s else f"  {_CHECK}a person or an analysis ends it"
    weights = f"{baseline}: {100 - percent:g}, {candidate}: {percent:g}"
    return f"{{duration: {stage.duration_s or _STAGE_S:g}s, weights: {{{weights}}}}}{doubt}"


def _source(wanted: Wanted) -> str:
    if wanted.prometheus is not None:
        return f'  requests: {{prometheus: "{wanted.prometheus}"}}'
    return f'  requests: {{prometheus: "http://prometheus:9090"}}  {_CHECK}your server'


def _delivery(split: Split) -> Iterator[str]:
    if split.origin.kind in _DELIVERED:
        target = f"{split.origin.kind}/{split.origin.name}"
        yield f"# delivery: {{target: {{kubernetes: {target}}}}}  # for `verdict deliver`"
