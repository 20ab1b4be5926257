"""Public manifests, valid and broken, and the traffic guide that the product serves.

Covers flows.manifests.cross_checks, flows.manifests.fields.argo_fields,
flows.manifests.fields.field_check, flows.manifests.fields.flagger_fields,
flows.manifests.fields.gateway_api_fields, flows.manifests.fields.istio_fields.
"""

from __future__ import annotations

import csv
import re
from functools import cache
from pathlib import Path

import pytest

from flows.formats.problems import InputError
from flows.formats.yaml_file import parse_documents
from flows.manifests.metric_manifests import metrics_in
from flows.manifests.metric_queries import ConvertedMetric, said_of
from flows.manifests.new_metrics import MetricsFound, metric_lines
from flows.manifests.new_spec import new_spec
from flows.manifests.read import Manifests, manifests_in, read_manifests
from flows.manifests.split import Severity
from flows.manifests.split_choice import CannotInit, SpecAnswers, choose_split
from flows.workspace.experiments import load_spec
from tests.places import SHARED

MANIFESTS, GUIDE = SHARED / "data" / "manifests", SHARED / "seed"
pytestmark = pytest.mark.skipif(
    not MANIFESTS.exists(), reason="no real manifests here: they are not part of the repository"
)


@cache
def schemas() -> dict[str, str]:
    """What a validation against the kinds' own schemas said of each file."""
    with (MANIFESTS / "index.tsv").open() as file:
        return {row["file"]: row["schema"] for row in csv.DictReader(file, delimiter="\t")}


def real(kind: str) -> list[Path]:
    return [path for path in sorted((MANIFESTS / kind).iterdir()) if path.suffix == ".yaml"]


def read(path: Path) -> Manifests | None:
    try:
        return read_manifests([path])
    except InputError:
        return None


READ_KINDS = (
    "argo-rollout",
    "flagger-canary",
    "gatewayapi-httproute",
    "istio-destinationrule",
    "istio-virtualservice",
    "linkerd-serviceprofile",
    "smi-trafficsplit",
)
# Valid by their schema, and wrong all the same: a subset that isn't there, a route that is never
# reached (twice), a ServiceProfile under a short name.
WRONG_THOUGH_VALID = 4


def test_only_what_is_no_yaml_is_refused() -> None:
    for kind in READ_KINDS:
        for path in real(kind):
            known = schemas()[f"{kind}/{path.name}"]
            assert (read(path) is None) == (known == "unparsed"), path.name


def test_valid_manifests_are_not_complained_about() -> None:
    wrong = []
    for kind in READ_KINDS:
        for path in real(kind):
            found = read(path)
            if found and schemas()[f"{kind}/{path.name}"] == "ok":
                wrong += [one for one in found.findings if one.severity is Severity.WRONG]
    assert len(wrong) == WRONG_THOUGH_VALID


@pytest.mark.parametrize("kind", READ_KINDS)
def test_a_spec_from_any_real_split_is_valid(kind: str, tmp_path: Path) -> None:
    written = 0
    for path in real(kind):
        manifests = read(path)
        for route in manifests.splits if manifests else ():
            wanted = SpecAnswers(service=route.service, route=str(route.origin), name="exam")
            assert manifests is not None
            try:
                split = choose_split(manifests, wanted)
            except CannotInit:
                continue  # one receiver only, or twins
            text = new_spec(split, wanted, files=[path], spec_dir=tmp_path)
            (tmp_path / "exam.yaml").write_text(text)
            spec = load_spec(tmp_path / "exam.yaml")
            assert len(spec.variants) == len(split.backends)
            written += 1
    assert written > 0 or kind in ("istio-destinationrule", "linkerd-serviceprofile")


@pytest.fixture(scope="module")
def guide() -> Manifests:
    text = next(GUIDE.glob("*.txt")).read_text()
    documents = []
    for block in re.finditer(r"```yaml\n(.*?)```", text, re.DOTALL):
        # Empty lines before it, so that lines are those of the guide.
        before = "\n" * text[: block.start(1)].count("\n")
        documents += parse_documents(before + block[1], "guide")
    return manifests_in(documents, ("guide",))


