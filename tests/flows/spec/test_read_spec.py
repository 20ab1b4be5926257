"""Specs: every problem at once, with its line; defaults that make short specs useful.

Covers flows.formats.json_schema, flows.spec.delivery, flows.spec.errors, flows.spec.failures,
flows.spec.fields, flows.spec.metrics, flows.spec.plan_section, flows.spec.signals,
flows.spec.user_rules.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from flows.aggregates.analyzed_document import scorecard_schema
from flows.calibration.calibration_document import calibration_schema
from flows.cli.main import main
from flows.formats.problems import InputError
from flows.ingest.sources.aggregate_rows import aggregates_schema
from flows.look.verdict_document import verdict_schema
from flows.spec.experiment import Experiment
from flows.spec.recovery import understand
from flows.spec.rules import check_rules
from flows.spec.schema import experiment_schema
from flows.spec.sources import PrometheusSource
from flows.workspace.experiments import find_spec, load_spec
from tests.places import REPOSITORY

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
    with pytest.raises(InputError) as caught:
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
        ("metrics: {x: {kind: errors}}", "10: metrics.x: needs `kind`, one of 'error_share'"),
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
    assert _problems(tmp_path, SEVEN) == [
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
        ("plan: {scrape_intervl: 1s}", "10: plan.scrape_intervl: unknown field 'scrape_intervl'"),
    ],
)
def test_unknown_field_is_compared_with_those_of_its_own_part(
    tmp_path: Path, added: str, said: str
) -> None:
    (found,) = _problems(tmp_path, f"{SHORTEST}{added}\n")
    assert found.startswith(said)
    assert "scrape_interval'" not in found


def test_wrong_stage_hides_nothing_of_the_others(tmp_path: Path) -> None:
    stages = (
        "plan:\n  stages:\n    - half\n    - {duration: 5m, weights: {stable: 90, canary: 5}}\n"
        "    - {duration: 5m, weights: {stable: 50, canary: 50}, at_most: 1m}\n"
    )
    assert [line.partition(", ")[0] for line in _problems(tmp_path, SHORTEST + stages)] == [
        "12: plan.stages.0: is 'half'",
        "13: plan.stages.1.weights: sums to 95",
        "14: plan.stages.2.at_most: is shorter than the stage's duration: 1m",
    ]


USERS = """\
experiment: exam
service: exam-service
variants: {a: {}, b: {}}
metrics: {done: {kind: proportion, outcome: done}}
sources: {exposures: {files: e.csv}, outcomes: {files: o.csv}}
"""
COUNTERS = "{conversions: {prometheus: http://p:9090, metric: conversions_total}}"
STAGES = """\
plan:
  stages:
    - {duration: 8d, weights: {a: 90, b: 10}}
    - {duration: 8d, weights: {a: 50, b: 50}}
