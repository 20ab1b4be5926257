"""YAML that would hurt its reader is refused, quickly and by name.

Covers flows.formats.text_file, flows.formats.yaml_nodes.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from flows.formats.problems import InputError
from flows.formats.yaml_file import parse_documents, read_documents

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (BOMB, "holds more than 200000 values with its aliases"),
        ("a: !!python/object/apply:os.system [ls]", "tags are not allowed in a manifest"),
        ("a: !Secret x", "tags are not allowed"),
        ("[" * 5000, "is nested deeper than 50"),
        ("a: &a {b: *a}", "has an alias inside its own anchor"),
        ("a: 1\nb: 2\na: 3", "a: duplicate key"),
        ("---\n" * 1500, "has more than 1000 documents"),
        ("a: [1", "is not YAML"),
        ("\ta: 1", "is indented with a tab: use spaces"),
        ("a:\n  b: 1\n \tc: 2", "is indented with a tab: use spaces"),
        ("a:\n  b: 1\n   c: 2", "check indentation, brackets and quotes here and above"),
        ("name: {{ .Values.name }}\n", "looks like a template: render it first"),
        ("a: \x00", "is not YAML"),
    ],
    ids=[
        "bomb",
        "python",
        "tag",
        "deep",
        "loop",
        "twice",
        "many",
        "cut",
        "tab",
        "tabs",
        "indent",
        "helm",
        "nul",
    ],
)
def test_hostile_or_broken_text_is_refused_at_once(text: str, problem: str) -> None:
    began = time.process_time()
    with pytest.raises(InputError) as error:
        parse_documents(text, "m.yaml")
    assert problem in str(error.value)
    assert str(error.value).startswith("m.yaml:")
    assert time.process_time() - began < 2


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    large, binary = tmp_path / "large.yaml", tmp_path / "binary.yaml"
    large.write_bytes(b"a: 1\n" * 300_000)
    binary.write_bytes(b"a: 1\nb: \xff\n")
    for path, problem in (
        (large, "is larger than 1000000 bytes"),
        (binary, "binary.yaml:2: byte 8 is not UTF-8"),
        (tmp_path / "none.yaml", "can't be read: No such file"),
        (tmp_path, "can't be read: Is a directory"),
    ):
        with pytest.raises(InputError) as error:
            read_documents(path)
        assert problem in str(error.value)


def test_line_ends_marks_and_empty_documents_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_bytes("\ufeffa: 1\r\n---\r\n---\r\n# nothing\r\n---\r\nb: 2\r\n".encode())
    found = read_documents(path)
    assert [(one.data, one.line(("b",))) for one in found] == [({"a": 1}, 1), ({"b": 2}, 6)]
