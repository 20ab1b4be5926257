"""From scraped series to the experiment's own: one row each, and samples that are counts."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flows.ingest.requests.mesh.families import FAMILIES
from flows.ingest.requests.series import (
    RequestSeries,
    SeriesLabels,
    experiment_series,
    labels_text,
)
from flows.ingest.sources.samples import Samples
from flows.spec.experiment import Mesh
from tests.flows.ingest.requests.test_pull_requests import experiment, istio

FAMILY = FAMILIES[Mesh.ISTIO]


def series_of(*series: tuple[dict[str, str], dict[int, float]]) -> RequestSeries:
    counts = [len(samples) for _, samples in series]
    return experiment_series(
        SeriesLabels(FAMILY, experiment()),
        Samples(
            tuple(labels for labels, _ in series),
            np.concatenate(([0], np.cumsum(counts))),
            np.array([t for _, samples in series for t in samples], np.int64),
            np.array([v for _, samples in series for v in samples.values()], np.float64),
        ),
    )


def test_series_get_their_variant_and_others_are_counted_as_foreign() -> None:
    found = series_of(
        (istio("v2", "b"), {1: 1.0}), (istio("v1", "a"), {1: 1.0}), (istio("v9", "c"), {1: 1.0})
    )
    assert [row.variant for row in found.rows] == ["canary", "stable"]
    assert (found.foreign, found.foreign_versions) == (1, frozenset({"v9"}))


def test_series_are_told_from_one_span_to_the_next_by_all_of_their_labels() -> None:
    known = SeriesLabels(FAMILY, experiment())
    one = istio("v1", "a", response_code="200", grpc_response_status="5")
    other = istio("v1", "a", response_code="5", grpc_response_status="200")
    # The same values under other names.
    swapped = dict(zip(one, other.values(), strict=True)) | {"b": "1", "c": "2"}
    renamed = {("c" if k == "b" else "b" if k == "c" else k): v for k, v in swapped.items()}
    for labels in (one, other, swapped, renamed, istio("v9", "a")):
        first, again = known.told(labels), known.told(dict(labels))
        assert again is first
        assert first == SeriesLabels(FAMILY, experiment()).told(labels)
    ids = {
        found.row.series_id for labels in (swapped, renamed) if (found := known.told(labels)).row
    }
    assert len(ids) == 2


def test_targets_stand_in_the_order_in_which_their_series_name_them() -> None:
    found = series_of((istio("v2", "b"), {1: 1.0}), (istio("v1", "a"), {1: 1.0}))
    assert list(found.targets) == ["pods/a:15020", "pods/b:15020"]
    assert found.counters.target.tolist() == [1, 0]
    assert found.targets["pods/b:15020"]["destination_version"] == "v2"


def test_one_series_in_two_spellings_is_one_and_no_time_counts_twice() -> None:
    bucket = istio("v1", "a") | {"__name__": "istio_request_duration_milliseconds_bucket"}
    found = series_of(
        (bucket | {"le": "1"}, {1: 1.0, 2: 2.0}), (bucket | {"le": "1.0"}, {2: 2.0, 3: 4.0})
    )
    assert found.counters.ts_ms.tolist() == [1, 2, 3]
    assert found.counters.values.tolist() == [1.0, 2.0, 4.0]
    assert [row.le_ms for row in found.rows] == [1.0]
    infinite = series_of((bucket | {"le": "+Inf"}, {1: 1.0}))
    assert infinite.rows[0].le_ms == float("inf")


def test_no_series_is_no_error() -> None:
    found = series_of()
    assert (found.rows, dict(found.targets), len(found.counters.ts_ms)) == ((), {}, 0)


@given(st.dictionaries(st.text(), st.text(), max_size=6))
def test_labels_text_is_the_json_that_series_have_been_named_by(labels: dict[str, str]) -> None:
    assert labels_text(labels) == json.dumps(labels, sort_keys=True, ensure_ascii=False)
