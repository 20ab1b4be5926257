"""The kinds of manifests that are read, each with its versions, its fields and its reader."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from flows.manifests.fields.argo_fields import ROLLOUT
from flows.manifests.fields.field_check import FieldFinding, Table
from flows.manifests.fields.flagger_fields import fields as canary_fields
from flows.manifests.fields.gateway_api_fields import GRPC_ROUTE, HTTP_ROUTE
from flows.manifests.fields.istio_fields import DESTINATION_RULE, VIRTUAL_SERVICE
from flows.manifests.kinds import (
    argo_rollout,
    destination_rule,
    flagger_canary,
    http_route,
    service_profile,
    traffic_split,
    virtual_service,
)
from flows.manifests.objects import Manifest, ManifestSet
from flows.manifests.split import Split


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind is read.

    groups: API groups and the versions of each. fields: its table for a version.
    """

    groups: Mapping[str, tuple[str, ...]]
    fields: Callable[[str], Table]
    read_splits: Callable[[Manifest, ManifestSet], Iterator[Split]]
    find_problems: Callable[[Manifest, ManifestSet], Iterator[FieldFinding]]


_ISTIO = {"networking.istio.io": ("v1", "v1beta1", "v1alpha3")}
_GATEWAY = ("v1", "v1beta1", "v1alpha2")
_LINKERD = ("v1beta3", "v1beta2", "v1beta1", "v1alpha1")

KINDS = {
    "TrafficSplit": Kind(
        {"split.smi-spec.io": ("v1alpha4", "v1alpha3", "v1alpha2", "v1alpha1")},
        traffic_split.fields,
        traffic_split.read_splits,
        traffic_split.find_problems,
    ),
    "VirtualService": Kind(
        _ISTIO,
        lambda _: VIRTUAL_SERVICE,
        virtual_service.read_splits,
        virtual_service.find_problems,
    ),
    "DestinationRule": Kind(
        _ISTIO,
        lambda _: DESTINATION_RULE,
        destination_rule.read_splits,
        destination_rule.find_problems,
    ),
    "HTTPRoute": Kind(
        {"gateway.networking.k8s.io": _GATEWAY, "policy.linkerd.io": _LINKERD},
        lambda _: HTTP_ROUTE,
        http_route.read_splits,
        http_route.find_problems,
    ),
    "GRPCRoute": Kind(
        {"gateway.networking.k8s.io": _GATEWAY},
        lambda _: GRPC_ROUTE,
        http_route.read_splits,
        http_route.find_problems,
    ),
    "ServiceProfile": Kind(
        {"linkerd.io": ("v1alpha2", "v1alpha1")},
        lambda _: service_profile.FIELDS,
        service_profile.read_splits,
        service_profile.find_problems,
    ),
    "Canary": Kind(
        {"flagger.app": ("v1beta1", "v1alpha3", "v1alpha2", "v1alpha1")},
        canary_fields,
        flagger_canary.read_splits,
        flagger_canary.find_problems,
    ),
    "Rollout": Kind(
        {"argoproj.io": ("v1alpha1",)},
        lambda _: ROLLOUT,
        argo_rollout.read_splits,
        argo_rollout.find_problems,
    ),
}


def kind_of(manifest: Manifest) -> Kind | None:
    """How the manifest is read; None for kinds that split nothing (Service, Deployment ...).

    Other groups have kinds of the same names, so the group decides too.
    """
    kind = KINDS.get(manifest.kind)
    return kind if kind and manifest.group in kind.groups else None
