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
    "name!": TEXT,
    "interval": TEXT,
    "threshold": Retired("is deprecated, write `thresholdRange: {min: ..., max: ...}`", True),
    "thresholdRange": {"min": NUMBER, "max": NUMBER},
    "query": TEXT,
    "templateRef": _PLACE,
    "templateVariables": TEXT_BY_NAME,
}
_WEBHOOK: Shape = {
    "name!": TEXT,
    "type": OneOf(_WEBHOOKS),
    "url!": TEXT,
    "timeout": TEXT,
    "muteAlert": FLAG,
    "retries": NUMBER,
    "disableTLS": FLAG,
    "metadata": TEXT_BY_NAME,
}
_ALERT: Shape = {"name!": TEXT, "severity": TEXT, "providerRef!": _PLACE}
_AFFINITY: Shape = {
    "cookieName!": TEXT,
    "primaryCookieName": TEXT,
    "domain": TEXT,
    "httpOnly": FLAG,
    "maxAge": NUMBER,
    "partitioned": FLAG,
    "path": TEXT,
    "sameSite": TEXT,
    "secure": FLAG,
}
_MATCHED: Shape = {"exact": TEXT, "prefix": TEXT, "suffix": TEXT, "regex": TEXT}
_ANALYSIS: Table = {
    "interval": TEXT,
    "threshold": NUMBER,
    "iterations": NUMBER,
    "maxWeight": NUMBER,
    "stepWeight": NUMBER,
    "stepWeights": [NUMBER],
    "stepWeightPromotion": NUMBER,
    "mirror": FLAG,
    "mirrorWeight": NUMBER,
    "primaryReadyThreshold": NUMBER,
    "canaryReadyThreshold": NUMBER,
    "match": [{**HTTP_MATCH, "headers": {"*": _MATCHED}}],
    "metrics": [_METRIC],
    "alerts": [_ALERT],
    "webhooks": [_WEBHOOK],
    "sessionAffinity": _AFFINITY,
}
_ROUTE_PARTS: Table = {name: HTTP_ROUTE[name] for name in ("retries", "headers", "corsPolicy")}
_SERVICE: Table = {
    "name": TEXT,
    "port!": NUMBER,
    "portName": TEXT,
    "appProtocol": TEXT,
    "trafficDistribution": TEXT,
    "targetPort": TEXT_OR_NUMBER,
    "portDiscovery": FLAG,
    "headless": FLAG,
    "timeout": TEXT,
    "backendTimeout": TEXT,
    "meshName": TEXT,
    "backends": TEXTS,
    "gateways": TEXTS,
    "gatewayRefs": [ANY],
    "hosts": TEXTS,
    "delegation": FLAG,
    "trafficPolicy": ANY,
    "match": [HTTP_MATCH],
    "rewrite": {"uri": TEXT, "authority": TEXT, "type": TEXT, "uriRegexRewrite": ANY},
    **_ROUTE_PARTS,
    "mirror": [ANY],
    "apex": _LABELS,
    "primary": _LABELS,
    "canary": _LABELS,
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
            "provider": TEXT,
            "metricsServer": TEXT,
            "progressDeadlineSeconds": NUMBER,
            "targetRef!": _REFERENCE,
            "autoscalerRef": {
                **_REFERENCE,
                "primaryScalerQueries": TEXT_BY_NAME,
                "primaryScalerReplicas": {"minReplicas": NUMBER, "maxReplicas": NUMBER},
            },
            "ingressRef": _REFERENCE,
            "routeRef": _REFERENCE,
            "upstreamRef": {**_REFERENCE, "namespace": TEXT},
            "service": _SERVICE,
            "skipAnalysis": FLAG,
            "revertOnDeletion": FLAG,
            "suspend": FLAG,
            **analysis,
        }
    )
