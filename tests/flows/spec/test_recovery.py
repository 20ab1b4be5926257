"""Every problem of a spec is said at once, and none that only follows from another."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import yaml

from flows.cli.main import main
from flows.spec.experiment import Experiment
from flows.spec.recovery import understand
from flows.spec.rules import check_rules
from flows.workspace.experiments import load_spec
from tests.builders.spec_texts import SHORTEST, STAGES, USERS, problems_of


def test_every_problem_is_said_at_once(tmp_path: Path) -> None:
    text = SHORTEST.replace("mesh: istio", "mesh: istoi").replace("http://", "ftp://")
    found = problems_of(tmp_path, f"{text}split: {{stable: 80, canary: 10}}\nplan: {{alpha: 2}}\n")
    assert [int(one.split(":")[0]) for one in found] == [4, 9, 10, 11]


SEVEN = """\
experiment: exam
service: exam-service
mesh: istio
variants:
  stable: {version: v2.0.0}
  canary: {version: v2.1.0}
split: {stable: 80, canary: 10}
manifests: [gone.yaml]
metrics:
  errors: {kind: error_share, margin: lots}
  clicks: {kind: ratio, outcome: click, window: 1m}
plan:
  duration: 1h
  alpha: 2
  bucket: 30s
  look_every: 5s
  minimum_duration: 2h
sources:
  requests: {prometheus: "http://prometheus:9090"}
  exposures: {files: exposures.csv}
  outcomes: {files: outcomes.csv}
"""


def test_seven_problems_of_fields_rules_and_files_are_said_at_once(tmp_path: Path) -> None:
    assert problems_of(tmp_path, SEVEN) == [
        "7: split: sums to 90, must sum to 100 (stable 80, canary 10)",
        "8: manifests.0: is 'gone.yaml', must be a file, relative to the spec; there is none",
        (
            "10: metrics.errors.margin: is 'lots', must be a number (absolute, such as 0.005) or a "
            "percentage (5%)"
        ),
        "11: metrics.clicks.per: is missing: a metric of kind ratio needs it",
        "14: plan.alpha: is 2, must be less than or equal to 0.5",
        (
            "16: plan.look_every: is shorter than plan.bucket: 5s, must be at least 30s, as a look "
            "needs one bucket"
        ),
        "17: plan.minimum_duration: is longer than the whole plan: 2h, must be at most 1h",
    ]


def test_wrong_stage_hides_nothing_of_the_others(tmp_path: Path) -> None:
    stages = (
        "plan:\n  stages:\n    - half\n    - {duration: 5m, weights: {stable: 90, canary: 5}}\n"
        "    - {duration: 5m, weights: {stable: 50, canary: 50}, at_most: 1m}\n"
    )
    assert [line.partition(", ")[0] for line in problems_of(tmp_path, SHORTEST + stages)] == [
        "12: plan.stages.0: is 'half'",
        "13: plan.stages.1.weights: sums to 95",
        "14: plan.stages.2.at_most: is shorter than the stage's duration: 1m",
    ]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("  duration: 1h\n", "  duration: long\n", "plan.duration: is 'long', must be"),
        (
            "  duration: 1h\n",
            "  duratoin: 2h\n",
            "plan.duratoin: unknown field 'duratoin' (did you mean",
        ),
        ("mesh: istio\n", "mesh: istoi\n", "mesh: is 'istoi', must be"),
        ("service: exam-service\n", "", "service: is missing"),
        (
            "{files: exposures.csv}",
            "{file: exposures.csv}",
            "exposures.file: unknown field 'file' (did",
        ),
        (
            "  stable: {version:",
            "  stable: {versoin:",
            "variants.stable.versoin: unknown field 'versoin'",
        ),
        ("  stable: {version: v2.0.0}", "  stable: v2.0.0", "variants.stable: is 'v2.0.0', must"),
        ("kind: ratio", "kind: ratoi", "metrics.clicks: unknown kind 'ratoi'"),
        ("per: view", "per: 1", "metrics.clicks.per: is 1, must be"),
        ("{stable: 90,", '{stable: "90",', "split.stable: is '90', must be a number"),
        (
            "variants:\n  stable: {version: v2.0.0}\n  canary: {version: v2.1.0}\n",
            "",
            "variants: is missing",
        ),
    ],
)
def test_one_wrong_part_is_no_reason_to_complain_of_another(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    sound = (
        SEVEN.replace("stable: 80", "stable: 90")
        .replace("manifests: [gone.yaml]\n", "")
        .replace("lots", "5%")
        .replace("outcome: click,", "outcome: click, per: view,")
        .replace("alpha: 2", "alpha: 5%")
        .replace("look_every: 5s", "look_every: 30s")
        .replace("minimum_duration: 2h", "minimum_duration: 1h")
    )
    (tmp_path / "exam.yaml").write_text(sound)
    assert load_spec(tmp_path / "exam.yaml").plan.alpha == 0.05
    assert old in sound
    (found,) = problems_of(tmp_path, sound.replace(old, new))
    assert said in found


def test_a_field_that_stands_twice_hides_no_other_problem(tmp_path: Path) -> None:
    found = problems_of(tmp_path, f"{SHORTEST}service: other\nplan: {{alpha: 2}}\n")
    assert [one.split(",")[0] for one in found] == [
        "10: service: duplicate key",
        "11: plan.alpha: is 2",
    ]


def test_path_names_no_kind_of_field(tmp_path: Path) -> None:
    added = "metrics: {p90: {kind: quantile, outcome: minutes, quantile: 2}}\n"
    found = problems_of(tmp_path, SHORTEST.replace("http://", "ftp://") + added)
    assert found[1].startswith("9: sources.requests.prometheus: is 'ftp://prometheus:9090', must")
    assert found[2].startswith("10: metrics.p90.quantile: is 2, must be less than 1")


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_wrong_it_is_said(seed: int) -> None:
    """Fields left out, renamed, or with any other value: never an error of ours."""
    rng = random.Random(seed)
    others = [None, 1, -1, "x", "", [], {}, [1], {"a": 1}, True, float("inf"), "5%", "1h"]
    for _ in range(150):
        data = yaml.safe_load(rng.choice([SEVEN, USERS + STAGES, SHORTEST]))
        for _ in range(rng.randint(1, 4)):
            fields = data
            while True:
                name = rng.choice(list(fields) or [None])
                if name is None or not isinstance(fields[name], dict) or rng.random() < 0.3:
                    break
                fields = fields[name]
            kept = fields.pop(name, None)
            if rng.random() < 0.7:
                fields["x" if rng.random() < 0.3 else str(name)] = rng.choice([kept, *others])
        parts = understand(data, {})
        assert parts.findings or parts.spec == Experiment.model_validate(data)
        assert all(finding.message for finding in check_rules(parts))


def test_number_of_problems_is_counted_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "exam.yaml"
    path.write_text(SHORTEST.replace("mesh: istio", "mesh: istoi"))
    assert main(["validate", str(path)]) == 2
    assert capsys.readouterr().out.splitlines()[-1] == "1 problem"
    path.write_text(SEVEN)
    assert main(["validate", str(path)]) == 2
    assert capsys.readouterr().out.splitlines()[-1] == "7 problems"
