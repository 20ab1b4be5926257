"""Buckets shorter than the default are judged several as one, and lose or move nothing by it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.evidence import (
    CauseCounts,
    CohortEvidence,
    Coverage,
    Evidence,
    MeasuredEvidence,
    QualityLimits,
    RequestEvidence,
)
from analysis.judge.wide_buckets import in_wide_buckets, width_of
from analysis.requests.bucket_counts import BucketCounts
from analysis.requests.latency import LatencyCounts
from analysis.requests.value_pairs import BucketValues
from analysis.verdict import Decision, Verdict, reach_verdict
from tests.builders.changing_streams import BUCKET_MS, Stream, plan_of, step, watch

_AN_HOUR_S = 3600


def _stream(width_s: int, stream: Stream) -> Stream:
    return replace(stream, bucket_ms=1000 * width_s, buckets=_AN_HOUR_S // width_s)


@pytest.mark.parametrize(
    ("bucket_ms", "buckets", "width"),
    [
        (15_000, 0, 1),
        (15_000, 100_000, 1),
        (60_000, 1_000, 1),
        (5_000, 0, 1),
        (5_000, 95, 1),
        (5_000, 96, 2),
        (5_000, 143, 2),
        (5_000, 144, 3),
        (5_000, 17_280, 3),
        (10_000, 95, 1),
        (10_000, 96, 2),
        (14_000, 10_000, 2),
        (2_000, 384, 8),
        (1_000, 3_600, 15),
        (250, 48, 1),
        (250, 100_000, 60),
    ],
)
def test_width(bucket_ms: int, buckets: int, width: int) -> None:
    assert width_of(replace(plan_of(Stream()), bucket_ms=bucket_ms), buckets) == width


def _counts(rng: np.random.Generator, rows: int, n: int) -> dict[str, BucketCounts]:
    total = {name: rng.poisson(50, (rows, n)).astype(float) for name in ("stable", "canary")}
    return {name: BucketCounts(t, np.floor(t / 3)) for name, t in total.items()}


def _requests(n: int) -> RequestEvidence:
    rng = np.random.default_rng(3)
    flat = {name: rng.poisson(9, n).astype(float) for name in ("stable", "canary")}
    by_row = {name: rng.poisson(9, (2, n)).astype(float) for name in ("stable", "canary")}
    edges = np.array([10.0, np.inf])
    return RequestEvidence(
        stage=np.arange(n) // 7,
        requests=flat,
        metrics=("errors", "slow"),
        counts=_counts(rng, 2, n),
        latency={"canary": LatencyCounts(edges, by_row["canary"], by_row["stable"])},
        unknown=by_row,
        causes={"errors": (CauseCounts("503/UO", flat),)},
        outage=_counts(rng, 1, n),
        warming=_counts(rng, 2, n),
        sessions=flat,
    )


def _sums(found: RequestEvidence) -> list[float]:
    counts = [*found.counts.values(), *found.outage.values(), *found.warming.values()]
    arrays = [x for one in counts for x in (one.total, one.bad)]
    arrays += [*found.requests.values(), *found.unknown.values(), *(found.sessions or {}).values()]
    arrays += [bad for one in found.causes["errors"] for bad in one.bad.values()]
    latency = found.latency["canary"]
    assert latency.cut_off is not None
    return [float(x.sum()) for x in (*arrays, latency.at_most, latency.cut_off)]


@pytest.mark.parametrize("n", [1, 7, 8, 9, 50])
def test_nothing_is_lost_of_any_part(n: int) -> None:
    requests = _requests(n)
    every_second = (np.arange(n) % 2).astype(np.float64)
    values = BucketValues(every_second * 3, every_second * 6, is_counted=True)
    evidence = Evidence(
        requests,
        None,
        measured=MeasuredEvidence(requests, {"hits": {"canary": values}}),
        cohorts={"eu": CohortEvidence(requests, Coverage(), beside=requests)},
    )

    wide = evidence.merged(4)

    cohort = wide.cohorts["eu"]
    assert wide.requests is not None
    assert wide.measured is not None
    assert cohort.beside is not None
    for each in (wide.requests, wide.measured.events, cohort.requests, cohort.beside):
        assert _sums(each) == _sums(requests)
        assert each.stage.tolist() == requests.stage[::4].tolist()
    assert wide.buckets == -(-n // 4)
    merged = wide.measured.values["hits"]["canary"]
    assert merged.known == values.known
    assert set(merged.value[merged.weight > 0]) <= {2.0}
    assert (merged.weight.sum(), merged.amount.sum()) == (values.weight.sum(), values.amount.sum())


def test_an_edge_that_is_missing_in_one_of_the_buckets_is_in_the_whole() -> None:
    counts = LatencyCounts(np.array([5.0, np.inf]), np.array([[np.nan, 1, 1, 1], [2.0, 2, 2, 2]]))

    wide = counts.merged(2)

    assert np.isnan(wide.at_most[0]).tolist() == [True, False]
    assert wide.total.tolist() == [4, 4]


def test_evidence_of_users_alone_has_no_buckets() -> None:
    plan, evidence = replace(plan_of(Stream()), bucket_ms=1), Evidence(None, None)

    assert in_wide_buckets(plan, evidence) == (plan, evidence)


@pytest.mark.parametrize(("width_s", "rate"), [(1, 1000.0), (2, 1000.0), (5, 100.0)])
def test_states_of_minutes_are_no_harm_by_short_buckets(width_s: int, rate: float) -> None:
    """99, 64 and 19 of 200 were rolled back by buckets judged one by one; 3 by the default ones."""
    wild = Stream(rate=rate, state=1.0, state_s=300)

    course = watch(_stream(width_s, wild), 11, 200, on=True)

    assert np.isfinite(course.rolled_back).sum() <= 8


@pytest.mark.parametrize("width_s", [1, 2, 5])
def test_harm_is_found_as_soon_as_by_the_default_ones(width_s: int) -> None:
    harmed = Stream(harm=step(30, 5))

    (short, soon), (default, median) = (
        watch(one, 12, 40, on=True).found(30) for one in (_stream(width_s, harmed), harmed)
    )

    assert short == default == 100
    assert soon <= median + 1


def _verdict(stream: Stream, minutes: float) -> tuple[Verdict, tuple[BucketCounts, BucketCounts]]:
    """Of the first run, at that minute."""
    end = int(minutes * 60_000) // stream.bucket_ms
    arms = tuple(BucketCounts(a.total[:1, :end], a.bad[:1, :end]) for a in stream.counts(5, 1))
    plan = plan_of(stream)
    evidence = RequestEvidence(
        stage=np.zeros(end, dtype=np.int64),
        requests={name: a.total[0] for name, a in zip(("stable", "canary"), arms, strict=True)},
        metrics=("errors",),
        counts=dict(zip(("stable", "canary"), arms, strict=True)),
    )
    at_ms = end * stream.bucket_ms
    seen = Evidence(evidence, None, Coverage(watermark_ms=at_ms))
    return reach_verdict(plan, seen, QualityLimits(), at_ms=at_ms), (arms[0], arms[1])


# After 20 minutes and 46 seconds the last block has some of its buckets only.
@pytest.mark.parametrize("minutes", [5, 20, 20 + 46 / 60, 60])
def test_a_verdict_counts_every_request(minutes: float) -> None:
    verdict, arms = _verdict(_stream(2, Stream()), minutes)

    (metric,) = verdict.metrics
    assert (metric.exposure_baseline, metric.exposure_candidate) == tuple(
        arm.total.sum() for arm in arms
    )


def test_since_when_is_told_in_the_plan_s_time() -> None:
    verdict, _ = _verdict(_stream(2, Stream(harm=step(30, 9))), 36)

    (metric,) = verdict.metrics
    assert verdict.decision is Decision.ROLLBACK
    assert metric.since is not None
    assert abs(metric.since.start_ms - 30 * 60_000) <= 4 * BUCKET_MS


def test_a_total_failure_is_found_within_the_minute() -> None:
    verdict, _ = _verdict(_stream(2, Stream(harm=step(30, 99))), 30.5)

    assert verdict.decision is Decision.ROLLBACK