"""


def test_experiment_of_users_alone_is_one_stage_that_is_longer_than_its_window(
    tmp_path: Path,
) -> None:
    (tmp_path / "exam.yaml").write_text(USERS)
    (stage,) = load_spec(tmp_path / "exam.yaml").stages
    assert (stage.weights, stage.duration) == ({}, timedelta(days=14))


def test_counters_are_refused_where_the_split_changes(tmp_path: Path) -> None:
    spec = USERS.replace("{exposures: {files: e.csv}, outcomes: {files: o.csv}}", COUNTERS)
    same = STAGES.replace("a: 90, b: 10", "a: 50, b: 50")
    for allowed in (USERS + STAGES, spec + same, spec + "split: {a: 70, b: 30}\n"):
        (tmp_path / "exam.yaml").write_text(allowed)
        assert load_spec(tmp_path / "exam.yaml").user_metrics
    (found,) = _problems(tmp_path, spec + STAGES)
    assert found == (
        "5: sources.conversions: can't tell done in stages of different splits: counters don't say "
        "when a user was exposed; use exposures and outcomes, or one split"
    )


@pytest.mark.parametrize(
    ("spec", "found", "longer"),
    [
        (
            USERS + "plan: {duration: 7d}\n",
            "4: metrics.done.window: is 7d, must be shorter than the whole plan, 7d",
            "plan.duration",
        ),
        (
            USERS.replace("proportion,", "retention, day: 15,") + STAGES,
            "4: metrics.done.day: is 16d, must be shorter than the whole plan, 16d",
            "plan.stages",
        ),
    ],
)
def test_window_that_no_user_completes_is_refused(
    tmp_path: Path, spec: str, found: str, longer: str
) -> None:
    (said,) = _problems(tmp_path, spec)
    assert said == f"{found}: else no user ever has a final value; say a longer {longer}"


def test_a_delivery_may_be_as_long_as_its_longest_stages(tmp_path: Path) -> None:
    spec = USERS.replace("done}", "done, window: 31d, role: guardrail}") + STAGES
    delivery = "delivery: {target: {envoy: routes.json}}\n"
    (tmp_path / "exam.yaml").write_text(spec + delivery)
    assert load_spec(tmp_path / "exam.yaml").delivery
    (found,) = _problems(tmp_path, spec.replace("31d", "32d") + delivery)
    assert "metrics.done.window: is 32d, must be shorter than the whole plan, 32d" in found
    (found,) = _problems(tmp_path, spec)
    assert "metrics.done.window: is 31d, must be shorter than the whole plan, 16d" in found


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
        ("kind: ratio", "kind: ratoi", "metrics.clicks: needs `kind`, one of"),
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
    (found,) = _problems(tmp_path, sound.replace(old, new))
    assert said in found


def test_a_field_that_stands_twice_hides_no_other_problem(tmp_path: Path) -> None:
    found = _problems(tmp_path, f"{SHORTEST}service: other\nplan: {{alpha: 2}}\n")
    assert [one.split(",")[0] for one in found] == [
        "10: service: duplicate key",
        "11: plan.alpha: is 2",
    ]


def test_path_names_no_kind_of_field(tmp_path: Path) -> None:
    added = "metrics: {p90: {kind: quantile, outcome: minutes, quantile: 2}}\n"
    found = _problems(tmp_path, SHORTEST.replace("http://", "ftp://") + added)
    assert found[1].startswith("9: sources.requests.prometheus: is 'ftp://prometheus:9090', must")
    assert found[2].startswith("10: metrics.p90.quantile: is 2, must be less than 1")


@pytest.mark.parametrize(
    ("added", "said"),
    [
        (
            'split: {stable: "60", canary: 50}',
            "split.stable: is '60', must be a number, without quotes: 60",
        ),
        ("split: {stable: yes, canary: 50}", "split.stable: is yes, must be a number"),
        ("split: {stable: .nan, canary: 50}", "split.stable: is .nan, must be a finite number"),
        (
            "metrics: {e: {kind: error_share, margin: .inf}}",
            "metrics.e.margin: is .inf, must be a finite number",
        ),
        (
            "metrics: {e: {kind: error_share, weight: .inf}}",
            "metrics.e.weight: is .inf, must be a finite number",
        ),
        (
            "metrics: {e: {kind: error_share, weight: 1.0e+308}}",
            "metrics.e.weight: is 1.0e+308, must be less than or equal to 1000",
        ),
        ('plan: {users: "100"}', "plan.users: is '100', must be a whole number, without quotes"),
        ("plan: {users: 10.5}", "plan.users: is 10.5, must be a whole number"),
        ("quality: {split_tolerance: .inf}", "split_tolerance: is .inf, must be a finite number"),
        (f"plan: {{duration: {'9' * 400}s}}", "must be at most 520w, ten years"),
    ],
)
def test_number_that_is_none_is_refused(tmp_path: Path, added: str, said: str) -> None:
    (found,) = _problems(tmp_path, f"{SHORTEST}{added}\n")
    assert said in found


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("version: v2.0.0", "version: 1.10", 'is 1.10, must be text; put it in quotes: "1.10"'),
        ("version: v2.0.0", "version: yes", 'is yes, must be text; put it in quotes: "yes"'),
        (
            "mesh: istio",
            "mesh: istio\nmetrics: {x: {margin: 5%}}",
            "needs `kind`, one of 'error_sh",
        ),
        (
            "mesh: istio",
            "mesh: istio\nmetrics: {x: {kind: errors}}",
            "'error_share', 'slow_share', 'outcome_share', 'proportion', 'count', 'mean', 'rat",
        ),
        (
            '  requests: {prometheus: "http://prometheus:9090"}',
            "  requests: http://prometheus:9090",
            "must hold fields: url; if wanted also scrape_interval, token_env, user_env, password",
        ),
        ("mesh: istio", "mesh: istio\nmetrics: {x: 5}", "metrics.x: is 5, must hold fields"),
        ("mesh: istio", "mesh: istio\nplan:", "plan: is empty, must hold fields: start, duration"),
        (
            "mesh: istio",
            "mesh: istio\nplan: {stages: 1h}",
            "is '1h', must be a list: [one, another]",
        ),
        ("mesh: istio", "mesh: istio\nplan: {start: 2026-13-01}", "is 2026-13-01, which can't be"),
        (
            "mesh: istio",
            "mesh: istio\nplan: {alpha: 5 %}",
            "plan.alpha: is '5 %', must be a number",
        ),
        ("mesh: istio", "mesh: istio\n[a, b]: 1", "has a list or fields as a name; a name must be"),
        ("mesh: istio", "mesh: istio\nmatch: [a]", "match: must hold names, with a value each"),
        ("mesh: istio", "mesh: istio\ndescription: a\x07b", "is not YAML: special characters"),
    ],
)
def test_message_says_what_would_be_right(tmp_path: Path, old: str, new: str, said: str) -> None:
    found = _problems(tmp_path, SHORTEST.replace(old, new))
    assert any(said in one for one in found), found
    assert "Node(" not in "".join(found)


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


def test_share_may_be_a_percentage(tmp_path: Path) -> None:
    (tmp_path / "exam.yaml").write_text(f"{SHORTEST}plan: {{alpha: 1%}}\n")
    assert load_spec(tmp_path / "exam.yaml").plan.alpha == 0.01
    _check_by_schema((tmp_path / "exam.yaml").read_text())


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
    with pytest.raises(InputError, match="did you mean 'exam'"):
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


@pytest.mark.parametrize("page", ["README.md", "docs/requests.md", "docs/users.md"])
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
        jsonschema.validate(part["default"], {**part, "$defs": schema["$defs"]})


def test_folder_in_a_specs_place_is_called_one(tmp_path: Path) -> None:
    (tmp_path / "exam.yaml").mkdir()
    with pytest.raises(InputError, match=r"exam\.yaml:1: is a folder, must be a spec file"):
        find_spec(tmp_path, "exam")
    with pytest.raises(InputError, match=r"there is no experiment 'exan'; .* has no specs"):
        find_spec(tmp_path, "exan")


def test_time_that_can_not_be_is_said_once(tmp_path: Path) -> None:
    (found,) = _problems(tmp_path, SHORTEST + "plan: {start: 2026-13-45T00:00:00Z}\n")
    assert found.startswith("10: plan.start: is 2026-13-45T00:00:00Z, which can't be: month must")


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
