"""Cohorts of a new spec: the route rules that send requests to its variants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from flows.manifests.read import Manifests
from flows.manifests.route_cohorts import RouteCohort, cohorts_among, why_mixed
from flows.manifests.split import Backend, Split
from flows.manifests.telemetry import telemetry
from flows.manifests.yaml_scalar import yaml_scalar
from flows.spec.experiment import Mesh

ISTIO_LABEL, LINKERD_LABEL = "split_cohort", "route_name"
ENVOY_VERSION = "split_version"
_HEADER = "x-split-cohort"


@dataclass(frozen=True, slots=True)
class NewCohorts:
    """cohorts: by name in the spec, if they must be told apart; why: why they must.

    label: of the metrics, that tells them; by_object: whether the mesh's own label does already.
    is_envoy: whether an Envoy without Istio counts: its own configuration makes the label.
    """

    cohorts: Mapping[str, RouteCohort]
    why: str
    label: str
    by_object: bool = False
    is_envoy: bool = False

    @property
    def needs_telemetry(self) -> bool:
        """Whether a Telemetry resource adds the label."""
        return len(self.cohorts) > 1 and self.label == ISTIO_LABEL and not self.is_envoy


def new_cohorts(
    split: Split, manifests: Manifests, keys: Mapping[Backend, str], mesh: Mesh | None
) -> NewCohorts | None:
    """The cohorts of the experiment on a split; None where no rule differs from the others.

    keys: the split's backends, each with the name of its variant.
    """
    receivers = {_identity(backend): key for backend, key in keys.items()}
    named = {
        one: {
            receivers[_identity(backend)]: backend
            for backend in one.backends
            if _identity(backend) in receivers
        }
        for one in manifests.splits
    }
    found = cohorts_among(manifests.splits, named)
    why = why_mixed(found)
    if not why:
        return None
    objects = [one.split.origin.name for one in found]
    if mesh in (Mesh.LINKERD, Mesh.LINKERD_POLICY, Mesh.LINKERD_ROUTE):
        alone = len(set(objects)) == len(objects)
        names = objects if alone else _unlike(found)
        return NewCohorts(dict(zip(names, found, strict=True)), why, LINKERD_LABEL, alone)
    named_apart = dict(zip(_unlike(found), found, strict=True))
    return NewCohorts(named_apart, why, ISTIO_LABEL, is_envoy=mesh is Mesh.ENVOY)


def _identity(backend: Backend) -> tuple[str, str, str | None]:
    return backend.service, backend.namespace, backend.subset


def _unlike(cohorts: Sequence[RouteCohort]) -> list[str]:
    """Their names, numbered where two are alike."""
    names = [cohort.name for cohort in cohorts]
    if len(set(names)) == len(names):
        return names
    return [f"{name[:56]}-{number}" for number, name in enumerate(names)]


def cohort_lines(found: NewCohorts, variants: Sequence[str]) -> Iterator[str]:
    """Lines of the spec; variants: all of them, as the spec names them."""
    yield f"# CHECK: {' '.join(found.why.split())}"
    if len(found.cohorts) < 2:
        yield "# CHECK: name both in `cohorts`, by a label of the metrics that tells them apart"
        return
    yield from _remedy(found)
    yield "cohorts:"
    for name, cohort in found.cohorts.items():
        whole = sum(cohort.shares.values()) or 1.0  # the rest goes to receivers that are no variant
        shares = {key: 100 * cohort.shares.get(key, 0.0) / whole for key in variants}
        split = ", ".join(f"{yaml_scalar(key)}: {share:.12g}" for key, share in shares.items())
        said = f", split: {{{split}}}" if cohort.shares else ""
        match = f"{{{found.label}: {yaml_scalar(name)}}}"
        whose = " ".join(str(cohort.split.cohort).split())
        yield f"  {yaml_scalar(name)}: {{match: {match}{said}}}  # {whose}"


def _remedy(found: NewCohorts) -> Iterator[str]:
    """What the mesh must do so that its metrics tell them apart."""
    if found.is_envoy:
        yield (
            "# CHECK: Envoy's metrics name clusters, not routes: give each route clusters of its "
            f"own, and make the labels {ISTIO_LABEL} and {ENVOY_VERSION} of their names "
            "(stats_config.stats_tags)"
        )
    elif found.label == ISTIO_LABEL:
        yield f"# CHECK: the label {ISTIO_LABEL} must be added to the mesh's metrics first"
    elif not found.by_object:
        yield (
            "# CHECK: Linkerd's metrics name the HTTPRoute, not its rule: give each rule an "
            "HTTPRoute of its own"
        )


def cohort_telemetry(found: NewCohorts, name: str, namespace: str) -> str:
    """The Telemetry resource by which Istio adds the label, and what routes must set."""
    return telemetry(
        f"{name}-cohorts",
        namespace,
        {ISTIO_LABEL: f"request.headers['{_HEADER}']"},
        about=(
            f"Adds the label {ISTIO_LABEL} to the metrics of requests. Each route says which",
            "cohort its requests are, so that clients can't:",
            *(
                f"  {one.split.origin}: {_set_header(one, key)}"
                for key, one in found.cohorts.items()
            ),
        ),
    )


def _set_header(cohort: RouteCohort, key: str) -> str:
    """What the route must have, as its kind writes it."""
    if cohort.split.origin.kind in ("HTTPRoute", "GRPCRoute"):
        change = f"{{set: [{{name: {_HEADER}, value: {key}}}]}}"
        return f"filters: [{{type: RequestHeaderModifier, requestHeaderModifier: {change}}}]"
    return f"headers: {{request: {{set: {{{_HEADER}: {key}}}}}}}"
