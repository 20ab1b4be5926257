"""Specs: every problem with its line; defaults that make short specs useful.

Covers flows.spec.delivery, flows.spec.failures, flows.spec.metrics, flows.spec.plan_section,
flows.spec.signals.
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from flows.cli.main import main
from flows.formats.problems import InputError
from flows.spec.experiment import Experiment
from flows.workspace.experiments import find_spec, load_spec, select_readable
from flows.workspace.paths import Workspace
from tests.builders.spec_texts import SHORTEST, problems_of


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
            "10: split.canry: is not a variant; there are stable, canary",
        ),
        ("split: {stable: 100}", "10: split: must name stable and canary; canary isn't there"),
        (
            "plan: {stages: [{duration: 1h, weights: {canary: 100}}]}",
            "10: plan.stages.0.weights: must name stable and canary; stable isn't there",
        ),
        ("plan: {alfa: 0.1}", "10: plan.alfa: unknown field 'alfa' (did you mean 'alpha'?)"),
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
        (
            "metrics: {errors: {kind: error_share, margin: 5}}",
            "10: metrics.errors.margin: is 5, that is 500 points; say 0.05 for 5 points, or 5% of",
        ),
        (
            "metrics: {slow: {kind: slow_share, above: 1s, margin: {absolute: 1.0}}}",
            "10: metrics.slow.margin: that is 100 points; say 0.01 for 1 point, or 1% of",
        ),
        (
            "metrics: {done: {kind: proportion, outcome: done, margin: 500}}",
            "10: metrics.done.margin: is 500, that is 50000 points; say 0.05 for 5 points, or 5%",
        ),
        (
            "metrics: {back: {kind: retention, outcome: done, day: 1, margin: 1}}",
            "10: metrics.back.margin: is 1, that is 100 points; say 0.01 for 1 point, or 1%",
        ),
        (
            "metrics: {x: {kind: errors}}",
            "10: metrics.x: unknown kind 'errors'",
        ),
        (
            "metrics: {x: {kind: outcome_share, outcome: gone}}",
            "10: metrics.x.outcome: is 'gone', must be 'abandoned', 'rejected', 'client_error' or",
        ),
        (
            "metrics: {x: {kind: outcome_share, outcome: rejected, margin: 5}}",
            "10: metrics.x.margin: is 5, that is 500 points; say 0.05 for 5 points",
        ),
        (
            "metrics: {x: {kind: outcome_share, outcome: rejected, role: signal}}",
            "10: metrics: has no guardrail and no goal: signals and info can't promote anything",
        ),
        (
            "metrics: {x: {kind: error_share, failures: {codes: [6xx]}}}",
            "10: metrics.x.failures.codes.0: is '6xx', must be an HTTP status such as 503, or",
        ),
        (
            "failures: {grpc: [77]}",
            "10: failures.grpc.0: is 77, must be a gRPC status: 0 to 16, or a name such as",
        ),
        ("failures: {code: [5xx]}", "10: failures.code: unknown field 'code' (did you mean"),
        (
            "metrics: {c: {kind: proportion, outcome: done}}",
            "8: sources: needs `exposures` and `outcomes`",
        ),
        ("service: other", "10: service: duplicate key"),
        ("description: [1", "11: is not YAML"),
        ("description: &a x\nreporter: *a", "11: aliases and tags are not allowed"),
        ("description: !!python/object:os.system x", "10: aliases and tags are not allowed"),
        ("---\nexperiment: two", "is not YAML: but found another document"),
    ],
)
def test_problem_is_named_with_its_line_and_what_would_be_right(
    tmp_path: Path, added: str, said: str
) -> None:
    assert any(said in one for one in problems_of(tmp_path, f"{SHORTEST}{added}\n"))


def test_a_stage_may_give_a_variant_nothing(tmp_path: Path) -> None:
    stages = "[{duration: 1h, weights: {stable: 100, canary: 0}}, {duration: 1h, "
    stages += "weights: {stable: 0, canary: 100}}]"
    (tmp_path / "exam.yaml").write_text(f"{SHORTEST}plan: {{stages: {stages}}}\n")
    assert load_spec(tmp_path / "exam.yaml").stages[0].weights["canary"] == 0


@pytest.mark.parametrize(
    ("added", "said"),
    [
        (
            "plan: {margin: 0.1}",
            "10: plan.margin: unknown field 'margin'; it belongs to metrics of kind error_share",
        ),
        (
            "metrics: {errors: {kind: error_share, above: 1s}}",
            "10: metrics.errors.above: unknown field 'above'; it belongs to metrics of kind slow",
        ),
        ("plan: {mesh: istio}", "10: plan.mesh: unknown field 'mesh'; it belongs to the top level"),
        ("bucket: 15s", "10: bucket: unknown field 'bucket'; it belongs to plan"),
        # `quality` is the nearest name of all, and of another part.
        (
            "metrics: {slow: {kind: slow_share, above: 1s, quantil: 0.9}}",
            "10: metrics.slow.quantil: unknown field 'quantil' (did you mean 'quantile'?)",
        ),
        (
            "metric: {a: {kind: error_share}}",
            "10: metric: unknown field 'metric' (did you mean 'metrics'?); it belongs to sources.",
        ),
        (
            "metrics: {a: {kind: average, outcome: paid}}",
            "10: metrics.a: unknown kind 'average'; there are 'error_share'",
        ),
        ("plan: {scrape_intervl: 1s}", "10: plan.scrape_intervl: unknown field 'scrape_intervl'"),
    ],
)
def test_unknown_field_is_compared_with_those_of_its_own_part(
    tmp_path: Path, added: str, said: str
) -> None:
    (found,) = problems_of(tmp_path, f"{SHORTEST}{added}\n")
    assert found.startswith(said)
    assert "scrape_interval'" not in found


def test_variants_that_the_mesh_can_not_tell_apart_are_refused(tmp_path: Path) -> None:
    found = problems_of(tmp_path, SHORTEST.replace("v2.1.0", "v2.0.0"))
    told = "has the `version`, `labels` and `service` of stable: requests can't be told apart"
    assert found == [f"7: variants.canary: {told}"]


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
    assert any(said in one for one in problems_of(tmp_path, content))


def test_name_must_be_the_files(tmp_path: Path) -> None:
    (found,) = problems_of(tmp_path, SHORTEST.replace("experiment: exam", "experiment: other"))
    assert found.startswith("1: experiment: is 'other', must be the file's name 'exam'")


def test_unknown_experiment_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "exam.yaml").write_text(SHORTEST)
    with pytest.raises(InputError, match="did you mean 'exam'"):
        find_spec(tmp_path, "exm")


def test_specs_that_mean_the_same_have_the_same_hash() -> None:
    written = Experiment.model_validate(yaml.safe_load(SHORTEST))
    fuller = Experiment.model_validate({**yaml.safe_load(SHORTEST), "plan": {"alpha": 0.05}})
    assert written.spec_hash == fuller.spec_hash


def test_folder_in_a_specs_place_is_called_one(tmp_path: Path) -> None:
    (tmp_path / "exam.yaml").mkdir()
    with pytest.raises(InputError, match=r"exam\.yaml:1: is a folder, must be a spec file"):
        find_spec(tmp_path, "exam")
    with pytest.raises(InputError, match=r"there is no experiment 'exan'; .* has no specs"):
        find_spec(tmp_path, "exan")
    (tmp_path / "shop").mkdir()
    with pytest.raises(InputError, match="shop: is a folder; name an experiment, and its folder"):
        find_spec(tmp_path, "shop")
    (tmp_path / "rows.csv").touch()
    with pytest.raises(InputError, match=r"rows\.csv: is no spec: a spec's name ends in \.yaml"):
        find_spec(tmp_path, "rows.csv")
    (tmp_path / "exan.yml").touch()
    with pytest.raises(InputError, match=r"'exan'; rename exan\.yml to exan\.yaml$") as error:
        find_spec(tmp_path, "exan")
    assert str(error.value).startswith(f"{tmp_path}: ")


def test_a_pipe_in_a_specs_place_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "exam.yaml")
    found = select_readable(Workspace(tmp_path, specs=tmp_path))
    assert "is a pipe, a socket or a device" in str(found.broken["exam"])


def test_time_that_can_not_be_is_said_once(tmp_path: Path) -> None:
    (found,) = problems_of(tmp_path, SHORTEST + "plan: {start: 2026-13-45T00:00:00Z}\n")
    assert found.startswith("10: plan.start: is 2026-13-45T00:00:00Z, which can't be: month must")


def test_one_problem_is_counted_as_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = tmp_path / "exam.yaml"
    spec.write_text(SHORTEST.replace("experiment: exam", "experiment: other"))
    assert main(["validate", str(spec)]) == 2
    assert capsys.readouterr().out.splitlines()[-1] == "1 problem"
