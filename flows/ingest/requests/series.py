"""From scraped series to an experiment's own: normalised, merged, and told what they count."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import starmap

import numpy as np
from numpy.typing import NDArray

from analysis.counting.counters import CounterSeries, numbered
from analysis.requests.outcomes import RequestOutcome, Response
from flows.ingest.requests.mesh.family import (
    Family,
    Labels,
    SeriesRole,
    cohort_of,
    variant_of,
    versions_of,
)
from flows.ingest.requests.replicas import without_replicas
from flows.ingest.requests.series_labels import MESH_REPLICA_LABELS, normalised, target_of
from flows.ingest.sources.samples import Samples, take
from flows.spec.experiment import Experiment

# So many series, at most, are known from one span to the next: they take 3 kB each.
_MOST_KNOWN = 1 << 12


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """What one series counts; a row of the table `series`.

    cohort: of which of the spec's route rules; "" where it is of none, or they aren't told apart.
    outcome, response_*, grpc_status: of request series. cut_off: whether somebody stopped waiting
    for the answers; of latency series too, where their labels tell it.
    """

    series_id: int
    metric: str
    role: SeriesRole
    variant: str
    cohort: str
    target: str
    route: str
    outcome: str
    response_code: str
    grpc_status: str
    response_flags: str
    cut_off: bool
    le_ms: float | None
    labels: str


@dataclass(frozen=True, slots=True)
class RequestSeries:
    """The experiment's series and their samples.

    rows: one per series of `counters`; targets: labels of one series of each, by its name, in the
    order of counters.target.
    foreign: how many series matched no variant; foreign_versions: the versions they name.
    """

    rows: tuple[SeriesRow, ...]
    counters: CounterSeries
    targets: Mapping[str, Labels]
    foreign: int
    foreign_versions: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Told:
    """What the labels of a series tell: its row if it is read, the versions of a foreign one."""

    labels: Labels
    row: SeriesRow | None
    is_foreign: bool
    versions: tuple[str, ...] = ()


class SeriesLabels:
    """What labels say of an experiment's series; most come again with every span of a pull."""

    def __init__(self, family: Family, spec: Experiment) -> None:
        self._family, self._spec, self._roles = family, spec, family.roles
        self._known: dict[int, _Told] = {}

    def told(self, raw: Labels) -> _Told:
        """What these say. Raises VariantsOverlap."""
        key = hash(tuple(raw.values()))
        known = self._known.get(key)
        if known is not None and known.labels == raw:
            return known
        told = self._read(raw)
        if len(self._known) < _MOST_KNOWN:
            self._known[key] = told
        return told

    def _read(self, raw: Labels) -> _Told:
        family, spec, labels = self._family, self._spec, normalised(raw)
        role = self._roles[labels["__name__"]]
        variant = variant_of(family, spec, labels, role)
        if variant is None:
            return _Told(raw, None, True, versions_of(family, spec, labels))
        return _Told(raw, _row(family, labels, role, variant, cohort_of(spec, labels)), False)


def experiment_series(labels: SeriesLabels, samples: Samples) -> RequestSeries:
    """The series that belong to a variant or are unattributed, with comparable labels.

    labels: what is known of them from the spans before. Raises VariantsOverlap.
    """
    samples = without_replicas(samples, MESH_REPLICA_LABELS)
    rows: list[SeriesRow] = []
    kept: list[int] = []
    foreign, versions = 0, set[str]()
    for index, raw in enumerate(samples.labels):
        told = labels.told(raw)
        foreign += told.is_foreign
        versions.update(told.versions)
        if told.row is not None:
            rows.append(told.row)
            kept.append(index)
    ids, offsets, ts_ms, values = _merged([row.series_id for row in rows], kept, samples)
    by_id = {row.series_id: row for row in rows}
    merged_rows = tuple(by_id[series_id] for series_id in ids)
    labels_of = {row.target: samples.labels[i] for row, i in zip(rows, kept, strict=True)}
    targets = {name: labels_of[name] for name in sorted(labels_of)}
    position = {name: index for index, name in enumerate(targets)}
    target = np.array([position[row.target] for row in merged_rows], np.int64)
    return RequestSeries(
        merged_rows,
        CounterSeries(offsets, ts_ms, values, target, numbered(row.metric for row in merged_rows)),
        targets,
        foreign,
        frozenset(versions),
    )


def labels_text(labels: Labels) -> str:
    """The labels as JSON, sorted by name: what the identity of a series is taken from."""
    return f"{{{', '.join(starmap(_label_text, sorted(labels.items())))}}}"


@lru_cache(maxsize=1 << 14)
def _label_text(name: str, value: str) -> str:
    """Most labels come again and again, in all series of a pod and in all of a service."""
    return f"{json.dumps(name, ensure_ascii=False)}: {json.dumps(value, ensure_ascii=False)}"


def _row(
    family: Family, labels: Labels, role: SeriesRole, variant: str, cohort: str
) -> SeriesRow | None:
    """None for the latency of an injected fault: it says nothing of the service."""
    text = labels_text(labels)
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    is_request = role is SeriesRole.REQUESTS
    is_latency = role is SeriesRole.LATENCY
    is_told = is_request or (is_latency and family.latency_tells)
    response = family.response(labels) if is_told else Response("")
    if is_latency and response.outcome is RequestOutcome.INJECTED:
        return None
    return SeriesRow(
        series_id=int.from_bytes(digest, "big"),
        metric=labels["__name__"],
        role=role,
        variant=variant,
        cohort=cohort,
        target=target_of(labels),
        route=family.route(labels),
        outcome=response.outcome if is_request else "all",
        response_code=response.code if is_request else "",
        grpc_status=response.grpc_status if is_request else "",
        response_flags=",".join(response.flags) if is_request else "",
        cut_off=response.cut_off,
        le_ms=float(labels["le"]) * family.ms_per_unit if is_latency else None,
        labels=text,
    )


def _merged(
    series_ids: list[int], kept: list[int], samples: Samples
) -> tuple[list[int], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Series with the same normalised labels as one: their samples by time, no time twice."""
    chosen = take(samples, kept)
    if len(set(series_ids)) == len(series_ids):
        return series_ids, chosen.offsets, chosen.ts_ms, chosen.values
    unique = list(dict.fromkeys(series_ids))
    position = {series_id: index for index, series_id in enumerate(unique)}
    group = np.array([position[series_id] for series_id in series_ids], np.int64)
    row = group[chosen.series_of_sample]
    order = np.lexsort((chosen.ts_ms, row))
    row, ts_ms, values = row[order], chosen.ts_ms[order], chosen.values[order]
    is_new = np.ones(len(row), np.bool_)
    is_new[1:] = (np.diff(row) != 0) | (np.diff(ts_ms) != 0)
    row, ts_ms, values = row[is_new], ts_ms[is_new], values[is_new]
    offsets = np.searchsorted(row, np.arange(len(unique) + 1))
    return unique, offsets.astype(np.int64), ts_ms, values
