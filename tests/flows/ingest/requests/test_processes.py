"""One pod that several jobs scrape is counted once, and what can't be told is named."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from flows.ingest.requests.processes import same_process, suspects_of
from tests.builders.scraped_source import ScrapedSource
from tests.flows.ingest.requests.test_pull_requests import (
    HOUR,
    SCRAPE,
    START,
    add_evidence,
    experiment,
    istio,
    pull,
    requests,
    rows,
)

UNTIL = START + HOUR
# Scrapes are stamped before they read: what they see is up to a second younger.
LATE_MS = 900
Change = Callable[[dict[str, str]], dict[str, str]]


class Pod:
    """A pod's counters as they are at any time, by response code."""

    def __init__(self, seed: int, rate: float, start: int = START + 60_000) -> None:
        chance = random.Random(seed)
        self.start = start
        self.arrivals: dict[str, list[int]] = {"200": [], "503": []}
        time = float(start)
        while (time := time + chance.expovariate(rate) * 1000) < UNTIL:
            self.arrivals["503" if chance.random() < 0.1 else "200"].append(int(time))

    def count(self, code: str, at: int) -> int:
        return bisect_right(self.arrivals[code], at)

    def scraped(
        self,
        source: ScrapedSource,
        labels: Mapping[str, str],
        *,
        phase: int = 0,
        begin: int = START,
        end: int = UNTIL,
    ) -> None:
        """By one more job, with these labels; each code's series begins with its first request."""
        times = [t for t in range(START + phase, UNTIL + 1, SCRAPE) if begin <= t <= end]
        times = [t for t in times if t >= self.start]
        for code in self.arrivals:
            counts = {t: self.count(code, t + LATE_MS * (phase > 0)) for t in times}
            seen = {t: float(n) for t, n in counts.items() if n}
            if seen:
                source.add({**labels, "response_code": code}, seen)
        add_evidence(source, labels, dict.fromkeys(times, 1), self.start - 2_000)


def _labels(version: str, name: str, address: str, job: str) -> dict[str, str]:
    """Of a pod with that name; without a name its labels say nothing of a pod."""
    labels = istio(version, name) | {"job": job, "instance": address}
    return labels | ({"pod": name, "namespace": "shop"} if name else {})


def _counted(source: ScrapedSource, warehouse: Path) -> dict[str, int]:
    pull(source, warehouse, UNTIL)
    return requests(warehouse)


def _notes(warehouse: Path) -> list[str]:
    return [note for (note,) in rows(warehouse, "select distinct notes from pulls") if note]


PODS = (
    ("v1", "a-0", "10.0.0.1", 4.0),
    ("v1", "a-1", "10.0.0.2", 4.0),
    ("v2", "b-0", "10.0.0.3", 0.01),
)
# Of every pod, how its second and third scrape are labelled.
TWICE: dict[str, tuple[Change, ...]] = {
    "the same address, other jobs": (
        lambda labels: {**labels, "job": "job1"},
        lambda labels: {**labels, "job": "job2"},
    ),
    "the sidecar's other port": (
        lambda labels: {
            **labels,
            "job": "sidecars",
            "instance": labels["instance"].replace("15020", "15090"),
        },
    ),
    "another port, the same pod": (
        lambda labels: {
            **labels,
            "job": "workloads",
            "instance": labels["instance"].replace("15020", "8080"),
        },
    ),
    "one job, two ports": (
        lambda labels: {**labels, "instance": labels["instance"].replace("15020", "9102")},
    ),
    "a job without the pod's labels": (
        lambda labels: (
            {k: v for k, v in labels.items() if k not in ("pod", "namespace")} | {"job": "mesh"}
        ),
    ),
    "a job with other names for them": (
        lambda labels: (
            {k: v for k, v in labels.items() if k not in ("pod", "namespace")}
            | {"job": "old", "kubernetes_pod_name": labels["pod"], "kubernetes_namespace": "shop"}
            | {"instance": labels["pod"], "app": "checkout"}
        ),
    ),
    "a job that adds labels": (
        lambda labels: {**labels, "job": "job1", "node": "n1", "app": "checkout", "team": "x"},
    ),
}


def _source(changes: tuple[Change, ...], phases: tuple[int, ...] = (4_000, 9_500)) -> ScrapedSource:
    source = ScrapedSource()
    for seed, (version, name, address, rate) in enumerate(PODS):
        pod = Pod(seed, rate)
        labels = _labels(version, name, f"{address}:15020", "job0")
        pod.scraped(source, labels)
        for change, phase in zip(changes, phases, strict=False):
            pod.scraped(source, change(labels), phase=phase)
    return source


@pytest.mark.parametrize("case", TWICE)
def test_a_pod_that_several_jobs_scrape_is_counted_once(case: str, tmp_path: Path) -> None:
    once = _counted(_source(()), tmp_path / "once")
    assert once["canary"] < 60
    assert once["stable"] > 10_000
    assert _counted(_source(TWICE[case]), tmp_path / "twice") == once
    (note,) = _notes(tmp_path / "twice")
    assert note.startswith("pods are scraped by the job")
    assert note.endswith(": each request is counted once")


