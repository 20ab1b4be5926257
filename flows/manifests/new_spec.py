"""A new experiment spec from the split that manifests configure; what they can't tell is marked."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path

from flows.manifests.new_cohorts import ENVOY_VERSION, NewCohorts, cohort_lines, new_cohorts
from flows.manifests.read import Manifests
from flows.manifests.split import Backend, RolloutStage, Split
from flows.manifests.split_choice import CannotInit, SpecAnswers
from flows.manifests.variant_names import VariantName, baseline_among, variant_names
from flows.manifests.yaml_scalar import yaml_comment, yaml_quoted, yaml_scalar
from flows.spec.experiment import Mesh
from flows.spec.fields import NAME_PATTERN

_CHECK = "# CHECK: "
# A stage that a person or an analysis ends has no length in the manifest.
_STAGE_S = 600.0
# A plan must be as long as its minimum duration, which is this if nothing is said.
_MINIMUM_S = 300.0
_DECIMALS = 6
_DELIVERED = ("TrafficSplit", "VirtualService", "HTTPRoute")


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
        yaml_comment(f"From {split.origin}, for {split.cohort}."),
        *map(yaml_comment, _remarks(split, has_cohorts=cohorts is not None)),
        f"experiment: {yaml_scalar(experiment_name(split, wanted))}",
        _service(split, experiment_name(split, wanted)),
        f"namespace: {yaml_scalar(split.namespace)}",
        f"mesh: {mesh.value}" if mesh else f"mesh: istio  {_CHECK}istio, linkerd or envoy?",
        *_reporter(split, mesh),
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


def _service(split: Split, name: str) -> str:
    """The line of the service; name: the experiment's, for an object that has none."""
    is_named = not split.service.startswith("(")
    doubt = f"  {_CHECK}the manifests don't say which Service clients call"
    known = split.is_service_known and is_named
    return f"service: {yaml_scalar(split.service if is_named else name)}{'' if known else doubt}"


def _reporter(split: Split, mesh: Mesh | None) -> Iterator[str]:
    """Of Istio only the caller's proxy doesn't count copies as requests of their receiver."""
    if split.own_copies and mesh is Mesh.ISTIO:
        doubt = "callers need a proxy; at the destination copies count, too"
        yield f"reporter: source  {_CHECK}{doubt}"


def baseline_of(split: Split) -> Backend:
    """The receiver that is compared with: known, or called so, or the one with most traffic."""
    if split.knows_baseline:
        return split.backends[0]
    told = _told_baseline(split)
    return told or max(split.backends, key=lambda one: one.percent or 0.0)


def _told_baseline(split: Split) -> Backend | None:
    name = baseline_among([one.name for one in split.backends])
    name = split.service if name is None and split.is_service_known else name
    return next((one for one in split.backends if one.name == name), None)


def in_order(split: Split) -> list[Backend]:
    """The baseline, then the others as written."""
    baseline = baseline_of(split)
    return [baseline, *(one for one in split.backends if one is not baseline)]


def _remarks(split: Split, *, has_cohorts: bool) -> Iterator[str]:
    yield from split.notes
    if not split.knows_baseline and _told_baseline(split) is None:
        yield f"CHECK: no name says which is the baseline; {baseline_of(split).name} is a guess"
    if not split.cohort.is_everyone and not has_cohorts:
        yield (
            "CHECK: requests that the route doesn't match count as well, unless `match` names a "
            "label that tells them apart"
        )
    for fault in split.faults:
        yield f"CHECK: {fault.percent:g} % of the requests get an injected fault ({fault.what})"
    for mirror in split.mirrors:
        told = f"{mirror.percent:g} % of the requests are copied to {mirror.target.name}"
        is_own = mirror in split.own_copies
        yield f"CHECK: {told}; copies are no users' requests" if is_own else told


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
        yield yaml_comment(
            f"delivery: {{target: {{kubernetes: {target}}}}}  # for `verdict deliver`"
        )
