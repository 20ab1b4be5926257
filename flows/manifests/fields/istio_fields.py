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
    each,
    whole,
)

_MATCHED: Shape = {"exact": TEXT, "prefix": TEXT, "regex": TEXT}
_MATCHED_BY_NAME: Shape = {"*": _MATCHED}
_PORT: Shape = {"number": NUMBER}
_PERCENT: Shape = {"value": NUMBER}

_DESTINATION: Table = {
    **each(TEXT, "host! subset"),
    "port": _PORT,
    "name": Retired("was renamed to `host` in v1alpha3; Istio doesn't read it"),
    "labels": Retired("isn't read; name a subset of a DestinationRule instead"),
}
_CHANGES: Shape = {"set": TEXT_BY_NAME, "add": TEXT_BY_NAME, "remove": TEXTS}
_HEADERS: Shape = {"request": _CHANGES, "response": _CHANGES}
_WEIGHTED: Table = {"destination!": _DESTINATION, "weight": NUMBER}

HTTP_MATCH: Table = {
    **each(TEXT, "name sourceNamespace statPrefix"),
    **each(_MATCHED, "uri scheme method authority"),
    **each(_MATCHED_BY_NAME, "headers withoutHeaders queryParams"),
    "port": NUMBER,
    "sourceLabels": TEXT_BY_NAME,
    "gateways": TEXTS,
    "ignoreUriCase": FLAG,
}
_PERCENT_RETIRED = Retired("is deprecated, write `percentage: {value: ...}`", still_read=True)
_FAULT: Shape = {
    "delay": {
        "percentage": _PERCENT,
        "percent": _PERCENT_RETIRED,
        **each(TEXT, "fixedDelay exponentialDelay"),
    },
    "abort": {
        "percentage": _PERCENT,
        "httpStatus": NUMBER,
        **each(TEXT, "grpcStatus http2Error"),
        "percent": Retired("isn't read any more, write `percentage: {value: ...}`"),
    },
}
_CORS: Shape = {
    **each(TEXTS, "allowMethods allowHeaders exposeHeaders"),
    **each(TEXT, "maxAge unmatchedPreflights"),
    "allowCredentials": FLAG,
    "allowOrigin": Retired("is deprecated, write `allowOrigins`", still_read=True),
    "allowOrigins": [_MATCHED],
}
HTTP_ROUTE: Table = {
    **each(TEXT, "name timeout"),
    "fault": _FAULT,
    "mirror": _DESTINATION,
    "mirrorPercentage": _PERCENT,
    "corsPolicy": _CORS,
    "headers": _HEADERS,
    "match": [HTTP_MATCH],
    "route": [{**_WEIGHTED, "headers": _HEADERS}],
    "redirect": {
        **each(TEXT, "uri authority derivePort scheme"),
        **each(NUMBER, "port redirectCode"),
    },
    "directResponse": {"status!": NUMBER, "body": {"string": TEXT, "bytes": TEXT}},
    "delegate": {"name": TEXT, "namespace": TEXT},
    "rewrite": {**each(TEXT, "uri authority"), "uriRegexRewrite": {"match": TEXT, "rewrite": TEXT}},
    "retries": {
        "attempts": NUMBER,
        **each(TEXT, "perTryTimeout retryOn backoff"),
        **each(FLAG, "retryRemoteLocalities retryIgnorePreviousHosts"),
    },
    "mirrors": [{"destination!": _DESTINATION, "percentage": _PERCENT}],
    "mirrorPercent": Retired("is deprecated, write `mirrorPercentage`", still_read=True),
    "mirror_percent": Retired("is deprecated, write `mirrorPercentage`", still_read=True),
    "websocketUpgrade": Retired("was dropped: websockets need no setting"),
}
_L4_MATCH: Table = {
    **each(TEXTS, "destinationSubnets gateways"),
    "port": NUMBER,
    "sourceLabels": TEXT_BY_NAME,
    **each(TEXT, "sourceNamespace sourceSubnet"),
}
VIRTUAL_SERVICE = whole(
    {
        **each(TEXTS, "hosts gateways exportTo"),
        "http": [HTTP_ROUTE],
        "tls": [{"match!": [{**_L4_MATCH, "sniHosts!": TEXTS}], "route": [_WEIGHTED]}],
        "tcp": [{"match": [_L4_MATCH], "route": [_WEIGHTED]}],
    }
)

_LOCALITY: Shape = {
    "failoverPriority": TEXTS,
    "enabled": FLAG,
    "distribute": [{"from": TEXT, "to": {"*": NUMBER}}],
    "failover": [{"from": TEXT, "to": TEXT}],
}
_COOKIE: Shape = {**each(TEXT, "name! path ttl"), "attributes": [{"name!": TEXT, "value": TEXT}]}
_BALANCER: Shape = {
    "localityLbSetting": _LOCALITY,
    "warmupDurationSecs": TEXT,
    "simple": OneOf(
        ("UNSPECIFIED", "LEAST_CONN", "RANDOM", "PASSTHROUGH", "ROUND_ROBIN", "LEAST_REQUEST"),
        {"LEAST_CONN": "write LEAST_REQUEST (it means the same)"},
    ),
    "consistentHash": {
        **each(TEXT, "httpHeaderName httpQueryParameterName"),
        "httpCookie": _COOKIE,
        "useSourceIp": FLAG,
        "minimumRingSize": NUMBER,
        "ringHash": {"minimumRingSize": NUMBER},
        "maglev": {"tableSize": NUMBER},
    },
    "warmup": {"duration!": TEXT, "minimumPercent": NUMBER, "aggression": NUMBER},
}
_POOL: Shape = {
    "tcp": {
        "maxConnections": NUMBER,
        **each(TEXT, "connectTimeout maxConnectionDuration idleTimeout"),
        "tcpKeepalive": {"probes": NUMBER, "time": TEXT, "interval": TEXT},
    },
    "http": {
        **each(NUMBER, "http1MaxPendingRequests http2MaxRequests"),
        **each(NUMBER, "maxRequestsPerConnection maxRetries maxConcurrentStreams"),
        "idleTimeout": TEXT,
        "useClientProtocol": FLAG,
        "h2UpgradePolicy": OneOf(("DEFAULT", "DO_NOT_UPGRADE", "UPGRADE")),
    },
}
_OUTLIERS: Shape = {
    "splitExternalLocalOriginErrors": FLAG,
    **each(NUMBER, "consecutiveLocalOriginFailures consecutiveGatewayErrors"),
    **each(NUMBER, "consecutive5xxErrors maxEjectionPercent minHealthPercent"),
    **each(TEXT, "interval baseEjectionTime"),
    "consecutiveErrors": Retired("is deprecated, write `consecutive5xxErrors`", still_read=True),
}
_TLS: Shape = {
    **each(TEXT, "clientCertificate privateKey caCertificates caCrl"),
    **each(TEXT, "credentialName sni"),
    "subjectAltNames": TEXTS,
    "insecureSkipVerify": FLAG,
    "mode": OneOf(("DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL")),
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
        "exportTo": TEXTS,
        "subsets": [{"name!": TEXT, "labels": TEXT_BY_NAME, "trafficPolicy": _POLICY}],
        "workloadSelector": {"matchLabels": TEXT_BY_NAME},
    }
)
