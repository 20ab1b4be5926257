"""A source that is named and not read is told: what isn't read isn't judged."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from flows.spec.experiment import Experiment
from flows.spec.unread_sources import unread_sources
from tests.builders.spec_texts import SHORTEST

PAID = {"paid": {"kind": "proportion", "outcome": "paid", "window": "5m"}}
COUNTED = {"prometheus": "http://prometheus:9090", "metric": "conversions_total"}
QUEUE = {"queue": {"kind": "gauge", "query": 'len{v="{{version}}"}', "better": "lower"}}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, []),
        ({"conversions": COUNTED}, ["sources.conversions"]),
        ({"conversions": COUNTED, "metrics": PAID}, ["sources.requests"]),
        ({"conversions": COUNTED, "metrics": {**PAID, "e": {"kind": "error_share"}}}, []),
        ({"metrics": QUEUE}, ["sources.requests"]),
        ({"metrics": QUEUE, "mesh": None}, []),
    ],
)
def test_source_that_no_metric_reads_is_told(changed: dict[str, Any], told: list[str]) -> None:
    """Metrics of users in the place of the default ones leave errors unseen."""
    written = yaml.safe_load(SHORTEST)
    sources = {**written["sources"], **{k: v for k, v in changed.items() if k == "conversions"}}
    fields = {k: v for k, v in changed.items() if k != "conversions"}
    spec = Experiment.model_validate({**written, **fields, "sources": sources})
    assert [said.partition(":")[0] for said in unread_sources(spec)] == told