@pytest.mark.parametrize("phase", [0, 1, 500, 7_500, 14_999])
def test_it_is_counted_once_whenever_the_jobs_scrape(phase: int, tmp_path: Path) -> None:
    once = _counted(_source(()), tmp_path / "once")
    twice = _source(TWICE["the same address, other jobs"][:1], (phase,))
    assert _counted(twice, tmp_path / "twice") == once


def test_of_a_job_that_begins_late_only_what_the_other_lacks_is_counted(tmp_path: Path) -> None:
    """The first job ends after 40 minutes, the second begins after 20: nothing twice or lost."""
    once, source = ScrapedSource(), ScrapedSource()
    for seed, (version, name, address, rate) in enumerate(PODS):
        pod = Pod(seed, rate)
        labels = _labels(version, name, f"{address}:15020", "job0")
        pod.scraped(once, labels)
        pod.scraped(source, labels, end=START + 40 * 60_000)
        pod.scraped(source, {**labels, "job": "job1"}, begin=START + 20 * 60_000)
    expected = _counted(once, tmp_path / "once")
    assert _counted(source, tmp_path / "twice") == expected


# Of every pod, how its labels are from half time on.
RENAMED: dict[str, Change] = {
    "another job": lambda labels: {**labels, "job": "job1"},
    "another port": lambda labels: {**labels, "instance": labels["instance"] + "0"},
    "a name in the place of the address": lambda labels: {**labels, "instance": labels["pod"]},
    "more labels": lambda labels: {**labels, "team": "x"},
}


@pytest.mark.parametrize("case", RENAMED)
@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_process_under_a_new_name_has_counted_before(
    case: str, tmp_path: Path, *, is_restarted: bool
) -> None:
    """All but what came between two scrapes; a pod whose process was replaced counts anew."""
    once, source, half = ScrapedSource(), ScrapedSource(), START + HOUR // 2
    for seed, (version, name, address, rate) in enumerate(PODS):
        pod = Pod(seed, rate)
        labels = _labels(version, name, f"{address}:15020", "job0")
        again = Pod(seed + 9, rate, half + SCRAPE - 2_000) if is_restarted else pod
        for begun, ended in ((once, labels), (source, RENAMED[case](labels))):
            pod.scraped(begun, labels, end=half)
            again.scraped(begun, ended, begin=half + 1)
    expected = _counted(once, tmp_path / "once")["stable"]
    found = _counted(source, tmp_path / "renamed")["stable"]
    assert 0.98 * expected < found <= expected


def test_two_containers_of_a_pod_with_their_own_counters_are_both_counted(tmp_path: Path) -> None:
    source, total = ScrapedSource(), 0
    for seed, port in enumerate(("15020", "9000")):
        pod = Pod(seed, 3.0 + seed)
        labels = _labels("v1", "a-0", f"10.0.0.1:{port}", f"job{seed}")
        pod.scraped(source, labels)
        other = ScrapedSource()
        pod.scraped(other, labels)
        total += _counted(other, tmp_path / f"alone{seed}")["stable"]
    assert _counted(source, tmp_path / "both")["stable"] == total
    (note,) = _notes(tmp_path / "both")
    assert note == "some counters of one pod differ between the jobs job0, job1: all are counted"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"pod": "a-0"}, {"pod": "a-1"}),  # a node's address, with host networking
        ({"pod": "a-0", "namespace": "x"}, {"pod": "a-0", "namespace": "y"}),
    ],
)
def test_pods_of_other_names_are_never_one(one: dict[str, str], other: dict[str, str]) -> None:
    targets = [
        {"job": "x", "instance": "10.0.0.1:15020", **one},
        {"job": "y", "instance": "10.0.0.1:15090", **other},
    ]
    assert same_process(targets) == ()
    assert suspects_of(targets, ()) == ()


def test_round_robin_twins_on_one_address_are_counted_both_and_named(tmp_path: Path) -> None:
    """Nothing tells them from one pod scraped twice: they count alike, and have no pod's name."""
    source = ScrapedSource()
    pod = Pod(1, 4.0)
    for job, port in (("x", "9001"), ("y", "9002")):
        pod.scraped(source, _labels("v1", "", f"10.0.0.1:{port}", job))
    once = ScrapedSource()
    pod.scraped(once, _labels("v1", "", "10.0.0.1:9001", "x"))
    assert (
        _counted(source, tmp_path / "two")["stable"]
        == 2 * _counted(once, tmp_path / "one")["stable"]
    )
    (note,) = _notes(tmp_path / "two")
    assert note.startswith("x/10.0.0.1:9001 and y/10.0.0.1:9002 may be one pod, counted twice")


def test_one_address_of_many_processes_says_nothing() -> None:
    local = [{"job": job, "instance": f"127.0.0.1:{port}"} for job, port in (("x", 1), ("y", 2))]
    assert suspects_of(local, ()) == ()
    assert same_process(local) == ()


def test_windows_are_counted_alike_however_they_are_pulled(tmp_path: Path) -> None:
    source = _source(TWICE["the same address, other jobs"])
    assert experiment().plan.start is not None
    pull(source, tmp_path / "steps", START + HOUR // 2)
    pull(source, tmp_path / "steps", UNTIL)
    assert requests(tmp_path / "steps") == _counted(source, tmp_path / "whole")
