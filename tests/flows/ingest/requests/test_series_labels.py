"""What labels say: the target, and one form of the series."""

from __future__ import annotations

import pytest

from flows.ingest.requests.series_labels import normalised, target_of


@pytest.mark.parametrize(
    ("labels", "name"),
    [
        ({"job": "pods", "instance": "a:15020", "pod": "a"}, "pods/a:15020"),
        ({"instance": "a:15020"}, "/a:15020"),
        ({"job": "pods", "instance": "", "pod": "a"}, "a"),
        ({"job": "pods"}, "pods"),
        ({}, ""),
    ],
)
def test_a_target_is_named_by_its_instance_or_else_its_pod(
    labels: dict[str, str], name: str
) -> None:
    assert target_of(labels) == name


@pytest.mark.parametrize("edge", ["1", "1.0", "1e0", "1.00"])
def test_bounds_have_one_form(edge: str) -> None:
    assert normalised({"le": edge})["le"] == "1.0"


def test_labels_of_the_server_and_empty_ones_say_nothing_of_the_series() -> None:
    own = {"__name__": "istio_requests_total", "pod": "a"}
    server = {"prometheus": "east", "prometheus_replica": "0", "__replica__": "0", "zone": ""}
    assert normalised(own | server) == own
