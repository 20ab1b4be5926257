"""Requests over time, latencies, kinds of response and pods, as the report draws them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.plan import Plan
from analysis.requests.latency import Histogram, QuantileRange, interpolated_quantile
from analysis.requests.outcomes import ANSWERED, RequestOutcome
from analysis.verdict import Verdict
from dashboards.report_view import (
    NO_TRAFFIC,
    LatencyCurve,
    PodCount,
    ResponseCount,
    TrafficPoint,
    TrafficSeries,
)
from flows.formats.time import instant, milliseconds_of
from flows.look.pod_requests import read_pod_requests
from flows.look.responses import ResponseKind, kinds_in
from flows.spec.experiment import Experiment
from flows.warehouse.statements import Connection, columns_of

_STEPS = 60
_QUANTILES = (0.5, 0.9, 0.99)
_MOST_KINDS, _MOST_PODS = 12, 40


@dataclass(frozen=True, slots=True)
class ToldTraffic:
    """What the engineer's part of a page is drawn from."""

    traffic: TrafficSeries = NO_TRAFFIC
    curves: tuple[LatencyCurve, ...] = ()
    responses: tuple[ResponseCount, ...] = ()
    pods: tuple[PodCount, ...] = ()


def read_traffic(con: Connection, spec: Experiment, plan: Plan, verdict: Verdict) -> ToldTraffic:
    """All of the plan up to the look; nothing where requests aren't measured."""
    at_ms = milliseconds_of(verdict.look_at)
    if not spec.request_metrics or at_ms <= plan.start_ms:
        return ToldTraffic()
    names = (plan.baseline, *plan.candidates)
    buckets = -(-(min(at_ms, plan.end_ms) - plan.start_ms) // plan.bucket_ms)
    step_ms = plan.bucket_ms * max(1, -(-buckets // _STEPS))
    until_ms = min(at_ms, plan.end_ms)
    window = {
        "experiment": spec.experiment,
        "since": instant(plan.start_ms),
        "until": instant(until_ms),
    }
    rows = columns_of(con, "aggregate/report_requests", step_ms=step_ms, **window)
    counts = _Counts(rows, spec)
    latencies = columns_of(con, "aggregate/report_latency", step_ms=step_ms, **window)
    histograms = _histograms(latencies, names)
    whole = columns_of(con, "aggregate/look_histogram", **window)
    points = tuple(_points(plan, names, step_ms, counts, histograms, until_ms))
    return ToldTraffic(
        traffic=TrafficSeries(step_ms / 1000, points),
        curves=tuple(_curves(whole, names)),
        responses=tuple(counts.by_kind(names)),
        pods=tuple(_pods(con, spec, plan, verdict, names)),
    )


class _Counts:
    """Requests by stretch, variant and kind of response, as the spec says what fails."""

    def __init__(self, rows: Any, spec: Experiment) -> None:
        rule = None if spec.failures is None else spec.failures.rule
        self.stretches: list[int] = rows["stretch"].tolist()
        self.variants: list[str] = rows["variant"].tolist()
        self.kinds: Sequence[ResponseKind] = kinds_in(rows)
        self.outcomes = [kind.outcome_by(rule) for kind in self.kinds]
        self.requests: list[float] = rows["requests"].astype(float).tolist()

    def by_stretch(self) -> Mapping[tuple[int, str], list[float]]:
        """Requests, those that got an answer, and those that failed."""
        found: dict[tuple[int, str], list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
        each = zip(self.stretches, self.variants, self.outcomes, self.requests, strict=True)
        for stretch, variant, outcome, requests in each:
            sums = found[stretch, variant]
            sums[0] += requests
            sums[1] += requests * (outcome in ANSWERED)
            sums[2] += requests * (outcome is RequestOutcome.FAILURE)
        return found

    def by_kind(self, names: tuple[str, ...]) -> Iterator[ResponseCount]:
        """The kinds with most requests, what failed first."""
        found: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0] * len(names))
        each = zip(self.kinds, self.variants, self.outcomes, self.requests, strict=True)
        for kind, variant, outcome, requests in each:
            if variant in names:
                found[kind.name, outcome.value][names.index(variant)] += requests
        order = sorted(found, key=lambda key: (key[1] != "failure", -sum(found[key]), key))
        for name, outcome_name in order[:_MOST_KINDS]:
            yield ResponseCount(name, outcome_name, tuple(found[name, outcome_name]))


def _points(
    plan: Plan,
    names: tuple[str, ...],
    step_ms: int,
    counts: _Counts,
    histograms: Mapping[tuple[int, str], Histogram],
    until_ms: int,
) -> Iterator[TrafficPoint]:
    sums = counts.by_stretch()
    seen: dict[str, float] = dict.fromkeys(names, 0.0)
    expected = dict(seen)
    stage_start, whole = -1, 0.0
    for stretch in sorted({stretch for stretch, _ in sums}):
        begin_ms = plan.start_ms + stretch * step_ms
        # The last stretch may not be over yet; whole buckets are counted.
        covered_ms = min(step_ms, -(-(until_ms - begin_ms) // plan.bucket_ms) * plan.bucket_ms)
        stage = next((s for s in plan.stages if s.start_ms <= begin_ms < s.end_ms), None)
        if stage is not None and stage.start_ms != stage_start:
            stage_start = stage.start_ms
            seen, expected, whole = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0), 0.0
        total = sum(sums[stretch, name][0] for name in names if (stretch, name) in sums)
        whole += total
        for name in names:
            requests, answered, failed = sums.get((stretch, name), (0.0, 0.0, 0.0))
            configured = None if stage is None else stage.shares.get(name)
            seen[name] += requests
            expected[name] += total * (configured or 0.0)
            yield TrafficPoint(
                at=instant(begin_ms),
                variant=name,
                per_second=1000 * requests / covered_ms,
                success=1 - failed / answered if answered else None,
                share=requests / total if total else None,
                configured=configured,
                drift=None
                if configured is None or not whole
                else (seen[name] - expected[name]) / whole,
                quantiles=_quantiles(histograms.get((stretch, name))),
            )


def _quantiles(histogram: Histogram | None) -> tuple[QuantileRange, ...]:
    """The bins that hold the requests of these ranks."""
    if histogram is None or histogram.total <= 0:
        return ()
    found = []
    for quantile in _QUANTILES:
        place = int(np.argmax(histogram.at_most >= quantile * histogram.total))
        lower = float(histogram.edges_ms[place - 1]) if place else 0.0
        upper = float(histogram.edges_ms[place])
        label = interpolated_quantile(histogram, quantile)
        found.append(QuantileRange(quantile, lower, upper, label))
    return tuple(found)


def _histograms(rows: Any, names: tuple[str, ...]) -> Mapping[tuple[int, str], Histogram]:
    found: dict[tuple[int, str], list[tuple[float, float]]] = defaultdict(list)
    columns = (rows[name].tolist() for name in ("stretch", "variant", "le_ms", "at_most"))
    for stretch, variant, edge, at_most in zip(*columns, strict=True):
        if variant in names:
            found[stretch, variant].append((edge, float(at_most)))
    return {key: _histogram(bins) for key, bins in found.items()}


def _histogram(bins: list[tuple[float, float]]) -> Histogram:
    edges, at_most = np.array(bins, dtype=float).T
    # An edge that was there for a part of the time has fewer requests than the one below.
    return Histogram(edges, np.maximum.accumulate(at_most))


def _curves(rows: Any, names: tuple[str, ...]) -> Iterator[LatencyCurve]:
    for name in names:
        keep = rows["variant"] == name
        bins = list(zip(rows["le_ms"][keep].tolist(), rows["at_most"][keep].tolist(), strict=True))
        if not bins:
            continue
        whole = _histogram(bins)
        finite = np.isfinite(whole.edges_ms)
        if whole.total > 0 and finite.any():
            shares = whole.at_most[finite] / whole.total
            yield LatencyCurve(name, tuple(whole.edges_ms[finite].tolist()), tuple(shares.tolist()))


def _pods(
    con: Connection, spec: Experiment, plan: Plan, verdict: Verdict, names: tuple[str, ...]
) -> Iterator[PodCount]:
    """Each version's pods; none where one target answers for several versions."""
    until_ms = milliseconds_of(verdict.look_at)
    whole_ms = max(1, until_ms - plan.start_ms)
    seen = read_pod_requests(con, spec, (plan.start_ms, until_ms), whole_ms, variants=names)
    rule = None if spec.failures is None else spec.failures.rule
    found: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for series, requests in zip(seen.series.tolist(), seen.requests.tolist(), strict=True):
        sums = found[seen.variants[series], seen.pods[series]]
        sums[0] += requests
        sums[1] += requests * (seen.kinds[series].outcome_by(rule) is RequestOutcome.FAILURE)
    if len({pod for _, pod in found}) < len(found):
        return
    bad = {(pod.variant, pod.pod) for metric in verdict.metrics for pod in metric.bad_pods}
    order = sorted(found, key=lambda key: (key not in bad, names.index(key[0]), key[1]))
    for key in order[:_MOST_PODS]:
        requests, failed = found[key]
        yield PodCount(*key, requests, failed, is_bad=key in bad)
