"""Pushes to a real Pushgateway."""

from __future__ import annotations

from dataclasses import replace

import pytest
import requests

from dashboards.exported_metrics import ConversionRate, ExperimentMetrics, render_metrics
from flows.publish.pushgateway import PushFailed, push_text
from tests.dashboards.test_exported_metrics import EXAM, EXPECTED, key, parsed
from tests.places import PATIENCE_S
from tests.servers.real_servers import free_port, pushgateway


def push(look: ExperimentMetrics, url: str) -> None:
    push_text(render_metrics([look]), url, experiment=look.experiment)


def test_a_push_replaces_the_experiments_group_only() -> None:
    quiz = replace(
        EXAM,
        experiment="quiz",
        shares=(),
        scores=(),
        conversions=(ConversionRate("a", "finished", 0.5),),
    )
    with pushgateway() as url:
        push(quiz, url)
        push(EXAM, url + "/")
        push(replace(EXAM, conversions=()), url)
        served = parsed(requests.get(f"{url}/metrics", timeout=PATIENCE_S).text)
    group = {"job": "split-verdict", "instance": ""}
    ours = {found: value for found, value in served.items() if found[0].startswith("edtech_")}
    expected = {
        (name, labels | frozenset(group.items()) | {("experiment", "exam-canary")}): value
        for (name, labels), value in EXPECTED.items()
        if "conversion" not in name
    }
    labels = {"experiment": "quiz", "variant": "a", "outcome": "finished"}
    assert ours == expected | {key("edtech_ab_test_conversion_rate", **labels, **group): 0.5}


def test_a_refusal_says_what_the_gateway_said() -> None:
    with pushgateway() as url, pytest.raises(PushFailed, match="with status 404: 404 page not fou"):
        push(EXAM, f"{url}/elsewhere")


def test_a_gateway_that_is_not_there_is_one_clear_error() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(PushFailed, match=f"Pushgateway {url} can't be reached"):
        push_text("", url, timeout_s=1)
