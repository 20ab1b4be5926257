"""The metric families, by the mesh that a spec names."""

from flows.ingest.requests.mesh.envoy import ENVOY
from flows.ingest.requests.mesh.family import Family
from flows.ingest.requests.mesh.istio import ISTIO
from flows.ingest.requests.mesh.linkerd import LINKERD, LINKERD_POLICY, LINKERD_ROUTE
from flows.spec.experiment import Mesh

FAMILIES: dict[Mesh, Family] = {
    family.mesh: family for family in (ISTIO, LINKERD, LINKERD_ROUTE, LINKERD_POLICY, ENVOY)
}
