"""The API's description says what the service does.

Covers flows.service.openapi, flows.service.verdict_query.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from starlette.routing import Route

from flows.service.application import application
from flows.service.authentication import Authentication
from flows.service.flagger import HOOKS
from flows.service.http import Limits
from flows.service.openapi import openapi_document
from flows.workspace.paths import Workspace
from tests.servers.service_process import Service

# For people's browsers only.
_OF_BROWSERS = {"/", "/login", "/logout", "/openapi.json", "/api.html"}


@pytest.fixture(scope="module")
def described() -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(openapi_document())
    return found


def test_every_route_is_described_and_nothing_else(described: Mapping[str, Any]) -> None:
    app = application(Workspace(Path()), authentication=Authentication(None), limits=Limits())
    routes = {
        (route.path, method.lower())
        for route in app.routes
        if isinstance(route, Route) and route.path not in _OF_BROWSERS
        for method in (route.methods or set()) - {"HEAD"}
    }
    assert {(path, method) for path, of in described["paths"].items() for method in of} == routes


def test_description_is_whole(described: Mapping[str, Any]) -> None:
    """OpenAPI's own rules: references lead somewhere, parameters of a path are declared."""
    schemas = described["components"]["schemas"]
    names = re.findall(r'"\$ref": "#/components/schemas/([^"]+)"', openapi_document())
    assert set(names) == set(schemas)
    operations = [one for of in described["paths"].values() for one in of.values()]
    assert len({one["operationId"] for one in operations}) == len(operations)
    for path, of in described["paths"].items():
        for one in of.values():
            declared = {each["name"] for each in one["parameters"] if each["in"] == "path"}
            assert declared == set(re.findall(r"{(\w+)}", path))
            assert all(answer["description"] for answer in one["responses"].values())
    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize(
    ("method", "path", "template", "body"),
    [
        *(
            ("post", f"/flagger/{kind}", "/flagger/{kind}", {"metadata": {"experiment": name}})
            for kind in HOOKS
            for name in ("exam-service-canary", "tagalog-support")
        ),
        ("post", "/flagger/rollout", "/flagger/{kind}", {"name": 7}),
        ("post", "/flagger/none", "/flagger/{kind}", {}),
        ("get", "/argo/exam-service-canary", "/argo/{experiment}", None),
        ("get", "/argo/nothing", "/argo/{experiment}", None),
        ("get", "/verdict/exam-service-canary", "/verdict/{experiment}", None),
        ("get", "/verdict/exam-service-canary?at=never", "/verdict/{experiment}", None),
        ("get", "/healthz", "/healthz", None),
        ("get", "/readyz", "/readyz", None),
    ],
)
def test_answers_are_as_described(
    service: Service,
    described: Mapping[str, Any],
    method: str,
    path: str,
    template: str,
    body: Mapping[str, Any] | None,
) -> None:
    answer = service.get(path) if body is None else service.post(path, body)
    responses = described["paths"][template][method]["responses"]
    schema = responses[str(answer.status_code)]["content"]["application/json"]["schema"]
    whole = {**schema, "components": described["components"]}
    jsonschema.Draft202012Validator(whole).validate(answer.json())
    assert answer.status_code != 409 or "decision" in answer.json()


def test_bodies_are_read_by_the_model_that_is_described(
    service: Service, described: Mapping[str, Any]
) -> None:
    body = described["paths"]["/flagger/{kind}"]["post"]["requestBody"]
    schema = {
        **body["content"]["application/json"]["schema"],
        "components": described["components"],
    }
    validator = jsonschema.Draft202012Validator(schema)
    for sent in (
        {"name": "a", "namespace": "b", "phase": 1},
        {"metadata": {"experiment": 1}},
        {"metadata": "x"},
        {"checksum": None},
    ):
        assert not validator.is_valid(sent)
        assert service.post("/flagger/rollout", sent).status_code == 400
