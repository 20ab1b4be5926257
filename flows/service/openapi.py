"""The API's description (OpenAPI 3.1), of the models that read requests and write answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from flows.formats.json_schema import NullableNumbers
from flows.look.verdict_document import VerdictDocument
from flows.service.argo import Measurement
from flows.service.flagger import HOOKS, HookAnswer, HookCall
from flows.service.health import Alive, ReadyAnswer
from flows.service.http import Problem
from flows.service.verdict_query import VerdictQuery
from flows.spec.fields import NAME_PATTERN
from flows.workspace.software import software

_Mode = Literal["validation", "serialization"]
_READS, _TEXT, _HTML = "application/json", "text/plain", "text/html"
_PATH_VALUES: Mapping[str, Mapping[str, object]] = {
    "experiment": {"type": "string", "pattern": f"^(?:{NAME_PATTERN})$"},
    "kind": {"type": "string", "enum": list(HOOKS)},
    "page": {"type": "string", "examples": ["index.html"]},
}
_REFUSALS = {
    "400": "the request can't be read",
    "401": "no token, or a wrong one",
    "403": "the token is for other experiments, or only reads",
    "404": "there is no such thing",
    "429": "too many requests from this address: Retry-After says how long to wait",
    "503": "it can't be answered now: call again after Retry-After",
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One call of the API.

    answers: by status, what it means, and the model or the media type of the body.
    refusals: further statuses, each with a sentence. is_open: whether no token is needed.
    """

    method: str
    path: str
    does: str
    answers: Mapping[str, tuple[str, type[BaseModel] | str]]
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    refusals: Sequence[str] = ("401", "403", "404", "429", "503")
    is_open: bool = False


_YES, _NO = "the rollout may go on", "it may not; or the service has several experiments"
_VERDICT = {"200": ("the whole verdict", VerdictDocument)}
OPERATIONS = (
    Operation(
        "post", "/flagger/{kind}", "Answer one of Flagger's webhooks by a new look",
        {"200": (_YES, HookAnswer), "409": (_NO, HookAnswer)}, body=HookCall,
        refusals=("400", "401", "403", "404", "429", "503"),
    ),
    Operation(
        "get", "/argo/{experiment}", "Measure for Argo Rollouts' web metric by a new look",
        {"200": ("the measured value", Measurement)},
    ),
    Operation(
        "get", "/verdict/{experiment}", "Take a new look; who may only read gets the latest",
        _VERDICT, query=VerdictQuery, refusals=("400", "401", "403", "404", "429", "503"),
    ),
    Operation(
        "post", "/verdict/{experiment}", "The same; the body is ignored",
        _VERDICT, query=VerdictQuery, refusals=("400", "401", "403", "404", "429", "503"),
    ),
    Operation(
        "get", "/metrics", "The metrics of the caller's experiments, and of the service",
        {"200": ("Prometheus' text format", _TEXT)}, refusals=("401", "429"),
    ),
    Operation(
        "get", "/report/{page}", "A page of the live report; 304 if it is as If-None-Match says",
        {"200": ("the page", _HTML)},
    ),
    Operation(
        "get", "/events/{page}", "Server-sent events: `state`, whenever there is a newer such page",
        {"200": ("a stream of states, the ETags of the page", "text/event-stream")},
    ),
    Operation(
        "get", "/healthz", "Whether the process answers",
        {"200": ("it does", Alive)}, refusals=(), is_open=True,
    ),
    Operation(
        "get", "/readyz", "Whether specs and warehouse can be read; with a token, what is wrong",
        {"200": ("they can", ReadyAnswer), "503": ("they can't", ReadyAnswer)},
        refusals=("429",), is_open=True,
    ),
)  # fmt: skip


@cache
def openapi_document() -> str:
    """The description as JSON."""
    used = _models()
    _, schemas = models_json_schema(
        sorted(used, key=lambda each: (each[0].__name__, each[1])),
        ref_template="#/components/schemas/{model}",
        schema_generator=NullableNumbers,
    )
    paths: dict[str, dict[str, object]] = {}
    for one in OPERATIONS:
        paths.setdefault(one.path, {})[one.method] = _described(one)
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "split-verdict",
            "version": software(),
            "license": {"name": "see LICENSE"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _models() -> set[tuple[type[BaseModel], _Mode]]:
    found: set[tuple[type[BaseModel], _Mode]] = {(Problem, "serialization")}
    for one in OPERATIONS:
        if one.body:
            found.add((one.body, "validation"))
        models = (what for _, what in one.answers.values() if not isinstance(what, str))
        found |= {(model, "serialization") for model in models}
    return found


def _described(one: Operation) -> dict[str, object]:
    answers = {
        status: {"description": text, "content": _content(what)}
        for status, (text, what) in one.answers.items()
    }
    refusals = {
        status: {"description": _REFUSALS[status], "content": _content(Problem)}
        for status in one.refusals
    }
    described: dict[str, object] = {
        "summary": one.does,
        "operationId": f"{one.method}_{one.path.split('/')[1]}",
        "parameters": [*_of_path(one), *_of_query(one)],
        "responses": dict(sorted({**refusals, **answers}.items())),
    }
    if one.body:
        described["requestBody"] = {"required": True, "content": _content(one.body)}
    if one.is_open:
        described["security"] = []
    return described


def _content(what: type[BaseModel] | str) -> dict[str, object]:
    if isinstance(what, str):
        return {what: {"schema": {"type": "string"}}}
    return {_READS: {"schema": {"$ref": f"#/components/schemas/{what.__name__}"}}}


def _of_path(one: Operation) -> list[dict[str, object]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": dict(schema)}
        for name, schema in _PATH_VALUES.items()
        if f"{{{name}}}" in one.path
    ]


def _of_query(one: Operation) -> list[dict[str, object]]:
    if one.query is None:
        return []
    properties: Mapping[str, Any] = one.query.model_json_schema()["properties"]
    return [
        {
            "name": name,
            "in": "query",
            "description": found.get("description", ""),
            "schema": {key: found[key] for key in ("anyOf", "type", "format") if key in found},
        }
        for name, found in properties.items()
    ]
