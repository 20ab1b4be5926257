"""The metric families, by the mesh that a spec names."""

from flows.sources.envoy import ENVOY
from flows.sources.istio import ISTIO
from flows.sources.linkerd import LINKERD, LINKERD_POLICY, LINKERD_ROUTE
from flows.sources.mesh import Family
from flows.spec import Mesh

FAMILIES: dict[Mesh, Family] = {
    family.mesh: family for family in (ISTIO, LINKERD, LINKERD_ROUTE, LINKERD_POLICY, ENVOY)
}
