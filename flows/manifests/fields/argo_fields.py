"""The fields of Argo's Rollout (argoproj.io/v1alpha1)."""

from __future__ import annotations

from flows.manifests.fields.field_check import (
    ANY,
    FLAG,
    NUMBER,
    TEXT,
    TEXT_BY_NAME,
    TEXT_OR_NUMBER,
    TEXTS,
    Shape,
    Table,
    each,
    whole,
)

_MATCHED: Shape = {"exact": TEXT, "prefix": TEXT, "regex": TEXT}
_METADATA: Shape = {"labels": TEXT_BY_NAME, "annotations": TEXT_BY_NAME}
_TEMPLATES: Shape = [{"templateName!": TEXT, "clusterScope": FLAG}]
_ANALYSIS: Table = {
    "templates": _TEMPLATES,
    "analysisRunMetadata": _METADATA,
    "args": [{"name!": TEXT, "value": TEXT, "valueFrom": ANY}],
    "dryRun": [ANY],
    "measurementRetention": [ANY],
}
_EXPERIMENT: Shape = {
    "duration": TEXT,
    "analysisRunMetadata": _METADATA,
    "templates": [
        {
            **each(TEXT, "name! specRef!"),
            **each(NUMBER, "weight replicas"),
            **each(ANY, "service selector"),
            "metadata": _METADATA,
        }
    ],
    "analyses": [
        {
            **each(TEXT, "name! templateName!"),
            **each(FLAG, "clusterScope requiredForCompletion"),
            "analysisRunMetadata": _METADATA,
            "args": _ANALYSIS["args"],
        }
    ],
    "dryRun": [ANY],
}
_STEP: Table = {
    "setWeight": NUMBER,
    "analysis": _ANALYSIS,
    "experiment": _EXPERIMENT,
    "replicaProgressThreshold": ANY,
    "pause": {"duration": TEXT_OR_NUMBER},
    "setCanaryScale": {"weight": NUMBER, "replicas": NUMBER, "matchTrafficWeight": FLAG},
    "setHeaderRoute": {"name": TEXT, "match": [{"headerName!": TEXT, "headerValue!": _MATCHED}]},
    "setMirrorRoute": {
        "name!": TEXT,
        "percentage": NUMBER,
        "match": [{"method": _MATCHED, "path": _MATCHED, "headers": {"*": _MATCHED}}],
    },
    "plugin": {"name!": TEXT, "config": ANY},
}
_VIRTUAL_SERVICE: Table = {
    "name!": TEXT,
    "routes": TEXTS,
    "tlsRoutes": [{"port": NUMBER, "sniHosts": TEXTS}],
    "tcpRoutes": [{"port": NUMBER}],
}
_ROUTING: Shape = {
    **each(ANY, "appMesh apisix"),
    "maxTrafficWeight": NUMBER,
    "istio": {
        "virtualService": _VIRTUAL_SERVICE,
        "virtualServices": [_VIRTUAL_SERVICE],
        "destinationRule": {**each(TEXT, "name! canarySubsetName! stableSubsetName!")},
    },
    "smi": {"rootService": TEXT, "trafficSplitName": TEXT},
    "nginx": {
        **each(TEXT, "stableIngress annotationPrefix"),
        "stableIngresses": TEXTS,
        **each(TEXT_BY_NAME, "additionalIngressAnnotations canaryIngressAnnotations"),
    },
    "alb": {
        **each(TEXT, "ingress rootService annotationPrefix"),
        "ingresses": TEXTS,
        "servicePort!": NUMBER,
        "stickinessConfig": ANY,
    },
    "ambassador": {"mappings!": TEXTS},
    "traefik": {"weightedTraefikServiceName!": TEXT},
    "plugins": {"*": ANY},
    "managedRoutes": [{"name!": TEXT}],
}
_DELAYS: Table = {
    **each(NUMBER, "scaleDownDelaySeconds scaleDownDelayRevisionLimit"),
    "abortScaleDownDelaySeconds": NUMBER,
    "maxUnavailable": TEXT_OR_NUMBER,
    "antiAffinity": ANY,
}
_CANARY: Table = {
    **each(TEXT, "canaryService stableService"),
    "trafficRouting": _ROUTING,
    "maxSurge": TEXT_OR_NUMBER,
    **each(_METADATA, "canaryMetadata stableMetadata"),
    "dynamicStableScale": FLAG,
    "minPodsPerReplicaSet": NUMBER,
    "replicaProgressThreshold": ANY,
    "steps": [_STEP],
    "analysis": {**_ANALYSIS, "startingStep": NUMBER},
    "pingPong": {"pingService!": TEXT, "pongService!": TEXT},
    **_DELAYS,
}
_BLUE_GREEN: Table = {
    **each(TEXT, "activeService! previewService"),
    **each(NUMBER, "previewReplicaCount autoPromotionSeconds"),
    "autoPromotionEnabled": FLAG,
    **each(_ANALYSIS, "prePromotionAnalysis postPromotionAnalysis"),
    **each(_METADATA, "activeMetadata previewMetadata"),
    **_DELAYS,
}
ROLLOUT = whole(
    {
        **each(NUMBER, "replicas minReadySeconds revisionHistoryLimit"),
        "progressDeadlineSeconds": NUMBER,
        **each(FLAG, "paused progressDeadlineAbort"),
        "restartAt": TEXT,
        "selector": {"matchLabels": TEXT_BY_NAME, "matchExpressions": [ANY]},
        "template": {"metadata": {"*": ANY}, "spec": {"*": ANY}},
        "workloadRef": {**each(TEXT, "apiVersion kind name scaleDown")},
        "rollbackWindow": {"revisions": NUMBER},
        "strategy": {"canary": _CANARY, "blueGreen": _BLUE_GREEN},
        "analysis": {**each(NUMBER, "successfulRunHistoryLimit unsuccessfulRunHistoryLimit")},
    }
)
