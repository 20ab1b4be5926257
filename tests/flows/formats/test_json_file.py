"""JSON files that people write: what is wrong is named with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.formats.json_file import field_name, read_json
from flows.formats.problems import InputError

LARGEST = 1000


def read(folder: Path, text: str) -> object:
    path = folder / "file.json"
    path.write_text(text, encoding="utf-8")
    return read_json(path, largest=LARGEST).data


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty, must hold JSON"),
        ('{"a": [1, 2', "the file is truncated"),
        ('{"a": 1,\n"b" 2}', "file.json:2: is not JSON"),
        ("[" * 900, "the file is truncated"),
        ("9" * 5000, "is larger than 1000 bytes"),
    ],
)
def test_what_is_wrong_is_one_line_with_the_file(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError) as refused:
        read(tmp_path, text)

    assert "file.json:" in str(refused.value)
    assert message in str(refused.value)


def test_each_field_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text('{\n "metrics": [\n  {"name": "a"},\n  {"name": 7}\n ]\n}', encoding="utf-8")
    read = read_json(path, largest=LARGEST)

    error = read.error([(("metrics", 1, "name"), "must be text"), (("groups",), "is missing")])

    assert [(p.line, p.field) for p in error.problems] == [(1, "groups"), (4, "metrics[1].name")]


def test_items_are_numbered_in_brackets() -> None:
    assert field_name(("a", 0, "b")) == "a[0].b"
