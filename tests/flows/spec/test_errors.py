"""Messages say what is wrong and what would be right.

Covers flows.spec.fields.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from flows.spec.errors import _PATTERNS
from flows.spec.fields import DURATION_PATTERN, PERCENT_PATTERN
from flows.spec.schema import experiment_schema
from tests.builders.spec_texts import SHORTEST, USERS, problems_of


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
        ("plan: {users: <<}", "plan.users: is '<<', must be a whole number"),
        ("plan: {users: =}", "plan.users: is '=', must be a whole number"),
    ],
)
def test_number_that_is_none_is_refused(tmp_path: Path, added: str, said: str) -> None:
    (found,) = problems_of(tmp_path, f"{SHORTEST}{added}\n")
    assert said in found


@pytest.mark.parametrize("written", ["5%", "5 %", '"5"', '"0.5"', "5e-1", "0.5%"])
@pytest.mark.parametrize(
    "field",
    [
        "split: {stable: @, canary: 95}",
        "plan: {stages: [{duration: 30m, weights: {stable: @, canary: 95}}]}",
        "plan: {alpha: @}",
        "plan: {users: @}",
        "quality: {split_tolerance: @}",
        "metrics: {e: {kind: error_share, weight: @}}",
        "metrics: {e: {kind: error_share, objective: @}}",
        "metrics: {e: {kind: error_share, margin: {relative: @}}}",
        "metrics: {e: {kind: error_share, margin: {absolute: @}}}",
        "metrics: {e: {kind: rate, counter: a_total, better: lower, margin: {absolute: @}}}",
        "metrics: {e: {kind: gauge, query: a, better: lower, objective: @}}",
    ],
)
def test_number_that_a_message_names_is_accepted(tmp_path: Path, field: str, written: str) -> None:
    """`relative: 5%` was to be 5, which is refused; `5 %` of a split was to be 5%."""

    def said(value: str) -> str:
        text = f"{SHORTEST}{field.replace('@', value)}\n"
        # What else is wrong with these short specs is not what this is about.
        found = problems_of(tmp_path, f"{text}after: [UNKNOWN]\n")
        return " ".join(one for one in found if re.search(r": is .*must be a (whole )?number", one))

    named = re.search(r"(?:number|quotes|blank): ([0-9.]+%?)", said(written))
    assert named is None or said(named[1]) == ""


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("{absolute: 5%}", "must be a number: 0.05 of a share, else {relative: 5%}"),
        ("{absolute: 5e-3}", "must be a number: 0.005"),
        ("{relative: 5 %}", "a percentage without a blank: 5%"),
        ("{relative: 150%}", "is '150%', must be less than 1"),
    ],
)
def test_margin_that_is_none_is_refused_with_one_that_is(
    tmp_path: Path, written: str, said: str
) -> None:
    metrics = f"metrics: {{e: {{kind: error_share, margin: {written}}}}}"
    (found,) = problems_of(tmp_path, f"{SHORTEST}{metrics}\n")
    assert said in found


@pytest.mark.parametrize(
    ("metric", "bad"), [("error_share", "fail"), ("slow_share, above: 1s", "be slow")]
)
def test_success_rate_is_no_objective(tmp_path: Path, metric: str, bad: str) -> None:
    """The guide asks for a success rate of 0.95; as an objective that lets nearly all fail."""

    def found(objective: str) -> list[str]:
        metrics = f"metrics: {{e: {{kind: {metric}, objective: {objective}}}}}"
        return problems_of(tmp_path, f"{SHORTEST}{metrics}\nafter: [UNKNOWN]\n")

    for written, said in (
        ("0.95", f"is 0.95, which lets 95 % of the requests {bad}"),
        ("99.9%", f"if 99.9 % must not {bad}, say 0.001"),
    ):
        assert said in " ".join(found(written))
    assert len(found("0.95")) == len(found("50%")) + 1


@pytest.mark.parametrize("open_name", ["{{ .Values.name }}", "${NAME}", "v$(TAG)"])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("service: exam-service", "service: '@'"),
        ("v2.1.0", "'@'"),
        ("version: v2.1.0", "labels: {app: '@'}"),
        ("edtech-production", "'@'"),
        ("mesh:", "match: {cluster: '@'}\nmesh:"),
        ('"http://prometheus:9090"', "'http://@:9090'"),
    ],
)
def test_what_a_template_leaves_open_is_no_name(
    tmp_path: Path, old: str, new: str, open_name: str
) -> None:
    """In quotes it is text like any other, of which no series has the label."""
    assert old in SHORTEST
    found = problems_of(tmp_path, SHORTEST.replace(old, new.replace("@", open_name)))
    # Of an address only the placeholder is shown.
    shown = open_name.removeprefix("v") if "http" in new else open_name
    assert any(shown in one and "a placeholder: render the template first" in one for one in found)


@pytest.mark.parametrize(
    "host", ["${HOST}", "{{ .Values.host }}", "${HOST:-s3cret}", "{{ .Values.host | lower }}"]
)
def test_what_is_beside_a_placeholder_in_an_address_is_not_shown(tmp_path: Path, host: str) -> None:
    url = f"'http://adm:s3cret@{host}:9090'"
    said = " ".join(problems_of(tmp_path, SHORTEST.replace('"http://prometheus:9090"', url)))
    assert "a placeholder" in said
    assert "s3cret" not in said


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("{prometheus: }", "prometheus: is empty, must be a URL"),
        ('{prometheus: {url: "http://p:9090"}}', "prometheus: must be a URL"),
        ("{prometheus: 9090}", "prometheus: is 9090, must be"),
        ("{url: }", "url: is empty, must be a URL"),
    ],
)
def test_address_that_is_none_is_asked_for_at_its_field(
    tmp_path: Path, written: str, said: str
) -> None:
    """`prometheus` was an unknown field where its value was no text."""
    (found,) = problems_of(
        tmp_path, SHORTEST.replace('{prometheus: "http://prometheus:9090"}', written)
    )
    assert f"sources.requests.{said}" in found


@pytest.mark.parametrize("days", [3651, 999_999_999, 10**30])
def test_day_that_no_time_has_is_refused(tmp_path: Path, days: int) -> None:
    """A traceback was all that was said of a day beyond the longest time span."""
    spec = USERS.replace("kind: proportion,", f"kind: retention, day: {days},")
    (found,) = problems_of(tmp_path, spec)
    assert f"metrics.done.day: is {days}, must be less than or equal to 3650" in found


TIME = "must be a time such as 2026-01-31T12:00:00Z, without a zone UTC"


@pytest.mark.parametrize(
    "written", ["31.01.2026", "soon", "20260131", '"20260131"', "1.7e+9", "yes"]
)
def test_time_that_is_none_is_refused_with_one_that_is(tmp_path: Path, written: str) -> None:
    """20260131 was a day of 1970."""
    (found,) = problems_of(tmp_path, f"{SHORTEST}plan: {{start: {written}, duration: 1h}}\n")
    assert found.endswith(TIME)


@pytest.mark.parametrize(
    "written", ["0001-01-01", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59Z", "3000-01-01"]
)
def test_time_of_no_traffic_is_refused(tmp_path: Path, written: str) -> None:
    """At the end of all time the plan's end, and a look's margins, can't be reckoned."""
    (found,) = problems_of(tmp_path, f"{SHORTEST}plan: {{start: {written}, duration: 1h}}\n")
    assert found.endswith("must be a time of the years 1970 to 2999")


