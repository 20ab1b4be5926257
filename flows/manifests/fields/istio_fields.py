"""The fields of Istio's VirtualService and DestinationRule (networking.istio.io, all versions)."""

from __future__ import annotations

from flows.manifests.fields.field_check import (
    FLAG,
    NUMBER,
    TEXT,
    TEXT_BY_NAME,
    TEXTS,
    OneOf,
    Retired,
    Shape,
    Table,
    whole,
)

_MATCHED: Shape = {"exact": TEXT, "prefix": TEXT, "regex": TEXT}
_MATCHED_BY_NAME: Shape = {"*": _MATCHED}
_PORT: Shape = {"number": NUMBER}
_PERCENT: Shape = {"value": NUMBER}

_DESTINATION: Table = {
    "host!": TEXT,
    "subset": TEXT,
    "port": _PORT,
    "name": Retired("was renamed to `host` in v1alpha3; Istio doesn't read it"),
    "labels": Retired("isn't read; name a subset of a DestinationRule instead"),
}
_CHANGES: Shape = {"set": TEXT_BY_NAME, "add": TEXT_BY_NAME, "remove": TEXTS}
_HEADERS: Shape = {"request": _CHANGES, "response": _CHANGES}
_WEIGHTED: Table = {"destination!": _DESTINATION, "weight": NUMBER}

HTTP_MATCH: Table = {
    "name": TEXT,
    "uri": _MATCHED,
    "scheme": _MATCHED,
    "method": _MATCHED,
    "authority": _MATCHED,
    "headers": _MATCHED_BY_NAME,
    "withoutHeaders": _MATCHED_BY_NAME,
    "queryParams": _MATCHED_BY_NAME,
    "port": NUMBER,
    "sourceLabels": TEXT_BY_NAME,
    "sourceNamespace": TEXT,
    "gateways": TEXTS,
    "ignoreUriCase": FLAG,
    "statPrefix": TEXT,
}
_PERCENT_RETIRED = Retired("is deprecated, write `percentage: {value: ...}`", still_read=True)
_FAULT: Shape = {
    "delay": {
        "percentage": _PERCENT,
        "percent": _PERCENT_RETIRED,
        "fixedDelay": TEXT,
        "exponentialDelay": TEXT,
    },
    "abort": {
        "percentage": _PERCENT,
        "percent": Retired("isn't read any more, write `percentage: {value: ...}`"),
        "httpStatus": NUMBER,
        "grpcStatus": TEXT,
        "http2Error": TEXT,
    },
}
_CORS: Shape = {
    "allowOrigin": Retired("is deprecated, write `allowOrigins`", still_read=True),
    "allowOrigins": [_MATCHED],
    "allowMethods": TEXTS,
    "allowHeaders": TEXTS,
    "exposeHeaders": TEXTS,
    "maxAge": TEXT,
    "allowCredentials": FLAG,
    "unmatchedPreflights": TEXT,
}
HTTP_ROUTE: Table = {
    "name": TEXT,
    "match": [HTTP_MATCH],
    "route": [{**_WEIGHTED, "headers": _HEADERS}],
    "redirect": {
        "uri": TEXT,
        "authority": TEXT,
        "port": NUMBER,
        "derivePort": TEXT,
        "scheme": TEXT,
        "redirectCode": NUMBER,
    },
    "directResponse": {"status!": NUMBER, "body": {"string": TEXT, "bytes": TEXT}},
    "delegate": {"name": TEXT, "namespace": TEXT},
    "rewrite": {
        "uri": TEXT,
        "authority": TEXT,
        "uriRegexRewrite": {"match": TEXT, "rewrite": TEXT},
    },
    "timeout": TEXT,
    "retries": {
        "attempts": NUMBER,
        "perTryTimeout": TEXT,
        "retryOn": TEXT,
        "retryRemoteLocalities": FLAG,
        "retryIgnorePreviousHosts": FLAG,
        "backoff": TEXT,
    },
    "fault": _FAULT,
    "mirror": _DESTINATION,
    "mirrors": [{"destination!": _DESTINATION, "percentage": _PERCENT}],
    "mirrorPercentage": _PERCENT,
    "mirrorPercent": Retired("is deprecated, write `mirrorPercentage`", still_read=True),
    "mirror_percent": Retired("is deprecated, write `mirrorPercentage`", still_read=True),
    "websocketUpgrade": Retired("was dropped: websockets need no setting"),
    "corsPolicy": _CORS,
    "headers": _HEADERS,
}
_L4_MATCH: Table = {
    "destinationSubnets": TEXTS,
    "port": NUMBER,
    "sourceLabels": TEXT_BY_NAME,
    "sourceNamespace": TEXT,
    "sourceSubnet": TEXT,
    "gateways": TEXTS,
}
VIRTUAL_SERVICE = whole(
    {
        "hosts": TEXTS,
        "gateways": TEXTS,
        "exportTo": TEXTS,
        "http": [HTTP_ROUTE],
        "tls": [{"match!": [{**_L4_MATCH, "sniHosts!": TEXTS}], "route": [_WEIGHTED]}],
        "tcp": [{"match": [_L4_MATCH], "route": [_WEIGHTED]}],
    }
)

