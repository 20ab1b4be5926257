"""Pods that start while a plan runs: their slow requests prove no harm, and hide none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.evidence import Coverage, Evidence, QualityLimits, RequestEvidence
from analysis.requests.bucket_counts import BucketCounts
from analysis.verdict import Decision, Verdict, reach_verdict
from tests.builders.changing_streams import A_MINUTE, BUCKET_MS, Added, Stream, plan_of, step

LIMITS = QualityLimits(split_tolerance=20.0)
SLOW = Stream(rate=1000, slow=True)
# Minutes from 10 to 11.5, in which pods start.
_BEGIN, _END = 10 * A_MINUTE, 10 * A_MINUTE + 6


def _verdict(stream: Stream, minute: int, *, part: float, until: int = _END) -> Verdict:
    """With so large a part of the candidate's requests in those minutes, and all that was added."""
    end = minute * A_MINUTE
    arms = dict(zip(("stable", "canary"), stream.counts(1, 1), strict=True))
    counts = {n: BucketCounts(arm.total[:, :end], arm.bad[:, :end]) for n, arm in arms.items()}
    at = (np.arange(end) >= _BEGIN) & (np.arange(end) < until)
    own = counts["canary"]
    total = np.round(part * own.total) * at
    usual = np.round(0.005 * own.total)
    bad = np.minimum(np.maximum(own.bad - usual, 0.0) * at, total)
    evidence = RequestEvidence(
        stage=np.zeros(end, dtype=np.int64),
        requests={name: arm.total[0] for name, arm in counts.items()},
        metrics=("errors",),
        counts=counts,
        warming={"canary": BucketCounts(total, bad)} if part else {},
    )
    at_ms = end * BUCKET_MS
    return reach_verdict(
        plan_of(stream), Evidence(evidence, None, Coverage(at_ms)), LIMITS, at_ms=at_ms
    )


@pytest.mark.parametrize("rate", [100.0, 1000.0])
def test_slow_requests_of_pods_that_start_are_no_proof(rate: float) -> None:
    cold = replace(SLOW, rate=rate, harm=Added(15.0, 10.0, 11.5))
    assert _verdict(cold, 12, part=0.0).decision is Decision.ROLLBACK
    found = _verdict(cold, 12, part=0.5)
    assert found.decision is Decision.HOLD
    assert any("pods that had just started" in note for note in found.notes)
    assert _verdict(cold, 60, part=0.5).decision is Decision.PROMOTE


def test_what_stays_slow_is_found_all_the_same() -> None:
    stays = replace(SLOW, harm=step(10.0, 15.0))
    assert _verdict(stays, 13, part=0.5).decision is Decision.ROLLBACK


def test_pods_that_start_for_ever_are_never_promoted() -> None:
    forever = replace(SLOW, harm=step(10.0, 4.0))
    for minute in (20, 40, 60):
        part = _verdict(forever, minute, part=0.3, until=240)
        assert part.decision is not Decision.PROMOTE
        assert _verdict(forever, minute, part=0.9, until=240).decision is Decision.ROLLBACK


def test_a_total_failure_is_one_whoever_starts() -> None:
    failed = replace(SLOW, harm=Added(90.0, 10.0, 11.5))
    assert _verdict(failed, 11, part=1.0).decision is Decision.ROLLBACK
