"""Files of values: what is wrong with one is said with its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flows.kayenta.values_file import load_metric_values
from tests.builders.canary_files import problems_of


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "1: : is empty, must hold JSON"),
        (
            '{"metrics": [\n{"name": "a", "control": [1, 2',
            "2: : ends in the middle: the file is truncated",
        ),
        ('{"metrics": [1, 2,]}', "is not JSON: "),
        ("[" * 100_000, "is nested too deeply"),
        ('{"a": 1, "a": 2}', "duplicate key 'a'"),
        ("3", 'must be {"metrics": [{"name", "control": [...], "experiment": [...]}]} or Kayenta'),
        ("[3]", "[0]: is 3, must be an object with name and values"),
        ('[{"values": {}}]', "[0].name: is null, must be the metric's name"),
        (
            '[{"name": "a", "values": {"control": [1]}}]',
            "[0].values.experiment: is missing, must be a list",
        ),
        (
            '[{"name": "a", "control": 1, "experiment": []}]',
            "[0].control: is 1, must be a list of numbers",
        ),
        (
            '[{"name": "a",\n"control": [1,\n"many"],\n"experiment": [true]}]',
            (
                "3: [0].control[1]: is 'many', must be a number, null or \"NaN\"\n"
                "4: [0].experiment[0]: is True, must be a number"
            ),
        ),
        (
            '[{"name": "a", "control": [Infinity], "experiment": [1e999]}]',
            "[0].experiment[0]: is inf, beyond 1e+100",
        ),
        (
            '[{"name": "a", "control": [1' + "0" * 400 + '], "experiment": []}]',
            "beyond 1e+100 nothing is judged",
        ),
        (
            '[{"name": "a", "control": [1' + "0" * 5000 + '], "experiment": []}]',
            "has a number of thousands of digits",
        ),
        (
            '[{"name": "a", "control": [], "experiment": [], "start": "noon"}]',
            ".start: is 'noon', must be a time",
        ),
        (
            '[{"name": "a", "control": [], "experiment": [], "step": 0}]',
            ".step: is 0, must be the seconds",
        ),
        *(
            (f'[{{"name": "a", "control": [], "experiment": [], "step": {step}}}]', told)
            for step in ("1e18", "1e300", "1" + "0" * 400, "1e-300", "31622401")
            for told in (".step: is ", "must be the seconds of one interval, 0.001 to a year's")
        ),
        (
            '[{"name": "a", "values": {"control": [], "experiment": []}, "scopes": '
            '{"experiment": {"stepMillis": 1' + "0" * 400 + "}}}]",
            "must be the milliseconds of one interval",
        ),
        (
            '[{"name": "a", "control": [], "experiment": [], "start": "9999-12-31T00:00:00Z"}]',
            ".start: is '9999-12-31T00:00:00Z', must be a time",
        ),
        ('[{"name": "b", "control": [], "experiment": []}]', "has no values of 'a'"),
        (
            '[{"name": "A1", "control": [], "experiment": []}]',
            "[0].name: is 'A1', which the config doesn't have",
        ),
        (
            json.dumps([{"name": "a", "control": [], "experiment": []}] * 2),
            "[1]: gives 'a' again",
        ),
    ],
)
def test_mistake_in_values_is_said_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "values.json"
    path.write_text(text)
    assert said in "\n".join(problems_of(lambda: load_metric_values(path, ["a"])))


def test_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    gone = tmp_path / "gone.json"
    assert "can't be read: No such file" in problems_of(lambda: load_metric_values(gone, ["a"]))[0]
    gone.write_bytes(b'["\xff"]')
    assert "byte 2 is not UTF-8" in problems_of(lambda: load_metric_values(gone, ["a"]))[0]


def test_a_mistake_of_many_values_or_metrics_is_said_once(tmp_path: Path) -> None:
    path = tmp_path / "values.json"
    path.write_text(json.dumps([{"title": "a", "control": ["x", 1, 2e200, "y", 1e300]}] * 100))
    assert problems_of(lambda: load_metric_values(path, ["a"])) == [
        "1: [0].control[0]: is 'x', must be a number, null or \"NaN\" (200 places)",
        "1: [0].control[2]: is 2e+200, beyond 1e+100 nothing is judged (200 places)",
        "1: [0].experiment: is missing, must be a list of numbers (100 places)",
        "1: [0].name: is null, must be the metric's name (100 places)",
    ]


def test_hundreds_of_mistakes_are_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "values.json"
    others = [{"name": f"b{i}", "control": [], "experiment": []} for i in range(499)]
    path.write_text(json.dumps(others))
    said = problems_of(lambda: load_metric_values(path, ["a"]))
    assert len(said) == 21
    assert "has 480 more problems" in "\n".join(said)
