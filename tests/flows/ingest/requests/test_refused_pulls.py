"""A pull that finds nothing says what there is instead, and writes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows.ingest.requests.diagnosis import (
    NoSeries,
    NoSuchMetric,
    NoSuchVersion,
    NoVersionLabel,
    WindowInFuture,
)
from flows.ingest.requests.mesh.family import VariantsOverlap
from flows.ingest.requests.pull_requests import pull_requests
from tests.builders.scraped_source import ScrapedSource
from tests.flows.ingest.requests.test_pull_requests import (
    HOUR,
    START,
    add_pod,
    experiment,
    istio,
    pull,
    rows,
    two_versions,
)


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    return tmp_path / "w.duckdb"


def _refused(source: ScrapedSource, warehouse: Path, kind: type[Exception], **changes: Any) -> str:
    with pytest.raises(kind) as caught:
        pull(source, warehouse, **changes)
    if warehouse.exists():
        assert rows(warehouse, "select count(*) from pulls") == [(0,)]
        assert rows(warehouse, "select count(*) from series") == [(0,)]
    return str(caught.value)


def test_unknown_metric_names_the_mesh_that_has_series(warehouse: Path) -> None:
    message = _refused(two_versions(), warehouse, NoSuchMetric, mesh="linkerd")
    assert "response_total" in message
    assert "istio" in message


def test_empty_source_says_so(warehouse: Path) -> None:
    message = _refused(ScrapedSource(), warehouse, NoSuchMetric)
    assert "checkout: the source has no series of istio_requests_total" in message
    assert message.endswith("nor of any other mesh. It has no metrics at all")


def test_changed_spec_that_matches_nothing_any_more_is_told_what_there_is(warehouse: Path) -> None:
    """As one that never matched anything; what was loaded before stays."""
    source = two_versions()
    assert pull(source, warehouse).samples > 0
    pulled = pull(source, warehouse, namespace="nowhere")
    assert any("kept as loaded before" in text for text in pulled.warnings)
    assert "destination_service_namespace is shop (set `namespace`)" in pulled.findings[-1]


def test_changed_spec_whose_older_windows_are_gone_has_no_fault(warehouse: Path) -> None:
    """What is there matches it: that the source keeps no more is no mistake of the spec."""
    source = two_versions()
    pull(source, warehouse)
    newer = ScrapedSource()
    for labels, samples in source.series.items():
        newer.add(dict(labels), {t: v for t, v in samples.items() if t > START + HOUR})
    pulled = pull(newer, warehouse, match={"destination_workload": "checkout-v2"})
    assert any("kept as loaded before" in text for text in pulled.warnings)
    assert not any("has no series" in text for text in pulled.findings)


def test_metric_whose_traffic_is_over_is_not_called_unknown(warehouse: Path) -> None:
    source = ScrapedSource()
    add_pod(source, istio("v1", "a"), START - 3 * HOUR, START - 2 * HOUR)
    message = _refused(source, warehouse, NoSuchMetric)
    assert ". It has istio_requests_total of another time: is there traffic" in message
    assert "is plan.start right?" in message
    assert "most like" not in message


def test_metric_that_was_renamed_is_suggested(warehouse: Path) -> None:
    source = ScrapedSource()
    for name in ("mesh:istio_requests_total", "go_goroutines"):
        add_pod(source, istio("v1", "a", __name__=name), START, START + HOUR)
    message = _refused(source, warehouse, NoSuchMetric)
    assert (
        ". The metrics it has that are most like that are go_goroutines, mesh:istio_requ" in message
    )


def test_unknown_service_names_those_that_exist(warehouse: Path) -> None:
    message = _refused(two_versions(), warehouse, NoSeries, service="chekout")
    assert 'destination_service_name="chekout"' in message
    assert "destination_service_name is checkout" in message


def test_unknown_versions_name_those_that_exist(warehouse: Path) -> None:
    variants = {"stable": {"version": "v7"}, "canary": {"version": "v8"}}
    message = _refused(two_versions(), warehouse, NoSuchVersion, variants=variants)
    assert "v7" in message
    assert "versions that do exist: v1, v2" in message


def test_missing_version_label_names_the_labels_that_exist(warehouse: Path) -> None:
    source = ScrapedSource()
    labels = istio("v1", "a")
    del labels["destination_version"], labels["destination_canonical_revision"]
    add_pod(source, labels, START, START + HOUR)
    message = _refused(source, warehouse, NoVersionLabel)
    assert "destination_version or destination_canonical_revision" in message
    assert "destination_workload" in message


def test_window_in_the_future_is_refused(warehouse: Path) -> None:
    with pytest.raises(WindowInFuture, match="in the future"):
        pull_requests(experiment(), two_versions(), warehouse, until_ms=START + HOUR, now_ms=START)


def test_series_of_two_variants_is_refused(warehouse: Path) -> None:
    variants = {"stable": {"version": "v1"}, "canary": {"labels": {"response_code": "200"}}}
    message = _refused(two_versions(), warehouse, VariantsOverlap, variants=variants)
    assert "stable and canary" in message
