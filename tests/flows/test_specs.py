"""Specs: every problem at once, with its line; defaults that make short specs useful."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from flows.aggregate_file import aggregates_schema
from flows.analyze_document import scorecard_schema
from flows.calibration_document import calibration_schema
from flows.cli import main
from flows.spec import Experiment
from flows.spec_file import SpecError, find_spec, load_spec
from flows.spec_schema import experiment_schema
from flows.spec_sources import PrometheusSource
from flows.verdict_document import verdict_schema

REPOSITORY = Path(__file__).parents[2]
SHORTEST = """\
experiment: exam
service: exam-service
namespace: edtech-production
mesh: istio
variants:
  stable: {version: v2.0.0}
  canary: {version: v2.1.0}
sources:
  requests: {prometheus: "http://prometheus:9090"}
"""


def _problems(folder: Path, text: str | bytes) -> list[str]:
    """What is said of a spec, as line: text."""
    path = folder / "exam.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SpecError) as caught:
        load_spec(path)
    return [str(problem).removeprefix(f"{path}:") for problem in caught.value.problems]


def test_shortest_useful_spec_has_the_guides_defaults(tmp_path: Path) -> None:
    (tmp_path / "exam.yaml").write_text(SHORTEST)
    spec = load_spec(tmp_path / "exam.yaml")
    assert len(SHORTEST.splitlines()) < 12
    assert spec.baseline == "stable"
    assert [(s.weights["canary"], s.duration) for s in spec.stages] == [
        (5, timedelta(minutes=5)),
        (25, timedelta(minutes=10)),
        (50, timedelta(minutes=15)),
    ]
    assert [m.objective for m in spec.request_metrics.values()] == [0.05, 0.01]


@pytest.mark.parametrize(
    ("added", "said"),
    [
        (
            "split: {stable: 80, canary: 10}",
            "10: split: sums to 90, must sum to 100 (stable 80, canary 10)",
        ),
        (
            "split: {stable: 80, canry: 20}",
            "10: split.canry: is no variant; there are stable, canary",
        ),
        ("split: {stable: 100}", "10: split: must name stable and canary; canary isn't there"),
        (
            "plan: {stages: [{duration: 1h, weights: {canary: 100}}]}",
            "10: plan.stages.0.weights: must name stable and canary; stable isn't there",
        ),
        ("plan: {alfa: 0.1}", "10: plan.alfa: is no field; did you mean 'alpha'?"),
        (
            "plan: {bucket: 5 parsecs}",
            "10: plan.bucket: is '5 parsecs', must be a duration such as",
        ),
        ("plan: {bucket: 5s}", "10: plan.bucket: is shorter than sources.requests.scrape_interval"),
        ("plan: {look_every: 5s}", "10: plan.look_every: is shorter than plan.bucket"),
        (
            "metrics: {errors: {kind: error_share, margin: lots}}",
            "10: metrics.errors.margin: is 'lots', must be a number",
        ),
        ("metrics: {x: {kind: errors}}", "10: metrics.x: needs `kind`, one of 'error_share'"),
        (
            "metrics: {c: {kind: proportion, outcome: done}}",
            "8: sources: needs `exposures` and `outcomes`",
        ),
        ("service: other", "10: service: stands twice"),
        ("description: [1", "11: is not YAML"),
        ("description: &a x\nreporter: *a", "11: aliases and tags are not allowed"),
        ("description: !!python/object:os.system x", "10: aliases and tags are not allowed"),
        ("---\nexperiment: two", "is not YAML: but found another document"),
    ],
)
def test_problem_is_named_with_its_line_and_what_would_be_right(
    tmp_path: Path, added: str, said: str
) -> None:
    assert any(said in one for one in _problems(tmp_path, f"{SHORTEST}{added}\n"))


def test_a_stage_may_give_a_variant_nothing(tmp_path: Path) -> None:
    stages = "[{duration: 1h, weights: {stable: 100, canary: 0}}, {duration: 1h, "
    stages += "weights: {stable: 0, canary: 100}}]"
    (tmp_path / "exam.yaml").write_text(f"{SHORTEST}plan: {{stages: {stages}}}\n")
    assert load_spec(tmp_path / "exam.yaml").stages[0].weights["canary"] == 0


def test_every_problem_is_said_at_once(tmp_path: Path) -> None:
    text = SHORTEST.replace("mesh: istio", "mesh: istoi").replace("http://", "ftp://")
    found = _problems(tmp_path, f"{text}split: {{stable: 80, canary: 10}}\nplan: {{alpha: 2}}\n")
    assert [int(one.split(":")[0]) for one in found] == [4, 9, 10, 11]


def test_variants_that_the_mesh_can_not_tell_apart_are_refused(tmp_path: Path) -> None:
    found = _problems(tmp_path, SHORTEST.replace("v2.1.0", "v2.0.0"))
    assert found == ["7: variants.canary: has the same identity as stable; tell them apart"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"experiment: \xff", "1: byte 12 is not UTF-8"),
        (b"", "1: must hold fields"),
        (b"- 1\n", "1: must hold fields"),
        (b"a: " + b"[" * 50 + b"]" * 50, "is nested deeper than 20"),
    ],
)
def test_file_that_is_no_spec_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    assert any(said in one for one in _problems(tmp_path, content))


def test_name_must_be_the_files(tmp_path: Path) -> None:
    (found,) = _problems(tmp_path, SHORTEST.replace("experiment: exam", "experiment: other"))
    assert found.startswith("1: experiment: is 'other', must be the file's name 'exam'")


def test_unknown_experiment_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "exam.yaml").write_text(SHORTEST)
    with pytest.raises(SpecError, match="did you mean 'exam'"):
        find_spec(tmp_path, "exm")


def test_specs_that_mean_the_same_have_the_same_hash() -> None:
    written = Experiment.model_validate(yaml.safe_load(SHORTEST))
    fuller = Experiment.model_validate({**yaml.safe_load(SHORTEST), "plan": {"alpha": 0.05}})
    assert written.spec_hash == fuller.spec_hash


def test_published_schemas_are_current() -> None:
    schemas = REPOSITORY / "schemas"
    assert (schemas / "experiment.schema.json").read_text() == experiment_schema()
    assert (schemas / "verdict.schema.json").read_text() == verdict_schema()
    assert (schemas / "aggregates.schema.json").read_text() == aggregates_schema()
    assert (schemas / "calibration.schema.json").read_text() == calibration_schema()
    assert (schemas / "scorecard.schema.json").read_text() == scorecard_schema()


def _check_by_schema(text: str) -> None:
    # An editor sees a time as text, whatever YAML makes of it.
    seen = json.loads(json.dumps(yaml.safe_load(text), default=str))
    jsonschema.validate(seen, json.loads(experiment_schema()))


@pytest.mark.parametrize("path", sorted((REPOSITORY / "experiments").glob("*.yaml")), ids=str)
def test_experiments_of_the_repository_are_valid(path: Path) -> None:
    assert load_spec(path).experiment == path.stem
    _check_by_schema(path.read_text())


@pytest.mark.parametrize("page", ["README.md", "docs/users.md"])
def test_examples_of_the_docs_are_valid(page: str, tmp_path: Path) -> None:
    text = (REPOSITORY / page).read_text()
    (example,) = re.findall(r"```yaml\n(experiment: .*?)```", text, re.DOTALL)
    path = tmp_path / f"{yaml.safe_load(example)['experiment']}.yaml"
    path.write_text(example)
    assert load_spec(path).experiment == path.stem
    _check_by_schema(example)


def test_counters_server_has_a_short_form_too(tmp_path: Path) -> None:
    added = '  conversions: {prometheus: "http://prometheus:9090", metric: conversions_total}\n'
    (tmp_path / "exam.yaml").write_text(SHORTEST + added)
    _check_by_schema(SHORTEST + added)
    conversions = load_spec(tmp_path / "exam.yaml").sources.conversions
    assert conversions is not None
    assert conversions.prometheus.url == "http://prometheus:9090"


def test_what_is_no_spec_is_none_for_an_editor_either() -> None:
    for wrong in (
        SHORTEST.replace("http://", "ftp://"),
        SHORTEST + "plan: {duration: PT15S}\n",
        SHORTEST + "metrics: {errors: {kind: error_share, margin: lots}}\n",
    ):
        with pytest.raises(jsonschema.ValidationError):
            _check_by_schema(wrong)


def _defaults(part: Any) -> Iterator[dict[str, Any]]:
    """Every part of the schema that has a default."""
    if isinstance(part, dict):
        if "default" in part:
            yield part
        for item in part.values():
            yield from _defaults(item)


def test_every_default_that_an_editor_offers_is_valid() -> None:
    schema = json.loads(experiment_schema())
    found = list(_defaults(schema))
    assert {"1m", "15s", "5m", "7d"} <= {str(part["default"]) for part in found}
    for part in found:
        jsonschema.validate(part["default"], {**part, "$defs": schema["$defs"]})


def test_folder_in_a_specs_place_is_called_one(tmp_path: Path) -> None:
    (tmp_path / "exam.yaml").mkdir()
    with pytest.raises(SpecError, match=r"exam\.yaml:1: is a folder, must be a spec file"):
        find_spec(tmp_path, "exam")
    with pytest.raises(SpecError, match=r"there is no experiment 'exan'; .* has no specs"):
        find_spec(tmp_path, "exan")


def test_one_problem_is_counted_as_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = tmp_path / "exam.yaml"
    spec.write_text(SHORTEST.replace("experiment: exam", "experiment: other"))
    assert main(["validate", str(spec)]) == 2
    assert capsys.readouterr().out.splitlines()[-1] == "1 problem"


def test_password_in_a_url_is_neither_kept_nor_shown(tmp_path: Path) -> None:
    path = tmp_path / "exam.yaml"
    secret = "http://joe:s3cret@prometheus:9090"
    path.write_text(SHORTEST.replace("http://prometheus:9090", secret))
    spec = load_spec(path)
    assert isinstance(spec.sources.requests, PrometheusSource)
    assert spec.sources.requests.url == secret
    assert "s3cret" not in spec.model_dump_json()
    plain = tmp_path / "plain" / "exam.yaml"
    plain.parent.mkdir()
    plain.write_text(SHORTEST)
    # Another password is no other experiment.
    assert spec.spec_hash == load_spec(plain).spec_hash
    (found,) = _problems(tmp_path, SHORTEST.replace("http://", "htp://joe:s3cret@"))
    assert "is 'htp://prometheus:9090', must be a URL" in found


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ("user_env: U", "user_env and password_env are needed together"),
        ("token_env: T, user_env: U, password_env: P", "not both"),
    ],
)
def test_one_way_to_log_in_is_complete(tmp_path: Path, fields: str, said: str) -> None:
    text = SHORTEST.replace('9090"}', f'9090", {fields}}}')
    assert any(said in problem for problem in _problems(tmp_path, text))
