"""The fields of Flagger's Canary (flagger.app, v1beta1 and the versions before)."""

from __future__ import annotations

from flows.manifests.fields.field_check import (
    ANY,
    FLAG,
    NUMBER,
    TEXT,
    TEXT_BY_NAME,
    TEXT_OR_NUMBER,
    TEXTS,
    OneOf,
    Retired,
    Shape,
    Table,
    each,
    whole,
)
from flows.manifests.fields.istio_fields import HTTP_MATCH, HTTP_ROUTE

_REFERENCE: Table = {"apiVersion!": TEXT, "kind!": TEXT, "name!": TEXT}
_LABELS: Shape = {"labels": TEXT_BY_NAME, "annotations": TEXT_BY_NAME}
_PLACE: Shape = {"name!": TEXT, "namespace": TEXT}
_WEBHOOKS = (
    "",
    "confirm-rollout",
    "pre-rollout",
    "rollout",
    "confirm-traffic-increase",
    "confirm-promotion",
    "post-rollout",
    "rollback",
    "event",
)
_METRIC: Shape = {
    **each(TEXT, "name! interval query"),
    "templateRef": _PLACE,
    "templateVariables": TEXT_BY_NAME,
    "threshold": Retired("is deprecated, write `thresholdRange: {min: ..., max: ...}`", True),
    "thresholdRange": {"min": NUMBER, "max": NUMBER},
}
_WEBHOOK: Shape = {
    **each(TEXT, "name! url! timeout"),
    **each(FLAG, "muteAlert disableTLS"),
    "retries": NUMBER,
    "metadata": TEXT_BY_NAME,
    "type": OneOf(_WEBHOOKS),
}
_ALERT: Shape = {"name!": TEXT, "severity": TEXT, "providerRef!": _PLACE}
_AFFINITY: Shape = {
    **each(TEXT, "cookieName! primaryCookieName domain path sameSite"),
    **each(FLAG, "httpOnly partitioned secure"),
    "maxAge": NUMBER,
}
_MATCHED: Shape = {"exact": TEXT, "prefix": TEXT, "suffix": TEXT, "regex": TEXT}
_ANALYSIS: Table = {
    "interval": TEXT,
    **each(NUMBER, "threshold iterations maxWeight stepWeight stepWeightPromotion"),
    **each(NUMBER, "mirrorWeight primaryReadyThreshold canaryReadyThreshold"),
    "mirror": FLAG,
    "sessionAffinity": _AFFINITY,
    "stepWeights": [NUMBER],
    "match": [{**HTTP_MATCH, "headers": {"*": _MATCHED}}],
    "metrics": [_METRIC],
    "alerts": [_ALERT],
    "webhooks": [_WEBHOOK],
}
_ROUTE_PARTS: Table = {name: HTTP_ROUTE[name] for name in ("retries", "headers", "corsPolicy")}
_SERVICE: Table = {
    **each(TEXT, "name portName appProtocol trafficDistribution timeout"),
    **each(TEXT, "backendTimeout meshName"),
    "port!": NUMBER,
    "targetPort": TEXT_OR_NUMBER,
    **each(FLAG, "portDiscovery headless delegation"),
    **each(TEXTS, "backends gateways hosts"),
    "trafficPolicy": ANY,
    **each(_LABELS, "apex primary canary"),
    "gatewayRefs": [ANY],
    "match": [HTTP_MATCH],
    "rewrite": {"uri": TEXT, "authority": TEXT, "type": TEXT, "uriRegexRewrite": ANY},
    **_ROUTE_PARTS,
    "mirror": [ANY],
    "unmanagedMetadata": {"labels": TEXTS, "annotations": TEXTS},
}


def fields(version: str) -> Table:
    """The fields of one version; before v1beta1 the analysis has another name.

    `service` is required of all targets but Knative's, which the reader checks.
    """
    current = version not in ("v1alpha1", "v1alpha2", "v1alpha3")
    old = Retired("was renamed to `analysis` in v1beta1", still_read=True)
    analysis: Table = (
        {"analysis!": _ANALYSIS, "canaryAnalysis": old}
        if current
        else {"canaryAnalysis!": _ANALYSIS}
    )
    return whole(
        {
            **each(TEXT, "provider metricsServer"),
            "progressDeadlineSeconds": NUMBER,
            **each(_REFERENCE, "targetRef! ingressRef routeRef"),
            "service": _SERVICE,
            **each(FLAG, "skipAnalysis revertOnDeletion suspend"),
            "autoscalerRef": {
                "primaryScalerQueries": TEXT_BY_NAME,
                **_REFERENCE,
                "primaryScalerReplicas": {"minReplicas": NUMBER, "maxReplicas": NUMBER},
            },
            "upstreamRef": {**_REFERENCE, "namespace": TEXT},
            **analysis,
        }
    )
