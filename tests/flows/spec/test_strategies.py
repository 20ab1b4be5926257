"""Strategies in a spec, what they add to it, and the selectors of what they count."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from flows.formats.problems import InputError
from flows.ingest.measured.asked_series import asked_of
from flows.ingest.requests.mesh.families import FAMILIES
from flows.spec.experiment import Experiment, Mesh
from flows.spec.metrics import ErrorShare, OutcomeShare
from flows.spec.read_spec import read_spec
from flows.spec.strategies import STRATEGY, strategy_kinds
from tests.places import REPOSITORY

_HEAD = """\
experiment: shop
service: shop
namespace: mall
mesh: {mesh}
reporter: source
variants: {{stable: {{labels: {{c: a}}}}, canary: {{labels: {{c: b}}}}}}
split: {{stable: 50, canary: 50}}
sources: {{requests: {{prometheus: "http://localhost:9090"}}}}
"""


def _read(folder: Path, strategy: str, more: str = "", mesh: str = "istio") -> Experiment:
    file = folder / "shop.yaml"
    file.write_text(f"{_HEAD.format(mesh=mesh)}strategy: {strategy}\n{more}")
    return read_spec(file)


def test_every_strategy_has_a_spec_of_fewer_than_25_lines() -> None:
    files = {one.stem: one for one in (REPOSITORY / "experiments" / "strategies").glob("*.yaml")}

    assert set(files) == set(strategy_kinds())
    for name, file in files.items():
        spec = read_spec(file)
        assert spec.strategy is not None
        assert spec.strategy.strategy.kind == name
        assert len(file.read_text().splitlines()) < 25


def test_a_strategy_is_one_short_module_that_nothing_else_branches_on() -> None:
    modules = {one: inspect.getmodule(strategy) for one, strategy in strategy_kinds().items()}
    lengths = {
        one: len(inspect.getsource(found).splitlines()) for one, found in modules.items() if found
    }
    assert len(lengths) == len(strategy_kinds())
    assert max(lengths.values()) < 120
    # Only what reads manifests knows which of them configures which strategy.
    files = [file for part in ("analysis", "flows", "sql", "dashboards") for file in _code(part)]
    others = [
        file
        for file in files
        if not file.is_relative_to(REPOSITORY / "analysis" / "strategies")
        and not file.is_relative_to(REPOSITORY / "flows" / "manifests")
    ]
    names = [
        f"[\"']{kind}[\"']|strategies\\.{kind.replace('-', '_')}\\b" for kind in strategy_kinds()
    ]
    named = re.compile("|".join(names))
    assert len(others) > 500
    assert [file.name for file in others if named.search(file.read_text())] == []


def _code(part: str) -> list[Path]:
    return [one for one in (REPOSITORY / part).rglob("*") if one.suffix in (".py", ".sql")]


def test_a_strategy_adds_metrics_and_the_specs_own_fields_go_before(tmp_path: Path) -> None:
    own = "metrics: {errors: {margin: 0.02}, slow: {kind: slow_share, above: 1s}}\n"

    spec = _read(tmp_path, "{kind: rate-limiting, at_most: 20%}", own)

    assert list(spec.metrics) == ["refused", "errors", "slow"]
    refused, errors = spec.metrics["refused"], spec.metrics["errors"]
    assert isinstance(refused, OutcomeShare)
    assert isinstance(errors, ErrorShare)
    assert (refused.objective, errors.critical, errors.margin.absolute) == (0.2, True, 0.02)


@pytest.mark.parametrize(
    ("strategy", "line"),
    [
        (
            "{kind: chaoss}",
            "strategy: unknown kind 'chaoss' (did you mean 'chaos'?); there are 'ch",
        ),
        ("chaos", "strategy: is 'chaos', must hold fields, such as {kind: chaos}"),
        ("{at_most: 3}", "strategy: needs `kind`, one of"),
        ("chaos", "strategy: "),
        ("{kind: chaos, aborts: 5%}", "strategy.aborts: unknown field 'aborts' (did you mean 'ab"),
        ("{kind: chaos, aborted: 5}", "strategy.aborted: is 5, must be less than or equal to 1"),
        ("{kind: chaos, recovery: 30}", "strategy.recovery: is 30, must be a duration"),
        ("{kind: rate-limiting, tokens: 0}", "strategy.tokens: is 0, must be greater than 0"),
        ("{kind: rate-limiting, at_most: 0}", "strategy.at_most: is 0, must be greater than 0"),
        (
            "{kind: rate-limiting, at_most: 100%}",
            "strategy.at_most: is '100%', must be less than 1",
        ),
        (
            "{kind: timeouts-and-retries, timeouts: 0%}",
            "strategy.timeouts: is '0%', must be greater",
        ),
        (
            "{kind: timeouts-and-retries, timeouts: 1}",
            "strategy.timeouts: is 1, must be less than 1",
        ),
        ("{kind: rate-limiting, label: 'a\"}'}", "strategy.label: is 'a\"}', must be"),
        ("{kind: hedging, attempts: 'rate(x[1m])'}", "strategy.attempts: is 'rate(x[1m])', must"),
    ],
)
def test_a_wrong_strategy_is_said(tmp_path: Path, strategy: str, line: str) -> None:
    with pytest.raises(InputError) as refused:
        _read(tmp_path, strategy)

    assert line in str(refused.value)
    assert "\n" not in str(refused.value)


def test_versions_that_a_proxys_own_answers_lack_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "shop.yaml"
    text = _HEAD.format(mesh="istio").replace("labels: {c: b}", "version: v2")
    file.write_text(f"{text}strategy: {{kind: chaos}}\n")

    with pytest.raises(InputError, match=r"variants\.canary\.version: isn't in the series"):
        read_spec(file)


@pytest.mark.parametrize("mesh", ["linkerd", "linkerd-route", "linkerd-policy", "envoy"])
@pytest.mark.parametrize("kind", sorted(strategy_kinds()))
def test_flags_that_a_mesh_does_not_tell_are_refused_not_taken_for_none(
    tmp_path: Path, mesh: str, kind: str
) -> None:
    flags = {one.flag for one in strategy_kinds()[kind]().counters.values() if one.flag}
    family = FAMILIES[Mesh(mesh)]

    if flags - {*family.flag_counters}:
        with pytest.raises(InputError, match="reads response flags"):
            _read(tmp_path, f"{{kind: {kind}}}", mesh=mesh)
    else:
        texts = asked_of(_read(tmp_path, f"{{kind: {kind}}}", mesh=mesh), STRATEGY).texts
        assert not any("response_flags" in text for text in texts.values())


_CLUSTERS = "clusters: {stable: a, canary: b}"


@pytest.mark.parametrize(
    ("mesh", "strategy", "counter", "text"),
    [
        (
            "istio",
            "{kind: chaos}",
            "delayed",
            (
                'istio_requests_total{reporter="source",destination_service_name="shop",'
                'destination_service_namespace="mall",c="b",'
                'response_flags=~".*DI.*"}'
            ),
        ),
        (
            "envoy",
            "{kind: pools-and-outliers}",
            "ejections",
            'envoy_cluster_outlier_detection_ejections_enforced_total{envoy_cluster_name="canary"}',
        ),
        (
            "istio",
            "{kind: pools-and-outliers}",
            "ejections",
            (
                "envoy_cluster_outlier_detection_ejections_enforced_total{"
                'cluster_name=~"outbound[|][0-9]+[|]canary[|]shop[.].*"}'
            ),
        ),
        (
            "istio",
            f"{{kind: pools-and-outliers, {_CLUSTERS}}}",
            "ejections",
            'envoy_cluster_outlier_detection_ejections_enforced_total{envoy_cluster_name="b"}',
        ),
        (
            "envoy",
            "{kind: pools-and-outliers}",
            "overflow",
            'envoy_cluster_upstream_rq_pending_overflow{c="b"}',
        ),
        (
            "envoy",
            "{kind: pools-and-outliers}",
            "overflow:1",
            'envoy_cluster_upstream_rq_active_overflow{c="b"}',
        ),
        (
            "linkerd-route",
            "{kind: timeouts-and-retries, attempts: 'tries{v=\"{{variant}}\"}'}",
            "failed attempts",
            'tries{v="canary",status_code=~"5.."}',
        ),
        (
            "istio",
            "{kind: hedging, attempts: 'tries{v=\"{{variant}}\"}'}",
            "failed attempts",
            'tries{v="canary",response_code=~"5.."}',
        ),
    ],
)
def test_counters_are_those_of_the_variant(
    tmp_path: Path, mesh: str, strategy: str, counter: str, text: str
) -> None:
    spec = _read(tmp_path, strategy, mesh=mesh)

    assert asked_of(spec, STRATEGY).texts["canary", counter] == text


def test_other_parameters_are_another_selection(tmp_path: Path) -> None:
    by_tier, by_user = (
        asked_of(_read(tmp_path, f"{{kind: rate-limiting, label: {label}}}"), STRATEGY)
        for label in ("user_tier", "user")
    )

    assert by_tier.texts == by_user.texts
    assert by_tier.selection != by_user.selection
