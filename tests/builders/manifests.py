"""The same split in the three kinds of manifest, with what a careless edit would lose."""

TRAFFIC_SPLIT = """\
apiVersion: split.smi-spec.io/v1alpha2
kind: TrafficSplit
metadata:
  name: exam
  namespace: shop
spec:
  service: exam
  backends:
  - service: exam-stable
    weight: 90   # was 95
  - service: 'exam-canary'
    weight: 10
"""
VIRTUAL_SERVICE = """\
apiVersion: networking.istio.io/v1beta1
kind: VirtualService
metadata: {name: exam, namespace: shop}
spec:
  hosts: [exam]
  http:
  - match:
    - headers: {x-test: {exact: "yes"}}
    route:
    - destination: {host: exam, subset: exam-canary}
  # everybody else
  - route:
    - destination: {host: exam, subset: exam-stable}
      weight: 90
    - destination: {host: exam, subset: exam-canary}
      weight: 10
"""
HTTP_ROUTE = """\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: exam, namespace: shop}
spec:
  parentRefs: [{name: gateway}]
  rules:
  - backendRefs: [{name: exam-stable, port: 80, weight: 900},
                  {name: exam-canary, port: 80, weight: 100}]
"""
BY_KIND = {
    "TrafficSplit": TRAFFIC_SPLIT,
    "VirtualService": VIRTUAL_SERVICE,
    "HTTPRoute": HTTP_ROUTE,
}
NAMES = {"stable": "exam-stable", "canary": "exam-canary"}
