"""Copies of requests (mirrors) are told from requests, by whatever object they are made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows.manifests.spec_split import disagreements
from tests.builders.cluster_objects import (
    backend,
    canary,
    destination,
    object_of,
    read,
    rollout,
    spec_of,
    text_of,
)

STABLE, NEW = destination("exam-stable", 90), destination("exam-canary", 10)
TO_NEW = {"host": "exam-canary"}


def routed(**more: Any) -> dict[str, Any]:
    spec = {"hosts": ["exam"], "http": [{"route": [STABLE, NEW], **more}]}
    return object_of("VirtualService", "networking.istio.io/v1", spec)


def copied(percent: int | None = None, *, to: str = "exam-canary") -> list[dict[str, Any]]:
    share = {} if percent is None else {"percent": percent}
    copy = {"backendRef": {"name": to, "port": 80}, **share}
    return [{"type": "RequestMirror", "requestMirror": copy}]


def ruled(stable: dict[str, Any], **more: Any) -> dict[str, Any]:
    rule = {"backendRefs": [stable, backend("exam-canary", 10)], **more}
    spec = {"parentRefs": [{"kind": "Service", "name": "exam"}], "rules": [rule]}
    return object_of("HTTPRoute", "gateway.networking.k8s.io/v1", spec)


def mirroring_rollout() -> dict[str, Any]:
    found = rollout([20], {"istio": {"virtualService": {"name": "exam"}}})
    matched = {"name": "m", "percentage": 35, "match": [{"path": {"prefix": "/"}}]}
    found["spec"]["strategy"]["canary"]["steps"].insert(0, {"setMirrorRoute": matched})
    return found


WHOLE = backend("exam-stable", 90)


@pytest.mark.parametrize(
    ("manifest", "percent"),
    [
        (routed(mirror=TO_NEW), 100),
        (routed(mirror=TO_NEW, mirrorPercentage={"value": 20.0}), 20),
        (routed(mirror=TO_NEW, mirrorPercentage={"value": "20"}), 20),
        (routed(mirror=TO_NEW, mirrorPercentage={"value": 0}), None),
        (routed(mirror=TO_NEW, mirrorPercentage={}), None),
        (routed(mirror=TO_NEW, mirrorPercent=30), 30),
        (routed(mirror=TO_NEW, mirror_percent=30), 30),
        (routed(mirrors=[{"destination": TO_NEW, "percentage": {"value": 40}}]), 40),
        (routed(mirrors=[{"destination": TO_NEW}]), 100),
        (routed(mirror={"host": "exam-shadow"}), None),
        (routed(), None),
        (ruled(WHOLE, filters=copied()), 100),
        (ruled(WHOLE, filters=copied(50)), 50),
        (ruled(WHOLE | {"filters": copied()}), 90),
        (ruled(WHOLE | {"filters": copied(50)}), 45),
        (ruled(WHOLE, filters=copied(to="exam-shadow")), None),
        (mirroring_rollout(), 35),
        (canary({"stepWeight": 10, "maxWeight": 50, "mirror": True, "mirrorWeight": 60}), 60),
        (canary({"stepWeight": 10, "maxWeight": 50}), None),
    ],
)
def test_copies_to_a_version_that_is_compared_are_said(
    tmp_path: Path, manifest: dict[str, Any], percent: int | None
) -> None:
    text, spec = text_of(tmp_path, manifest), spec_of(tmp_path, manifest)
    is_istio = spec.mesh == "istio"
    assert (f"CHECK: {percent} % of the requests are copied" in text) == (percent is not None)
    assert spec.reporter == ("source" if is_istio and percent else "destination")
    for reporter in ("source", "destination"):
        counted = spec.model_copy(update={"reporter": reporter})
        said = " ".join(disagreements(counted, read(tmp_path, manifest)))
        is_counted = percent is not None and not (is_istio and reporter == "source")
        assert (f"copies {percent} % of its requests to" in said) == is_counted


def test_a_version_that_gets_copies_only_is_judged_by_them(tmp_path: Path) -> None:
    found = canary({"iterations": 10, "mirror": True})
    assert spec_of(tmp_path, found).reporter == "destination"
