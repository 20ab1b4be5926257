"""Versions and names stay the text that they are in a new spec.

Covers flows.manifests.yaml_scalar.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flows.manifests.new_spec import new_spec
from flows.manifests.read import read_manifests
from flows.manifests.split_choice import choose_split
from tests.builders.cluster_objects import (
    NOTHING_WANTED,
    destination,
    object_of,
    spec_of,
    subsets,
    text_of,
    told,
)

TEXTS = (
    "1.9",
    "1.10",
    "2",
    "1e3",
    "0x10",
    "0o7",
    "1_000",
    "12:30:00",
    "2026-01-02",
    ".5",
    "-1",
    "+1",
    ".inf",
    "true",
    "False",
    "yes",
    "n",
    "on",
    "OFF",
    "null",
    "~",
    "v1: x",
    "a #b",
    "*x",
    "é",
)


@pytest.mark.parametrize("version", TEXTS)
def test_a_version_stays_text(tmp_path: Path, version: str) -> None:
    labels = {"old": {"version": "v0"}, "new": {"version": version}}
    spec = spec_of(tmp_path, *subsets("exam", labels))
    assert [one.version for one in spec.variants.values()] == ["v0", version]


@pytest.mark.parametrize("name", ["1", "on", "null", "1e3", "0x10"])
def test_a_subset_and_a_namespace_may_be_called_like_a_value(tmp_path: Path, name: str) -> None:
    objects = subsets("exam", {"old": {"version": "v0"}, name: {"version": "v1"}})
    for one in objects:
        one["metadata"]["namespace"] = name
    spec = spec_of(tmp_path, *objects)
    assert (list(spec.variants), spec.namespace) == (["old", name], name)


@pytest.mark.parametrize(("value", "version"), [(None, None), (True, "true"), (2, "2"), ({}, None)])
def test_a_label_that_is_no_text_is_named(tmp_path: Path, value: Any, version: str | None) -> None:
    objects = subsets("exam", {"old": {"version": "v0"}, "new": {"version": value}})
    text = text_of(tmp_path, *objects)
    if version is None:
        assert "new: {version: new}  # CHECK: the version label of its pods" in text
    else:
        assert f'new: {{version: "{version}"}}' in text
    assert value is None or "subsets[1].labels.version: must be text" in told(tmp_path, *objects)


@pytest.mark.parametrize(
    "version", ["1.10", "2.0", "1.5e+3", "0x1F", "010", "yes", "TRUE", "1_000"]
)
def test_a_version_without_quotes_is_read_as_it_stands(tmp_path: Path, version: str) -> None:
    objects = subsets("exam", {"old": {"version": "v0"}, "new": {"version": "VERSION"}})
    path = tmp_path / "m.yaml"
    path.write_text("\n---\n".join(map(json.dumps, objects)).replace('"VERSION"', version))
    manifests = read_manifests([path])
    text = new_spec(
        choose_split(manifests, NOTHING_WANTED), NOTHING_WANTED, files=[], spec_dir=path
    )
    assert f'new: {{version: "{version}"}}\n' in text
    told = f'labels.version: must be text, is {version}; put it in quotes: "{version}"'
    assert any(told in str(finding) for finding in manifests.findings)


def test_names_that_are_alike_in_a_spec_are_told_apart(tmp_path: Path) -> None:
    labels = {"exam.a": {"version": "1"}, "exam-a": {"version": "2"}}
    spec = spec_of(tmp_path, *subsets("exam", labels))
    assert list(spec.variants) == ["exam-a", "exam-a-2"]


def test_a_name_with_a_line_end_writes_no_line_of_its_own(tmp_path: Path) -> None:
    objects = subsets("exam", {"old": {"version": "v0"}, "new": {"version": "v1"}})
    objects[0]["metadata"]["name"] = "exam\nservice: other"
    assert spec_of(tmp_path, *objects).service == "exam"


@pytest.mark.parametrize(
    ("first", "other", "baseline", "is_guess"),
    [
        ("stable", "canary", "stable", False),
        ("canary", "stable", "stable", False),
        ("v2", "v3", "v2", False),
        ("v3", "v2", "v2", False),
        ("exam-1-9", "exam-1-10", "exam-1-9", False),
        ("exam-1-10", "exam-1-9", "exam-1-9", False),
        ("exam-canary", "exam", "exam", False),
        ("red", "orange", "red", True),
    ],
)
def test_the_baseline_is_told_by_names_and_numbers_whatever_its_share(
    tmp_path: Path, first: str, other: str, baseline: str, is_guess: bool
) -> None:
    """A ramp's last stage gives the candidate most of the traffic."""
    routes = [destination("exam", 90, first), destination("exam", 10, other)]
    spec = {"hosts": ["exam"], "http": [{"route": routes}]}
    found = object_of("VirtualService", "networking.istio.io/v1", spec)
    assert spec_of(tmp_path, found).baseline == baseline
    assert ("no name says which is the baseline" in text_of(tmp_path, found)) == is_guess
