"""Metrics of counters and queries in a spec: flows.spec.measured_rules, flows.spec.placeholders,
flows.spec.metric_templates and flows.spec.metric_fields."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.formats.problems import InputError
from flows.spec.experiment import Experiment
from flows.spec.measured import CounterRatio, parse_selector
from flows.spec.placeholders import rendered
from flows.spec.read_spec import read_spec
from tests.builders.spec_texts import SHORTEST, problems_of
from tests.places import REPOSITORY

HEAD = """\
experiment: shop
service: shop
variants: {stable: {version: v1}, canary: {version: 'v"2'}}
split: {stable: 80, canary: 20}
sources: {metrics: "http://localhost:9090"}
"""


def read(folder: Path, metric: str, head: str = HEAD) -> Experiment:
    file = folder / "shop.yaml"
    file.write_text(f"{head}metrics:\n  m: {metric}\n")
    return read_spec(file)


@pytest.mark.parametrize(
    ("text", "metric", "matchers"),
    [
        ("up", "up", ()),
        ("a:b{}", "a:b", ()),
        (" x {a=\"1\", b!~'.*}' ,} ", "x", (("a", "=", "1"), ("b", "!~", ".*}"))),
        (r'x{a="q\"uote",b=~"x|y"}', "x", (("a", "=", 'q"uote'), ("b", "=~", "x|y"))),
    ],
)
def test_selector_is_read(text: str, metric: str, matchers: object) -> None:
    found = parse_selector(text)
    assert (found.metric, found.matchers) == (metric, matchers)


@pytest.mark.parametrize(
    "text",
    ["rate(x[5m])", "x{a=1}", "x{a='1' b='2'}", "x + y", "x[5m]", "sum(x)", "", 'x{a="1"}[1m]'],
)
def test_what_is_no_selector_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be a counter|has no condition|needs a comma"):
        parse_selector(text)


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ("{kind: ratio, bad: 'b{v=\"{{version}}\"}', of: a}", "m.of: is the same for stable and"),
        ("{kind: ratio, of: 'a{v=\"{{version}}\"}'}", "needs `bad` or `good`"),
        ("{kind: gauge, query: 'x{v=\"{{verson}}\"}', better: lower}", "there is no such name"),
        ("{kind: gauge, query: 'x{v=\"{{labels.a}}\"}', better: lower}", "there is no such name"),
        ("{kind: gauge, query: 'x{v=\"{{value}}\"}', better: lower}", "stable has no value"),
        ("{kind: gauge, query: 'x{v=\"{{version}}\"}'}", "m.better: is missing"),
        ("{kind: rate, counter: 'rate(x[5m])', better: lower}", "without rate()"),
        ("{kind: rate, counter: 'x{v=\"{{version}}\"}', better: lower}", "m.per: request: needs"),
        ("{kind: rate, counter: 'x{v=\"{{version}}\"}', better: lower, per: day()}", "must be"),
        ("{kind: gauge, query: up, beter: lower}", "did you mean 'better'"),
        ("{kind: ratio, bad: x, of: y, outcome: z}", "outcome"),
        ("{kind: ratio, outcome: z, per: y}", "needs `exposures` and `outcomes`"),
        (
            "{kind: ratio, bad: 'a{v=\"{{version}}\"}', of: 'a{ v=\"{{version}}\" }'}",
            "the same cou",
        ),
        ("{kind: ratio, good: 'a_{{version}}', of: 'a_{{version}}{}'}", "the same counter above"),
        ("{kind: rate, counter: '{{version}}', per: '{{version}}', better: lower}", "same counter"),
        ("{kind: rate, counter: '{{version}}', per: seconds, better: lower}", "must be 'second'"),
        ("{template: nowhere.yaml}", "must be a file with a metric"),
        ("{template: ../experiments}", "must be a file with a metric"),
    ],
)
def test_mistakes_are_told_in_words(tmp_path: Path, metric: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, metric)
    assert said in str(caught.value)


def test_server_is_needed_and_a_recording_answers_no_query(tmp_path: Path) -> None:
    gauge = "{kind: gauge, query: 'x{v=\"{{version}}\"}', better: lower}"
    nothing = HEAD.replace('{metrics: "http://localhost:9090"}', "{}")
    with pytest.raises(InputError, match="needs `metrics`: the server of m"):
        read(tmp_path, gauge, nothing)
    with pytest.raises(InputError, match="a recording answers no query"):
        read(tmp_path, gauge, nothing.replace("{}", "{requests: {recording: a.parquet}}"))


def test_sessions_name_the_variant_and_are_of_requests(tmp_path: Path) -> None:
    gauge = "{kind: gauge, query: 'x{v=\"{{version}}\"}', better: lower}"
    for counter, said in (
        ("s_total", "sessions: is the same for stable and canary"),
        ("'s{v=\"{{version}}\"}'", "sessions: are of requests"),
        ("rate(s[1m])", "without rate"),
    ):
        with pytest.raises(InputError) as caught:
            read(tmp_path, gauge, f"{HEAD}sessions: {counter}\n")
        assert said in str(caught.value)


def test_a_sticky_split_is_told_what_to_set(tmp_path: Path) -> None:
    (found,) = problems_of(tmp_path, SHORTEST + "split: sticky\n")
    assert found == (
        "10: split: is 'sticky', must be shares; where sessions are sticky, set `sessions` to the "
        "counter of new ones"
    )


def test_placeholders_stand_for_a_variants_own_names(tmp_path: Path) -> None:
    spec = read(tmp_path, "{kind: gauge, query: 'x{v=\"{{ version }}\"}', better: lower}")
    text = "{{variant}} {{version}} {{service}} {{namespace}}"
    assert rendered(text, spec, "canary") == 'canary v\\"2 shop default'


def test_template_is_shared_and_the_specs_own_fields_go_first(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text(
        "kind: ratio\nbad: 'b{v=\"{{version}}\"}'\nof: 'a{v=\"{{version}}\"}'\nmargin: 1%\n"
    )
    plain = read(tmp_path, "{template: t.yaml}").metrics["m"]
    own = read(tmp_path, "{template: t.yaml, margin: 0.02, role: goal}").metrics["m"]
    assert isinstance(plain, CounterRatio)
    assert isinstance(own, CounterRatio)
    assert (plain.margin.relative, own.margin.absolute, own.role) == (0.01, 0.02, "goal")
    (tmp_path / "t.yaml").write_text("kind: gauge\nkind: gauge\n")
    with pytest.raises(InputError, match=r"t\.yaml"):
        read(tmp_path, "{template: t.yaml}")
    (tmp_path / "t.yaml").write_text("template: t.yaml\n")
    with pytest.raises(InputError) as caught:
        read(tmp_path, "{template: t.yaml}")
    (said,) = str(caught.value).splitlines()
    assert said.endswith("m.template: t.yaml names another template, must hold the fields itself")


def test_the_example_of_any_metric_has_each_kind_and_a_template() -> None:
    spec = read_spec(REPOSITORY / "experiments" / "any-metric" / "orders-and-memory.yaml")
    kinds = {name: metric.kind for name, metric in spec.measured_metrics.items()}
    assert kinds == {"orders": "ratio", "retries": "rate", "memory": "gauge", "lag": "gauge"}
    assert spec.metrics["lag"].role.value == "info"