_LOCALITY: Shape = {
    "distribute": [{"from": TEXT, "to": {"*": NUMBER}}],
    "failover": [{"from": TEXT, "to": TEXT}],
    "failoverPriority": TEXTS,
    "enabled": FLAG,
}
_COOKIE: Shape = {
    "name!": TEXT,
    "path": TEXT,
    "ttl": TEXT,
    "attributes": [{"name!": TEXT, "value": TEXT}],
}
_BALANCER: Shape = {
    "simple": OneOf(
        ("UNSPECIFIED", "LEAST_CONN", "RANDOM", "PASSTHROUGH", "ROUND_ROBIN", "LEAST_REQUEST"),
        {"LEAST_CONN": "write LEAST_REQUEST (it means the same)"},
    ),
    "consistentHash": {
        "httpHeaderName": TEXT,
        "httpCookie": _COOKIE,
        "useSourceIp": FLAG,
        "httpQueryParameterName": TEXT,
        "ringHash": {"minimumRingSize": NUMBER},
        "maglev": {"tableSize": NUMBER},
        "minimumRingSize": NUMBER,
    },
    "localityLbSetting": _LOCALITY,
    "warmupDurationSecs": TEXT,
    "warmup": {"duration!": TEXT, "minimumPercent": NUMBER, "aggression": NUMBER},
}
_POOL: Shape = {
    "tcp": {
        "maxConnections": NUMBER,
        "connectTimeout": TEXT,
        "tcpKeepalive": {"probes": NUMBER, "time": TEXT, "interval": TEXT},
        "maxConnectionDuration": TEXT,
        "idleTimeout": TEXT,
    },
    "http": {
        "http1MaxPendingRequests": NUMBER,
        "http2MaxRequests": NUMBER,
        "maxRequestsPerConnection": NUMBER,
        "maxRetries": NUMBER,
        "idleTimeout": TEXT,
        "h2UpgradePolicy": OneOf(("DEFAULT", "DO_NOT_UPGRADE", "UPGRADE")),
        "useClientProtocol": FLAG,
        "maxConcurrentStreams": NUMBER,
    },
}
_OUTLIERS: Shape = {
    "splitExternalLocalOriginErrors": FLAG,
    "consecutiveLocalOriginFailures": NUMBER,
    "consecutiveErrors": Retired("is deprecated, write `consecutive5xxErrors`", still_read=True),
    "consecutiveGatewayErrors": NUMBER,
    "consecutive5xxErrors": NUMBER,
    "interval": TEXT,
    "baseEjectionTime": TEXT,
    "maxEjectionPercent": NUMBER,
    "minHealthPercent": NUMBER,
}
_TLS: Shape = {
    "mode": OneOf(("DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL")),
    "clientCertificate": TEXT,
    "privateKey": TEXT,
    "caCertificates": TEXT,
    "caCrl": TEXT,
    "credentialName": TEXT,
    "subjectAltNames": TEXTS,
    "sni": TEXT,
    "insecureSkipVerify": FLAG,
}
_PORT_POLICY: Table = {
    "loadBalancer": _BALANCER,
    "connectionPool": _POOL,
    "outlierDetection": _OUTLIERS,
    "tls": _TLS,
}
_POLICY: Table = {
    **_PORT_POLICY,
    "portLevelSettings": [{**_PORT_POLICY, "port": _PORT}],
    "tunnel": {"protocol": TEXT, "targetHost!": TEXT, "targetPort!": NUMBER},
    "proxyProtocol": {"version": TEXT},
    "retryBudget": {"percent": _PERCENT, "minRetryConcurrency": NUMBER},
}
DESTINATION_RULE = whole(
    {
        "host!": TEXT,
        "trafficPolicy": _POLICY,
        "subsets": [{"name!": TEXT, "labels": TEXT_BY_NAME, "trafficPolicy": _POLICY}],
        "exportTo": TEXTS,
        "workloadSelector": {"matchLabels": TEXT_BY_NAME},
    }
)
