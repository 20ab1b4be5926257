"""The exported metrics: exactly the guide's names and labels, in a format that is read for real."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dashboards.exported_metrics import (
    ConversionRate,
    ExperimentMetrics,
    HealthScore,
    TrafficShare,
    render_metrics,
)

EXAM = ExperimentMetrics(
    experiment="exam-canary",
    look_at_ms=1_767_225_600_000,
    shares=(
        TrafficShare("exam-service", "v1", "edtech-production", 90.25),
        TrafficShare("exam-service", "v2", "edtech-production", 9.75),
    ),
    conversions=(ConversionRate("canary", "finished", 0.125),),
    scores=(HealthScore("exam-service", "v2", 97.5),),
)

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def parsed(text: str) -> Series:
    """The samples as prometheus-client reads them; ValueError where it can't."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def key(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


AT = {"service": "exam-service", "namespace": "edtech-production"}
EXPECTED = {
    key("edtech_traffic_split_percentage", version="v1", **AT): 90.25,
    key("edtech_traffic_split_percentage", version="v2", **AT): 9.75,
    key(
        "edtech_ab_test_conversion_rate",
        experiment="exam-canary",
        variant="canary",
        outcome="finished",
    ): 0.125,
    key("edtech_canary_health_score", service="exam-service", deployment_version="v2"): 97.5,
}


def test_names_and_labels_are_the_guides() -> None:
    assert parsed(render_metrics([EXAM])) == EXPECTED


def test_the_prefix_can_be_chosen_but_must_make_a_name() -> None:
    assert {name.split("_")[0] for name, _ in parsed(render_metrics([EXAM], prefix="shop"))} == {
        "shop"
    }
    with pytest.raises(ValueError, match="metric prefix '9-lives' must be"):
        render_metrics([EXAM], prefix="9-lives")


def test_odd_label_values_survive() -> None:
    odd = 'a "b"\\c\nd'
    look = replace(EXAM, shares=(TrafficShare(odd, "v1", "n", 1.0),), conversions=(), scores=())
    assert parsed(render_metrics([look])) == {
        key("edtech_traffic_split_percentage", service=odd, version="v1", namespace="n"): 1.0
    }


def test_what_is_not_known_is_left_out() -> None:
    nothing = replace(EXAM, shares=(), conversions=(), scores=(HealthScore("s", "v", math.nan),))
    assert render_metrics([nothing]) == ""


def test_of_two_looks_at_the_same_version_the_later_counts_and_the_other_is_named() -> None:
    older = replace(
        EXAM,
        experiment="other",
        look_at_ms=EXAM.look_at_ms - 1,
        shares=(TrafficShare("exam-service", "v1", "edtech-production", 50.0),),
        conversions=(),
        scores=(),
    )
    text = render_metrics([older, EXAM])
    assert text == render_metrics([EXAM, older])
    assert parsed(text) == EXPECTED
    assert "of other left out: exam-canary looked later" in text
