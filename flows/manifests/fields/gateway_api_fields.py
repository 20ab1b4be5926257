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
    each,
    whole,
)

_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
_TARGET: Table = {"group": TEXT, "kind": TEXT, "name!": TEXT, "namespace": TEXT, "port": NUMBER}
_NAMED_VALUE: Shape = {"name!": TEXT, "value!": TEXT}
_HEADERS: Shape = {"set": [_NAMED_VALUE], "add": [_NAMED_VALUE], "remove": TEXTS}
_PATH: Shape = {
    **each(TEXT, "replaceFullPath replacePrefixMatch"),
    "type!": OneOf(("ReplaceFullPath", "ReplacePrefixMatch")),
}
_MIRROR: Shape = {
    "backendRef!": _TARGET,
    "percent": NUMBER,
    "fraction": {"numerator!": NUMBER, "denominator": NUMBER},
}
_REDIRECT: Shape = {
    **each(TEXT, "scheme hostname"),
    "path": _PATH,
    **each(NUMBER, "port statusCode"),
}
_CORS: Shape = {
    **each(TEXTS, "allowOrigins allowMethods allowHeaders exposeHeaders"),
    "allowCredentials": FLAG,
    "maxAge": NUMBER,
}
_AUTHORITY: Shape = {
    "protocol!": OneOf(("HTTP", "GRPC")),
    "backendRef!": _TARGET,
    **each(ANY, "grpc http forwardBody"),
}
_FILTER: Table = {
    "type!": TEXT,
    **each(_HEADERS, "requestHeaderModifier responseHeaderModifier"),
    "requestMirror": _MIRROR,
    "extensionRef": {"group!": TEXT, "kind!": TEXT, "name!": TEXT},
}
_HTTP_FILTER: Table = {
    "requestRedirect": _REDIRECT,
    "cors": _CORS,
    "externalAuth": _AUTHORITY,
    "failureInjector": ANY,
    **_FILTER,
    "urlRewrite": {"hostname": TEXT, "path": _PATH},
}
_HOW: Shape = OneOf(("Exact", "RegularExpression"))
_MATCH_BY_NAME: Shape = {"type": _HOW, "name!": TEXT, "value!": TEXT}
_PERSISTENCE: Shape = {
    **each(TEXT, "sessionName absoluteTimeout idleTimeout type"),
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
        "sessionPersistence": _PERSISTENCE,
        "matches": [match],
        "filters": [filters],
        "backendRefs": [{**_TARGET, "weight": NUMBER, "filters": [filters]}],
        **more,
    }
    parent: Table = {**_TARGET, "sectionName": TEXT}
    return whole(
        {"hostnames": TEXTS, "useDefaultGateways": TEXT, "parentRefs": [parent], "rules": [rule]}
    )


HTTP_ROUTE = _route(
    _HTTP_MATCH,
    _HTTP_FILTER,
    timeouts={"request": TEXT, "backendRequest": TEXT},
    retry={"codes": [NUMBER], "attempts": NUMBER, "backoff": TEXT},
)
GRPC_ROUTE = _route(_GRPC_MATCH, _FILTER)
