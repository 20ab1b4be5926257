"""The fields of Gateway API's HTTPRoute and GRPCRoute, standard and experimental."""

from __future__ import annotations

from flows.manifests.fields.field_check import (
    ANY,
    FLAG,
    NUMBER,
    TEXT,
    TEXTS,
    OneOf,
    Shape,
    Table,
    whole,
)

_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
_TARGET: Table = {"group": TEXT, "kind": TEXT, "name!": TEXT, "namespace": TEXT, "port": NUMBER}
_NAMED_VALUE: Shape = {"name!": TEXT, "value!": TEXT}
_HEADERS: Shape = {"set": [_NAMED_VALUE], "add": [_NAMED_VALUE], "remove": TEXTS}
_PATH: Shape = {
    "type!": OneOf(("ReplaceFullPath", "ReplacePrefixMatch")),
    "replaceFullPath": TEXT,
    "replacePrefixMatch": TEXT,
}
_MIRROR: Shape = {
    "backendRef!": _TARGET,
    "percent": NUMBER,
    "fraction": {"numerator!": NUMBER, "denominator": NUMBER},
}
_REDIRECT: Shape = {
    "scheme": TEXT,
    "hostname": TEXT,
    "path": _PATH,
    "port": NUMBER,
    "statusCode": NUMBER,
}
_CORS: Shape = {
    "allowOrigins": TEXTS,
    "allowCredentials": FLAG,
    "allowMethods": TEXTS,
    "allowHeaders": TEXTS,
    "exposeHeaders": TEXTS,
    "maxAge": NUMBER,
}
_AUTHORITY: Shape = {
    "protocol!": OneOf(("HTTP", "GRPC")),
    "backendRef!": _TARGET,
    "grpc": ANY,
    "http": ANY,
    "forwardBody": ANY,
}
_FILTER: Table = {
    "type!": TEXT,
    "requestHeaderModifier": _HEADERS,
    "responseHeaderModifier": _HEADERS,
    "requestMirror": _MIRROR,
    "extensionRef": {"group!": TEXT, "kind!": TEXT, "name!": TEXT},
}
_HTTP_FILTER: Table = {
    **_FILTER,
    "requestRedirect": _REDIRECT,
    "urlRewrite": {"hostname": TEXT, "path": _PATH},
    "cors": _CORS,
    "externalAuth": _AUTHORITY,
    "failureInjector": ANY,
}
_HOW: Shape = OneOf(("Exact", "RegularExpression"))
_MATCH_BY_NAME: Shape = {"type": _HOW, "name!": TEXT, "value!": TEXT}
_PERSISTENCE: Shape = {
    "sessionName": TEXT,
    "absoluteTimeout": TEXT,
    "idleTimeout": TEXT,
    "type": TEXT,
    "cookieConfig": {"lifetimeType": TEXT},
}
_HTTP_MATCH: Shape = {
    "path": {"type": OneOf(("Exact", "PathPrefix", "RegularExpression")), "value": TEXT},
    "headers": [_MATCH_BY_NAME],
    "queryParams": [_MATCH_BY_NAME],
    "method": OneOf(_METHODS),
}
_GRPC_MATCH: Shape = {
    "method": {"type": _HOW, "service": TEXT, "method": TEXT},
    "headers": [_MATCH_BY_NAME],
}


def _route(match: Shape, filters: Table, **more: Shape) -> Table:
    rule: Table = {
        "name": TEXT,
        "matches": [match],
        "filters": [filters],
        "backendRefs": [{**_TARGET, "weight": NUMBER, "filters": [filters]}],
        "sessionPersistence": _PERSISTENCE,
        **more,
    }
    parent: Table = {**_TARGET, "sectionName": TEXT}
    return whole(
        {
            "parentRefs": [parent],
            "hostnames": TEXTS,
            "useDefaultGateways": TEXT,
            "rules": [rule],
        }
    )


HTTP_ROUTE = _route(
    _HTTP_MATCH,
    _HTTP_FILTER,
    timeouts={"request": TEXT, "backendRequest": TEXT},
    retry={"codes": [NUMBER], "attempts": NUMBER, "backoff": TEXT},
)
GRPC_ROUTE = _route(_GRPC_MATCH, _FILTER)
