"""Two specs that deliver to one place are found before both do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.cli import main as cli

_SPEC: dict[str, Any] = {
    "service": "exam",
    "mesh": "istio",
    "variants": {"stable": {"version": "v1"}, "canary": {"version": "v2"}},
    "split": {"stable": 90, "canary": 10},
    "metrics": {"errors": {"kind": "error_share", "margin": 0.01}},
    "sources": {"requests": {"prometheus": "http://localhost:9090"}},
}
_VS = {"kubernetes": "VirtualService/exam"}
_GIT = {"git": "exam.yaml", "object": "HTTPRoute/exam"}
_V3 = {"variants": {"stable": {"version": "v2"}, "canary": {"version": "v3"}}}
_V9 = {"variants": {"stable": {"version": "v8"}, "canary": {"version": "v9"}}}


@pytest.mark.parametrize(
    ("target", "other", "changes", "place"),
    [
        ({"envoy": "r.json"}, {"envoy": "../experiments/r.json"}, {}, "r.json"),
        ({"envoy": "r.json"}, {"envoy": "r.json", "settle": "1m"}, _V3, "r.json"),
        (_VS, _VS, {}, "VirtualService/exam in default"),
        (_VS, _VS | {"route": "books"}, {}, "VirtualService/exam in default"),
        (
            _VS | {"context": "eu"},
            _VS | {"context": "eu"},
            {},
            "VirtualService/exam in default of context eu",
        ),
        (_GIT, _GIT | {"git": "./exam.yaml"}, {}, "HTTPRoute/exam in "),
        # One after the other, or of other weights:
        (_VS, _VS, {"after": ["one"]}, ""),
        (_VS | {"route": "books"}, _VS | {"route": "pens"}, {}, ""),
        (_VS, _VS | {"context": "eu"}, {}, ""),
        (_VS, _VS, {"namespace": "shop"}, ""),
        (_VS, {"kubernetes": "HTTPRoute/exam"}, {}, ""),
        ({"envoy": "r.json"}, {"envoy": "r.json"}, _V9, ""),
        ({"envoy": "r.json"}, _VS, {}, ""),
        (_GIT, _GIT | {"object": "HTTPRoute/quiz"}, {}, ""),
        (_VS, None, {}, ""),
    ],
)
def test_specs_with_one_target_are_told(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    target: dict[str, str],
    other: dict[str, str] | None,
    changes: dict[str, Any],
    place: str,
) -> None:
    folder = tmp_path / "experiments"
    folder.mkdir()
    targets: dict[str, Any] = {"one": (target, {}), "two": (other, changes)}
    for name, (where, changed) in targets.items():
        delivery = {"delivery": {"target": where}} if where else {}
        text = yaml.safe_dump({"experiment": name, **_SPEC, **delivery, **changed})
        (folder / f"{name}.yaml").write_text(text)
    (folder / "broken.yaml").write_text("experiment: broken\n")
    for name, beside in (("one", "two"), ("two", "one")):
        assert cli.main(["--root", str(tmp_path), "validate", name]) == 0
        said = capsys.readouterr().out
        assert (f"{folder / beside}.yaml, too" in said) == bool(place), said
        assert place in said