def test_the_guides_mistakes_are_found_and_told_how_to_be_mended(guide: Manifests) -> None:
    wrong = {(one.line, one.field) for one in guide.findings if one.severity is Severity.WRONG}
    http = "spec.trafficPolicy.connectionPool.http"
    misplaced = ("consecutiveGatewayErrors", "interval", "baseEjectionTime", "maxEjectionPercent")
    assert wrong >= {
        (46, "metadata.name"),
        (61, "spec.routes[0].retryBudget"),
        *((94 + i, f"{http}.{name}") for i, name in enumerate(misplaced)),
        (306, "spec.http[0].route[0].destination.subset"),
        (394, "spec.http[0].route[0].destination.host"),
        (415, "metadata.name"),
        (435, "spec.routes[0].retryBudget"),
        *((455 + i, f"{http}.{name}") for i, name in enumerate(misplaced)),
    }
    messages = {one.line: one.message for one in guide.findings}
    assert messages[94].endswith("it belongs to spec.trafficPolicy.outlierDetection")
    assert messages[61].endswith("it belongs to spec")
    assert "exam-service.edtech-production.svc.cluster.local" in messages[46]


def test_the_guides_splits_are_read(guide: Manifests) -> None:
    percents = {str(one.origin): one.percents for one in guide.splits if len(one.backends) > 1}
    canary = "VirtualService edtech-production/exam-service-canary"
    quiz = "VirtualService edtech-production/learning-module-ab-test"
    assert percents == {
        f"{canary}, http[2]": {"canary": 50.0, "stable": 50.0},
        f"{canary}, http[3]": {"stable": 90.0, "canary": 10.0},
        f"{quiz}, http[0]": {"quiz-experiment-a": 50.0, "quiz-experiment-b": 50.0},
        f"{quiz}, http[1]": {"adaptive-algorithm-v1": 70.0, "adaptive-algorithm-v2": 30.0},
    }


METRIC_KINDS = (
    "flagger-metrictemplate",
    "argo-analysistemplate",
    "argo-analysisrun",
    "kayenta-canaryconfig",
)
# PromQL that can't be converted as it stands, and why.
NOT_AS_IT_STANDS = {
    "flagger__docs_gitbook_tutorials_apisix": "what route stands for is not known; add the file",
    "flagger__docs_gitbook_tutorials_gloo": "needs a comma before",
    "flagger__docs_gitbook_usage_metrics__b4": "what variables.direction stands for is not known",
    "zero-downtime-deploy__analysis_latency": "add a label with {{version}}",
}
WHAT_TO_DO = re.compile(
    r"; (have Prometheus scrape|run it as a hook|call it as a hook)|"
    r"`verdict judge` takes|; add the file|; add its file|it has no query|: add a label|; correct"
)
CONVERTED = 14


def test_every_metric_of_other_tools_is_converted_or_named_with_what_to_do(tmp_path: Path) -> None:
    converted, not_as_it_stands = 0, {}
    for path in (path for kind in METRIC_KINDS for path in (MANIFESTS / kind).iterdir()):
        try:
            found = metrics_in([path], "version")
        except InputError:
            assert schemas()[f"{path.parent.name}/{path.name}"] == "unparsed"
            continue
        assert found, path.name
        for metric, said in zip(found, said_of(found), strict=True):
            if isinstance(said, ConvertedMetric):
                converted += 1
                _read_in_a_spec(tmp_path / "spec.yaml", said)
                continue
            assert WHAT_TO_DO.search(said), said
            if metric.query and not metric.other:
                not_as_it_stands[path.name] = said
    assert converted == CONVERTED
    assert len(not_as_it_stands) == len(NOT_AS_IT_STANDS)
    for file, why in NOT_AS_IT_STANDS.items():
        (said,) = (text for name, text in not_as_it_stands.items() if file in name)
        assert why in said


def _read_in_a_spec(file: Path, metric: ConvertedMetric) -> None:
    lines = metric_lines(MetricsFound((metric,), ()))
    names = "canary: {version: v2, service: two}, stable: {version: v1, service: one}"
    head = f"experiment: spec\nservice: shop\nmesh: istio\nvariants: {{{names}}}\n"
    source = "sources: {requests: {prometheus: 'http://localhost:9090'}}\n"
    file.write_text("\n".join([head + source, *lines, ""]))
    assert metric.name in load_spec(file).metrics
