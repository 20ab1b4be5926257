"""The documentation's site: built strictly without a network, and in step with the code."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import yaml
from mkdocs.commands.build import build
from mkdocs.config import load_config

from scripts import figures
from scripts.reference import EXAMPLES, PAGES, written
from tests.places import REPOSITORY

WHY = (REPOSITORY / "docs" / "explanation" / "why.md").read_text(encoding="utf-8")
_LOADED = re.compile(
    r'<(?:script|img|link|source|iframe)\b[^>]*?(?:src|srcset|href)="(https?:[^"]*)"'
)


def test_site_is_built_strictly_and_loads_nothing_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Strict: links, anchors and pages that the navigation lacks are errors (mkdocs.yml)."""

    def refuse(*_: object) -> None:
        raise AssertionError("the build asks the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    build(load_config(str(REPOSITORY / "mkdocs.yml"), site_dir=str(tmp_path)))
    pages = list(tmp_path.rglob("*.html"))
    sources = list((REPOSITORY / "docs").rglob("*.md"))
    assert len(pages) == len(sources) + 1  # 404.html
    for page in pages:
        assert _LOADED.findall(page.read_text(encoding="utf-8")) == [], page


@pytest.mark.parametrize("name", PAGES)
def test_reference_page_is_current(name: str) -> None:
    page = REPOSITORY / "docs" / "reference" / name
    assert page.read_text(encoding="utf-8") == written(PAGES[name]), "make schemas"


def test_examples_of_a_spec_s_parts_are_valid() -> None:
    schema = json.loads((REPOSITORY / "schemas" / "experiment.schema.json").read_text())
    examples = yaml.safe_load(EXAMPLES.read_text(encoding="utf-8"))
    parts = {name for name, part in schema["$defs"].items() if "enum" not in part}
    assert set(examples) == parts | {"Experiment"}
    for name, text in examples.items():
        node = (
            schema if name == "Experiment" else {**schema["$defs"][name], "$defs": schema["$defs"]}
        )
        # An editor sees a time as text, whatever YAML makes of it.
        example = json.loads(json.dumps(yaml.safe_load(text), default=str))
        jsonschema.Draft202012Validator(node).validate(example)


def test_numbers_of_the_explanation_are_the_simulations() -> None:
    t_test, sequence = 100 * figures.false_alarms()
    run = np.abs(figures.one_run())
    outside = (run > figures.half_widths()).sum(axis=1)
    one, many = (100 * figures.counted(size)[0] for size in (1, 32))
    for said in (
        f"`increase()` sees {one:.0f} % of them, with 32 it sees {many:.0f} %",
        f"has called {t_test[9]:.0f} % of the runs different, at 100 looks {t_test[-1]:.0f} %",
        f"at 100 looks it has erred in {sequence[-1]:.0f} %",
        f"leaves zero out at {outside[0]} of 100 looks",
    ):
        assert said in " ".join(WHY.split())
    assert figures.counted(1)[1] == figures.counted(32)[1] == 1
    assert outside[1] == 0


@pytest.mark.parametrize("name", figures.FIGURES)
def test_figures_say_what_the_code_finds(name: str) -> None:
    """Places of lines depend on the fonts of a machine; what a figure says does not."""
    kept = (REPOSITORY / "docs" / "explanation" / name).read_text(encoding="utf-8")
    label = re.compile(r'aria-label="[^"]*"')
    assert label.findall(kept) == label.findall(figures.FIGURES[name]())
    assert f"({name})" in WHY
    assert "prefers-color-scheme: dark" in kept