@pytest.mark.parametrize(
    ("added", "said"),
    [
        ('failures: {flags: ["U T"]}', "a response flag in letters, such as UT"),
        ("engine: {spark: host:15002}", "must be an address such as sc://host:15002"),
        ("delivery: {target: {kubernetes: exam}}", "such as VirtualService/exam-service"),
        ("strategy: {kind: rate-limiting, label: a{b}", "must be letters, digits, blanks"),
        ("metrics: {e: {kind: error_share, objective: 5 %}}", "a percentage without a blank: 5%"),
    ],
)
def test_form_of_a_text_is_said_in_words(tmp_path: Path, added: str, said: str) -> None:
    text = added.replace("a{b}", '"a{b"}')
    assert any(said in one for one in problems_of(tmp_path, f"{SHORTEST}{text}\n"))


def test_no_message_is_a_regular_expression() -> None:
    """Durations and percentages have parsers that say what they want."""
    patterns = set(re.findall(r'"pattern": ("(?:[^"\\]|\\.)*")', experiment_schema()))
    said = {json.dumps(one) for one in (*_PATTERNS, DURATION_PATTERN, PERCENT_PATTERN)}
    assert patterns
    assert patterns <= said


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
            "is 'http://prometheus:9090', must be {prometheus: URL} or {recording: FILE}",
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
        ("mesh: istio", "mesh: istio\nmatch: [a]", "match: must be a map of names to values"),
        ("mesh: istio", "mesh: istio\ndescription: a\x07b", "is not YAML: special characters"),
    ],
)
def test_message_says_what_would_be_right(tmp_path: Path, old: str, new: str, said: str) -> None:
    found = problems_of(tmp_path, SHORTEST.replace(old, new))
    assert any(said in one for one in found), found
    assert "Node(" not in "".join(found)
