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
    whole,
)

_MATCHED: Shape = {"exact": TEXT, "prefix": TEXT, "regex": TEXT}
_METADATA: Shape = {"labels": TEXT_BY_NAME, "annotations": TEXT_BY_NAME}
_TEMPLATES: Shape = [{"templateName!": TEXT, "clusterScope": FLAG}]
_ANALYSIS: Table = {
    "templates": _TEMPLATES,
    "args": [{"name!": TEXT, "value": TEXT, "valueFrom": ANY}],
    "analysisRunMetadata": _METADATA,
    "dryRun": [ANY],
    "measurementRetention": [ANY],
}
_EXPERIMENT: Shape = {
    "duration": TEXT,
    "templates": [
        {
            "name!": TEXT,
            "specRef!": TEXT,
            "weight": NUMBER,
            "replicas": NUMBER,
            "service": ANY,
            "metadata": _METADATA,
            "selector": ANY,
        }
    ],
    "analyses": [
        {
            "name!": TEXT,
            "templateName!": TEXT,
            "clusterScope": FLAG,
            "args": _ANALYSIS["args"],
            "requiredForCompletion": FLAG,
            "analysisRunMetadata": _METADATA,
        }
    ],
    "dryRun": [ANY],
    "analysisRunMetadata": _METADATA,
}
_STEP: Table = {
    "setWeight": NUMBER,
    "pause": {"duration": TEXT_OR_NUMBER},
    "setCanaryScale": {"weight": NUMBER, "replicas": NUMBER, "matchTrafficWeight": FLAG},
    "setHeaderRoute": {
        "name": TEXT,
        "match": [{"headerName!": TEXT, "headerValue!": _MATCHED}],
    },
    "setMirrorRoute": {
        "name!": TEXT,
        "percentage": NUMBER,
        "match": [{"method": _MATCHED, "path": _MATCHED, "headers": {"*": _MATCHED}}],
    },
    "analysis": _ANALYSIS,
    "experiment": _EXPERIMENT,
    "plugin": {"name!": TEXT, "config": ANY},
    "replicaProgressThreshold": ANY,
}
_VIRTUAL_SERVICE: Table = {
    "name!": TEXT,
    "routes": TEXTS,
    "tlsRoutes": [{"port": NUMBER, "sniHosts": TEXTS}],
    "tcpRoutes": [{"port": NUMBER}],
}
_ROUTING: Shape = {
    "istio": {
        "virtualService": _VIRTUAL_SERVICE,
        "virtualServices": [_VIRTUAL_SERVICE],
        "destinationRule": {
            "name!": TEXT,
            "canarySubsetName!": TEXT,
            "stableSubsetName!": TEXT,
        },
    },
    "smi": {"rootService": TEXT, "trafficSplitName": TEXT},
    "nginx": {
        "stableIngress": TEXT,
        "stableIngresses": TEXTS,
        "annotationPrefix": TEXT,
        "additionalIngressAnnotations": TEXT_BY_NAME,
        "canaryIngressAnnotations": TEXT_BY_NAME,
    },
    "alb": {
        "ingress": TEXT,
        "ingresses": TEXTS,
        "servicePort!": NUMBER,
        "rootService": TEXT,
        "annotationPrefix": TEXT,
        "stickinessConfig": ANY,
    },
    "ambassador": {"mappings!": TEXTS},
    "appMesh": ANY,
    "traefik": {"weightedTraefikServiceName!": TEXT},
    "apisix": ANY,
    "plugins": {"*": ANY},
    "managedRoutes": [{"name!": TEXT}],
    "maxTrafficWeight": NUMBER,
}
_DELAYS: Table = {
    "scaleDownDelaySeconds": NUMBER,
    "scaleDownDelayRevisionLimit": NUMBER,
    "abortScaleDownDelaySeconds": NUMBER,
    "maxUnavailable": TEXT_OR_NUMBER,
    "antiAffinity": ANY,
}
_CANARY: Table = {
    "canaryService": TEXT,
    "stableService": TEXT,
    "steps": [_STEP],
    "trafficRouting": _ROUTING,
    "maxSurge": TEXT_OR_NUMBER,
    "analysis": {**_ANALYSIS, "startingStep": NUMBER},
    "canaryMetadata": _METADATA,
    "stableMetadata": _METADATA,
    "dynamicStableScale": FLAG,
    "pingPong": {"pingService!": TEXT, "pongService!": TEXT},
    "minPodsPerReplicaSet": NUMBER,
    "replicaProgressThreshold": ANY,
    **_DELAYS,
}
_BLUE_GREEN: Table = {
    "activeService!": TEXT,
    "previewService": TEXT,
    "previewReplicaCount": NUMBER,
    "autoPromotionEnabled": FLAG,
    "autoPromotionSeconds": NUMBER,
    "prePromotionAnalysis": _ANALYSIS,
    "postPromotionAnalysis": _ANALYSIS,
    "activeMetadata": _METADATA,
    "previewMetadata": _METADATA,
    **_DELAYS,
}
ROLLOUT = whole(
    {
        "replicas": NUMBER,
        "selector": {"matchLabels": TEXT_BY_NAME, "matchExpressions": [ANY]},
        "template": {"metadata": {"*": ANY}, "spec": {"*": ANY}},
        "workloadRef": {
            "apiVersion": TEXT,
            "kind": TEXT,
            "name": TEXT,
            "scaleDown": TEXT,
        },
        "minReadySeconds": NUMBER,
        "revisionHistoryLimit": NUMBER,
        "paused": FLAG,
        "progressDeadlineSeconds": NUMBER,
        "progressDeadlineAbort": FLAG,
        "restartAt": TEXT,
        "rollbackWindow": {"revisions": NUMBER},
        "strategy": {"canary": _CANARY, "blueGreen": _BLUE_GREEN},
        "analysis": {
            "successfulRunHistoryLimit": NUMBER,
            "unsuccessfulRunHistoryLimit": NUMBER,
        },
    }
)
