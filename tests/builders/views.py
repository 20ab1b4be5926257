"""Experiments as the guide has them, one per mesh, for the dashboards' tests."""

from dataclasses import replace

from dashboards.experiment_view import ExperimentView, MetricView, VariantView

ISTIO = ExperimentView(
    name="exam-canary",
    service="exam-service",
    namespace="edtech-production",
    mesh="istio",
    baseline=VariantView("stable", "v1"),
    candidates=(VariantView("canary", "v2"),),
    has_conversions=True,
    metrics=(MetricView("errors", is_share=True), MetricView("finished", is_share=False)),
)
LINKERD = ExperimentView(
    name="exam-linkerd",
    service="exam-service",
    namespace="edtech-production",
    mesh="linkerd",
    baseline=VariantView("stable", "exam-service-stable"),
    candidates=(VariantView("canary", "exam-service-canary"),),
)
LINKERD_OUTBOUND = replace(LINKERD, name="exam-linkerd-outbound", reporter="source")
LINKERD_ROUTE = replace(LINKERD, name="exam-route", mesh="linkerd-route")
LINKERD_ROUTE_OUTBOUND = replace(
    LINKERD_ROUTE,
    name="exam-route-outbound",
    reporter="source",
    baseline=VariantView("stable", "exam-service-stable.edtech-production.svc.cluster.local:80"),
    candidates=(
        VariantView("canary", "exam-service-canary.edtech-production.svc.cluster.local:80"),
    ),
)
LINKERD_POLICY = replace(LINKERD, name="exam-policy", mesh="linkerd-policy")
ENVOY = replace(LINKERD, name="exam-envoy", mesh="envoy")
# Variants that only labels tell apart, and three arms.
BY_LABELS = replace(
    ISTIO,
    name="exam-tiers",
    baseline=VariantView("standard", None, {"destination_app": "standard"}),
    candidates=(VariantView("premium", None, {"destination_app": "premium"}),),
    match={"request_protocol": "http"},
)
USERS_ONLY = replace(ISTIO, name="quiz-format", mesh=None)

ALL = (
    ISTIO,
    LINKERD,
    LINKERD_OUTBOUND,
    LINKERD_ROUTE,
    LINKERD_ROUTE_OUTBOUND,
    LINKERD_POLICY,
    ENVOY,
    BY_LABELS,
    USERS_ONLY,
)
