"""JSON Schema of specs: what an editor is told is what is read.

Covers flows.formats.json_schema.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from analysis.evidence import StageCounts
from analysis.quality.zero_share import check_zero_share
from flows.aggregates.analyzed_document import scorecard_schema
from flows.calibration.calibration_document import calibration_schema
from flows.ingest.sources.aggregate_rows import aggregates_schema
from flows.look.verdict_document import verdict_schema
from flows.spec.plan_section import Quality
from flows.spec.schema import experiment_schema
from flows.workspace.experiments import load_spec
from tests.builders.spec_texts import SHORTEST
from tests.places import REPOSITORY


def test_share_may_be_a_percentage(tmp_path: Path) -> None:
    (tmp_path / "exam.yaml").write_text(f"{SHORTEST}plan: {{alpha: 1%}}\n")
    assert load_spec(tmp_path / "exam.yaml").plan.alpha == 0.01
    _check_by_schema((tmp_path / "exam.yaml").read_text())


def test_published_schemas_are_current() -> None:
    schemas = REPOSITORY / "schemas"
    assert (schemas / "experiment.schema.json").read_text() == experiment_schema()
    assert (schemas / "verdict.schema.json").read_text() == verdict_schema()
    assert (schemas / "aggregates.schema.json").read_text() == aggregates_schema()
    assert (schemas / "calibration.schema.json").read_text() == calibration_schema()
    assert (schemas / "scorecard.schema.json").read_text() == scorecard_schema()


def test_test_traffic_is_described_as_it_is_by_default() -> None:
    """The shares that are named are those which the check allows where the spec is silent."""
    quality = Quality()
    said = json.loads(experiment_schema())["$defs"]["Quality"]["properties"]["test_traffic"]
    for tolerance, what in (
        (quality.split_tolerance, "requests"),
        (quality.user_split_tolerance, "users"),
    ):
        counts = StageCounts({"a": 50.0, "b": 50.0}, {"a": 1.0, "b": 0.0}, tests={"b": 0.0})
        found = check_zero_share([counts], tolerance=tolerance, alpha=0.05)
        assert found is not None
        allowed = 1 / (1 + found.odds_ratio)  # its odds are 1, over the largest allowed
        assert f"{100 * allowed:.1f} % of {what} by default" in said["description"]


def _check_by_schema(text: str) -> None:
    # An editor sees a time as text, whatever YAML makes of it.
    seen = json.loads(json.dumps(yaml.safe_load(text), default=str))
    jsonschema.validate(seen, json.loads(experiment_schema()))


@pytest.mark.parametrize("path", sorted((REPOSITORY / "experiments").glob("*.yaml")), ids=str)
def test_experiments_of_the_repository_are_valid(path: Path) -> None:
    assert load_spec(path).experiment == path.stem
    _check_by_schema(path.read_text())


@pytest.mark.parametrize(
    "page", ["README.md", "docs/reference/requests.md", "docs/reference/users.md"]
)
def test_examples_of_the_docs_are_valid(page: str, tmp_path: Path) -> None:
    text = (REPOSITORY / page).read_text()
    examples = re.findall(r"```yaml\n(experiment: .*?)```", text, re.DOTALL)
    assert examples
    for example in examples:
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
        SHORTEST + "metrics: {errors: {kind: error_share, margin: 5}}\n",
        SHORTEST + "metrics: {errors: {kind: error_share, margin: {absolute: 5}}}\n",
        SHORTEST + "metrics: {done: {kind: proportion, outcome: done, margin: 5}}\n",
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
        # The schema itself is checked once, elsewhere: doing so for each part takes a minute.
        whole = {**part, "$defs": schema["$defs"]}
        jsonschema.Draft202012Validator(whole).validate(part["default"])
