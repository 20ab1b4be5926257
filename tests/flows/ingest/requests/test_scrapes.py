"""What proves a birth or a restart: scrapes of a target, and when its process started."""

from __future__ import annotations

import pytest

from analysis.counting.scrape_evidence import ScrapeEvidence
from flows.ingest.requests.mesh.families import FAMILIES
from flows.ingest.requests.scrapes import evidence_of, read_targets
from flows.spec.experiment import Mesh
from tests.builders.scraped_source import ScrapedSource
from tests.flows.ingest.requests.test_pull_requests import START, add_evidence, istio

TICKS = [START + n * 15_000 for n in range(1, 5)]


def _read(source: ScrapedSource, *pods: str) -> tuple[ScrapeEvidence, tuple[str, ...]]:
    targets = {f"pods/{pod}:15020": istio("v1", pod) for pod in pods}
    family = FAMILIES[Mesh.ISTIO]
    found = read_targets(family, targets, source, start_ms=START, end_ms=TICKS[-1])
    evidence = evidence_of(family, targets, found, start_ms=START, interval_ms=15_000)
    return evidence, found.warnings


def test_each_target_has_its_own_scrapes_in_the_order_asked_for() -> None:
    source = ScrapedSource()
    add_evidence(source, istio("v1", "a"), dict.fromkeys(TICKS, 1), START - 5_000)
    add_evidence(source, istio("v1", "b"), {TICKS[0]: 1, TICKS[1]: 0}, START - 9_000)
    found, warnings = _read(source, "b", "a", "unknown")
    assert warnings == ()
    assert found.scrapes.offsets.tolist() == [0, 2, 6, 6]
    assert found.good_scrapes.ms.tolist() == [TICKS[0], *TICKS]
    assert found.started_ms.tolist() == [START - 9_000] + 4 * [START - 5_000]


def test_start_times_on_which_two_series_of_a_target_disagree_are_none() -> None:
    source = ScrapedSource()
    add_evidence(source, istio("v1", "a"), dict.fromkeys(TICKS, 1), START)
    twin = {"__name__": "process_start_time_seconds", "job": "pods", "instance": "a:15020"}
    source.add(twin | {"container": "app"}, {TICKS[0]: 1.0, TICKS[1]: START / 1000})
    found, _ = _read(source, "a")
    assert found.started_ms.tolist() == 3 * [START]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("odd", [1e30, -1e30, 1.7e18])
def test_start_times_of_another_unit_than_seconds_show_no_restart(odd: float) -> None:
    source = ScrapedSource()
    add_evidence(source, istio("v1", "a"), dict.fromkeys(TICKS, 1), round(odd))
    found, _ = _read(source, "a")
    assert len(set(found.started_ms.tolist())) == 1


def test_the_source_is_asked_once_for_the_targets_only_and_its_words_are_handed_on() -> None:
    source = ScrapedSource(warnings=("cut short",))
    _, warnings = _read(source, "a", "b")
    assert warnings == ("cut short",)
    [selectors] = source.reads
    assert {m.value for s in selectors for m in s.matchers if m.label == "instance"} == {
        r"a:15020|b:15020"
    }
