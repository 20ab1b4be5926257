"""When each target was scraped, and when its process started: what proves a birth or a restart."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from analysis.counting.scrape_evidence import ScrapeEvidence
from analysis.counting.timelines import Timelines
from flows.ingest.requests.mesh.family import Family, Labels
from flows.ingest.requests.replicas import without_replicas
from flows.ingest.requests.series_labels import MESH_REPLICA_LABELS, differing, target_of
from flows.ingest.sources.samples import (
    LATEST_S,
    Matcher,
    Samples,
    SampleSource,
    Selector,
    take,
)

# Above this many instances a selector names the jobs only.
_MOST_INSTANCES = 500
# Envoy refreshes its age every few seconds, so the start time that it implies jitters.
_UPTIME_JITTER_MS = 15_000


def read_targets(
    family: Family,
    targets: Mapping[str, Labels],
    source: SampleSource,
    *,
    start_ms: int,
    end_ms: int,
) -> Samples:
    """What tells of the targets' scrapes and starts."""
    metrics = ("up", *family.start_metrics)
    where = _target_matchers(list(targets.values()))
    selectors = [Selector(metric, matchers) for metric in metrics for matchers in where]
    return without_replicas(source.read(selectors, start_ms, end_ms), MESH_REPLICA_LABELS)


def evidence_of(
    family: Family,
    targets: Mapping[str, Labels],
    samples: Samples,
    *,
    start_ms: int,
    interval_ms: int,
) -> ScrapeEvidence:
    """The evidence of each target, in their order; samples: as read_targets has them."""
    row, ts_ms, up = _samples_of_rows(samples, _series_of_targets("up", samples, targets))
    _, last = _groups(row, ts_ms)
    scrapes = _timelines(row[last], ts_ms[last], len(targets))
    starts, started = _start_times(family, targets, samples)
    return ScrapeEvidence(scrapes, up[last] == 1, starts, started, start_ms, interval_ms)


def labels_apart(samples: Samples, targets: Mapping[str, Labels]) -> dict[str, set[str]]:
    """By name of several targets at once, the labels that tell them apart.

    samples: as read_targets has them.
    """
    found = _series_by_target("up", samples)
    apart = {
        name: set[str]().union(
            *(
                differing(samples.labels[one], samples.labels[other])
                for one, other in combinations(found.get(name, ()), 2)
                if _are_at_once(samples, one, other)
            )
        )
        for name in targets
    }
    return {name: labels for name, labels in apart.items() if labels}


def _are_at_once(samples: Samples, one: int, other: int) -> bool:
    """Whether two series overlap in time."""
    times = [samples.ts_ms[slice(*samples.offsets[i : i + 2])] for i in (one, other)]
    return bool(max(each[0] for each in times) < min(each[-1] for each in times))


def _target_matchers(series: Sequence[Labels]) -> list[tuple[Matcher, ...]]:
    """One condition for targets known by job and instance, one for those known by pod."""
    by_instance = [labels for labels in series if labels.get("instance")]
    by_pod = [labels for labels in series if not labels.get("instance") and labels.get("pod")]
    conditions = []
    if by_instance:
        conditions.append((*_one_of("job", by_instance), *_one_of("instance", by_instance)))
    if by_pod:
        conditions.append((*_one_of("job", by_pod), *_one_of("pod", by_pod)))
    return conditions


def _one_of(label: str, series: Sequence[Labels]) -> tuple[Matcher, ...]:
    values = sorted({labels.get(label, "") for labels in series})
    if len(values) > _MOST_INSTANCES:
        return ()
    return (Matcher(label, "=~", "|".join(map(re.escape, values))),)


def _start_times(
    family: Family, targets: Mapping[str, Labels], samples: Samples
) -> tuple[Timelines, NDArray[np.int64]]:
    """Start times of each target from the first metric that it has.

    Where two series of a target disagree (a merged scrape of two processes), neither is taken.
    """
    by_metric = [_series_of_targets(name, samples, targets) for name in family.start_metrics]
    chosen = [next((each for each in found if each), ()) for found in zip(*by_metric, strict=True)]
    names = [samples.labels[found[0]]["__name__"] if found else "" for found in chosen]
    row, ts_ms, value = _samples_of_rows(samples, chosen)
    first, last = _groups(row, ts_ms)
    agreed = last[value[first] == value[last]]
    row, ts_ms, value = row[agreed], ts_ms[agreed], value[agreed]
    value = np.clip(value, -LATEST_S, LATEST_S)  # in nanoseconds, say
    is_age = np.array([name.endswith("uptime") for name in names], np.bool_)[row]
    started = np.where(is_age, ts_ms - value * 1000, value * 1000).astype(np.int64)
    starts = _timelines(row, ts_ms, len(targets))
    return starts, _steady(starts, started, value, is_age)


def _steady(
    starts: Timelines,
    started: NDArray[np.int64],
    values: NDArray[np.float64],
    is_uptime: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """Start times without the jitter of an age: new only where the age fell or it moved far."""
    if not len(started):
        return started
    is_new = np.ones(len(started), np.bool_)
    younger = np.diff(values) < 0
    moved = np.diff(started) > _UPTIME_JITTER_MS
    is_new[1:] = ~is_uptime[1:] | younger | moved
    is_new[starts.offsets[:-1][np.diff(starts.offsets) > 0]] = True
    last_new = np.maximum.accumulate(np.where(is_new, np.arange(len(started)), 0))
    return started[last_new]


def _series_of_targets(
    metric: str, samples: Samples, targets: Mapping[str, Labels]
) -> list[Sequence[int]]:
    """By target, indices of the metric's series: of several those that don't name another target.

    All, where every one does.
    """
    found = _series_by_target(metric, samples)
    chosen: list[Sequence[int]] = []
    for labels in targets.values():
        series = found.get(target_of(labels), ())
        own = [i for i in series if len(series) < 2 or not differing(samples.labels[i], labels)]
        chosen.append(own or series)
    return chosen


def _series_by_target(metric: str, samples: Samples) -> Mapping[str, list[int]]:
    """Indices of the metric's series that have samples, by every name their target can have."""
    found = defaultdict[str, list[int]](list)
    for index, labels in enumerate(samples.labels):
        if labels.get("__name__") == metric and samples.offsets[index + 1] > samples.offsets[index]:
            for name in {target_of(labels), labels.get("pod", "")} - {""}:
                found[name].append(index)
    return found


def _samples_of_rows(
    samples: Samples, chosen: Sequence[Sequence[int]]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Row, time and value of all samples of the series chosen for each row, in that order."""
    present = take(samples, [index for indices in chosen for index in indices])
    row_of_series = np.repeat(np.arange(len(chosen)), [len(indices) for indices in chosen])
    row = row_of_series[present.series_of_sample]
    if len(row_of_series) == len(np.unique(row_of_series)):
        return row, present.ts_ms, present.values
    order = np.lexsort((present.values, present.ts_ms, row))
    return row[order], present.ts_ms[order], present.values[order]


def _groups(
    row: NDArray[np.int64], ts_ms: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last index of every run of equal row and time."""
    is_first = np.ones(len(row), np.bool_)
    is_first[1:] = (np.diff(row) != 0) | (np.diff(ts_ms) != 0)
    first = np.flatnonzero(is_first)
    return first, np.append(first[1:], len(row))[: len(first)] - 1


def _timelines(row: NDArray[np.int64], ts_ms: NDArray[np.int64], rows: int) -> Timelines:
    return Timelines(np.searchsorted(row, np.arange(rows + 1)).astype(np.int64), ts_ms)
