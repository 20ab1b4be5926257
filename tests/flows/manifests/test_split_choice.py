"""Which split an experiment is about: of lists, of objects that are there twice, of delegates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows.manifests.read import read_manifests
from flows.manifests.split_choice import CannotInit, choose_split
from tests.builders.cluster_objects import (
    NOTHING_WANTED,
    canary,
    destination,
    object_of,
    read,
    rollout,
    subsets,
    text_of,
    told,
    virtual_service,
)


def weighted(first: int, kind: str) -> dict[str, Any]:
    """An object of each kind whose first version has so much."""
    receivers = [("exam-stable", first), ("exam-canary", 100 - first)]
    if kind == "VirtualService":
        spec = {"hosts": ["exam"], "http": [{"route": [destination(*one) for one in receivers]}]}
        return object_of(kind, "networking.istio.io/v1", spec)
    if kind == "TrafficSplit":
        backends = [{"service": name, "weight": weight} for name, weight in receivers]
        spec = {"service": "exam", "backends": backends}
        return object_of(kind, "split.smi-spec.io/v1alpha2", spec)
    if kind == "HTTPRoute":
        references = [{"name": name, "port": 80, "weight": weight} for name, weight in receivers]
        parents = [{"kind": "Service", "name": "exam"}]
        spec = {"parentRefs": parents, "rules": [{"backendRefs": references}]}
        return object_of(kind, "gateway.networking.k8s.io/v1", spec)
    if kind == "Canary":
        return canary({"stepWeights": [100 - first]})
    return rollout([100 - first], {"istio": {"virtualService": {"name": "exam"}}})


@pytest.mark.parametrize(
    "kind", ["VirtualService", "TrafficSplit", "HTTPRoute", "Canary", "Rollout"]
)
def test_an_object_that_is_there_twice_is_not_two_cohorts(tmp_path: Path, kind: str) -> None:
    with pytest.raises(CannotInit, match=r"is defined 2 times.*\n.*m.yaml:1: .*\n.*m.yaml:3: "):
        text_of(tmp_path, weighted(95, kind), weighted(75, kind))
    assert "the one that is applied last counts" in told(
        tmp_path, weighted(95, kind), weighted(75, kind)
    )
    assert "cohorts" not in text_of(tmp_path, weighted(95, kind), weighted(95, kind))
    assert told(tmp_path, weighted(95, kind)) == ""


@pytest.mark.parametrize("name", ["List", "VirtualServiceList"])
@pytest.mark.parametrize("has_kinds", [True, False])
def test_lists_of_a_kind_are_read(tmp_path: Path, name: str, has_kinds: bool) -> None:
    item = weighted(90, "VirtualService")
    version = item["apiVersion"]
    if not has_kinds:
        item = {key: item[key] for key in ("metadata", "spec")}
    found = read(tmp_path, {"apiVersion": version, "kind": name, "items": [item, None, 1]})
    is_read = has_kinds or name != "List"
    assert [split.percents for split in found.splits] == (
        [{"exam-stable": 90.0, "exam-canary": 10.0}] if is_read else []
    )


@pytest.mark.parametrize("name", ["{{ .Values.version }}", "${VERSION}", "$(VERSION)"])
def test_names_that_a_template_leaves_open_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(CannotInit, match="is a placeholder: render the template first"):
        text_of(tmp_path, *subsets("exam", {"stable": {"version": "v1"}, name: {"version": "v2"}}))
    with pytest.raises(CannotInit, match="is a placeholder: render the template first"):
        text_of(tmp_path, *subsets("exam", {"a": {"version": "v1"}, "b": {"version": name}}))
    with pytest.raises(CannotInit, match="is a placeholder: render the template first"):
        text_of(tmp_path, virtual_service(["exam"], to=("exam-stable", f"exam-{name}")))


@pytest.mark.parametrize("text", ["", "[]", "hello", "static_resources: {listeners: []}"])
def test_files_without_objects_are_said_to_have_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "m.yaml"
    path.write_text(text)
    with pytest.raises(CannotInit, match="no Kubernetes object with a kind is in it"):
        choose_split(read_manifests([path]), NOTHING_WANTED)


@pytest.mark.parametrize(
    ("outer", "inner", "cohort"),
    [
        (None, None, "all requests"),
        ("/a", None, "uri starts with '/a'"),
        (None, "/a/b", "uri starts with '/a/b'"),
        ("/a", "/a/b", "uri starts with '/a' and uri starts with '/a/b'"),
    ],
)
def test_a_delegate_has_the_requests_that_are_left_to_it(
    tmp_path: Path, outer: str | None, inner: str | None, cohort: str
) -> None:
    def matched(prefix: str | None) -> dict[str, Any]:
        return {"match": [{"uri": {"prefix": prefix}}]} if prefix else {}

    left = {**matched(outer), "delegate": {"name": "part"}}
    root = object_of(
        "VirtualService", "networking.istio.io/v1", {"hosts": ["exam"], "http": [left]}
    )
    part = weighted(90, "VirtualService")
    part["metadata"]["name"] = "part"
    del part["spec"]["hosts"]
    part["spec"]["http"][0] |= matched(inner)
    (split,) = read(tmp_path, root, part).splits
    assert str(split.cohort) == cohort
