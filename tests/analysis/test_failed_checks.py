"""What a failed check takes away: the comparison, or what is known of a variant at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from analysis.evidence import Coverage, Evidence, QualityLimits, RequestEvidence
from analysis.plan import Plan, Stage
from analysis.quality.checks import QualityCheck
from analysis.requests.bucket_counts import BucketCounts
from analysis.verdict import Decision, Verdict, reach_verdict
from tests.builders.streams import BUCKET_MS, plan_for

BUCKETS = 60
END = BUCKETS * BUCKET_MS
HALF = {"stable": 0.5, "canary": 0.5}


def _plan(objective: float | None = 0.05, shares: dict[str, float] | None = None) -> Plan:
    plan = plan_for(BUCKETS)
    metric = replace(plan.metrics[0], objective=objective, critical=True)
    return replace(
        plan,
        metrics=(metric,),
        stages=(Stage(0, END, HALF if shares is None else shares),),
    )


def _evidence(
    bad: float,
    *,
    share: float = 0.5,
    bad_baseline: float = 0.001,
    coverage: Coverage | None = None,
    until: int = BUCKETS,
) -> Evidence:
    """Sixty requests a second, of which the candidate gets a share and fails some."""
    rng = np.random.default_rng(3)
    total = {"stable": 900 * (1 - share), "canary": 900 * share}
    requests = {v: rng.poisson(n, BUCKETS).astype(float) for v, n in total.items()}
    requests["canary"][until:] = 0
    shares = {"stable": bad_baseline, "canary": bad}
    counts = {
        v: BucketCounts(n[None], rng.binomial(n.astype(int), shares[v])[None].astype(float))
        for v, n in requests.items()
    }
    found = RequestEvidence(np.zeros(BUCKETS, dtype=np.int64), requests, ("errors",), counts)
    return Evidence(found, None, coverage or Coverage(watermark_ms=END))


def _verdict(plan: Plan, evidence: Evidence, *checks: QualityCheck) -> Verdict:
    return reach_verdict(plan, evidence, QualityLimits(), at_ms=END, checks=checks)


OFF = 0.2  # share of requests, where a half is configured
BROKEN_COMPARISONS: dict[
    str, Callable[[float], tuple[Plan, Evidence, tuple[QualityCheck, ...]]]
] = {
    "split": lambda bad: (_plan(), _evidence(bad, share=OFF), ()),
    "test traffic of a candidate at 0": lambda bad: (
        _plan(shares={"stable": 1.0, "canary": 0.0}),
        _evidence(bad, share=0.25),
        (),
    ),
    "no baseline": lambda bad: (_plan(), _evidence(bad, share=1.0), ()),
    "faults injected into the baseline": lambda bad: (
        _plan(),
        _evidence(bad, coverage=Coverage(END, injected_share={"stable": 0.1})),
        (),
    ),
    "requests of the baseline lost": lambda bad: (
        _plan(),
        _evidence(bad, coverage=Coverage(END, lost_share={"stable": 0.4})),
        (),
    ),
    "several splits in the manifests": lambda bad: (
        _plan(shares={}),
        _evidence(bad),
        (QualityCheck("one configured split", False, "a.yaml and b.yaml differ"),),
    ),
}
SPOILT_CANDIDATES: dict[str, Callable[[float], Evidence]] = {
    "stale": lambda bad: _evidence(bad, coverage=Coverage(END - 600_000)),
    "never pulled": lambda bad: _evidence(bad, coverage=Coverage()),
    "lost": lambda bad: _evidence(bad, coverage=Coverage(END, lost_share={"canary": 0.4})),
    "of no version": lambda bad: _evidence(
        bad, coverage=Coverage(END, lost_share={"unattributed": 0.4})
    ),
    "injected": lambda bad: _evidence(bad, coverage=Coverage(END, injected_share={"canary": 0.1})),
    "frozen": lambda bad: _evidence(bad, until=BUCKETS - 25),
}


@pytest.mark.parametrize("case", BROKEN_COMPARISONS)
@pytest.mark.parametrize("bad", [0.2, 0.6])
def test_a_candidate_that_fails_by_itself_is_rolled_back_without_a_comparison(
    case: str, bad: float
) -> None:
    plan, evidence, checks = BROKEN_COMPARISONS[case](bad)
    verdict = _verdict(plan, evidence, *checks)
    assert verdict.decision is Decision.ROLLBACK, verdict.reasons
    assert "(objective: at most 5.00 %)" in verdict.reasons[0]
    assert any(reason.startswith("nothing is compared: ") for reason in verdict.reasons)
    assert verdict.score == 0


@pytest.mark.parametrize("case", BROKEN_COMPARISONS)
@pytest.mark.parametrize("bad", [0.0, 0.001, 0.04])
def test_without_a_comparison_nothing_is_promoted_and_no_harm_by_comparison_counts(
    case: str, bad: float
) -> None:
    plan, evidence, checks = BROKEN_COMPARISONS[case](bad)
    verdict = _verdict(plan, evidence, *checks)
    assert verdict.decision is Decision.INVALID, verdict.reasons
    assert verdict.score is None
    harm = [r for r in verdict.reasons if r.startswith("harm seen that can't be counted: errors: ")]
    assert bool(harm) == (bad == 0.04 and case != "no baseline")


@pytest.mark.parametrize("case", SPOILT_CANDIDATES)
@pytest.mark.parametrize("bad", [0.0, 0.2, 1.0])
def test_nothing_is_known_of_a_candidate_whose_data_is_spoilt(case: str, bad: float) -> None:
    verdict = _verdict(_plan(), SPOILT_CANDIDATES[case](bad))
    assert verdict.decision is Decision.INVALID, verdict.reasons
    assert any("harm seen that can't be counted" in reason for reason in verdict.reasons) == (
        bad > 0
    )


def test_a_gross_failure_needs_no_objective() -> None:
    verdict = _verdict(_plan(None), _evidence(0.5, share=OFF))
    assert verdict.decision is Decision.ROLLBACK
    assert "a gross failure: " in verdict.reasons[0]


def test_an_objective_that_both_versions_miss_is_not_the_candidates_doing() -> None:
    verdict = _verdict(_plan(), _evidence(0.2, bad_baseline=0.2, share=OFF))
    assert verdict.decision is Decision.INVALID


def test_an_invalid_split_names_shares_and_remedy() -> None:
    verdict = _verdict(_plan(), _evidence(0.04, share=OFF))
    assert verdict.reasons[0].startswith(
        "split of requests: canary received 20.0 % of requests; 50.0 % is configured (p "
    )
    assert "Set `split` or `plan.stages`" in verdict.reasons[0]
    assert "harm at least" in verdict.reasons[1]


@pytest.mark.parametrize(
    ("seen", "written"),
    [
        (OFF, "stable: 80, canary: 20"),
        (0.098, "stable: 90, canary: 10"),
        (0.333, "stable: 67, canary: 33"),
        (0.012, "stable: 98.8, canary: 1.2"),
        (0.0052, "stable: 99.5, canary: 0.5"),
        (0.97, "stable: 3, canary: 97"),
    ],
)
def test_a_split_that_nobody_wrote_is_asked_for_as_it_was_seen(seen: float, written: str) -> None:
    verdict = _verdict(replace(_plan(), is_split_assumed=True), _evidence(0.04, share=seen))
    assert verdict.decision is Decision.INVALID
    assert "the spec names no split, so stages of 50 % are assumed" in verdict.reasons[0]
    assert f"Write `split: {{{written}}}`?" in verdict.reasons[0]


def test_requests_that_are_off_on_days_and_right_over_all_are_invalid() -> None:
    """Two days at 20 and 80 %: 50 % over all."""
    plan = replace(_plan(), bucket_ms=3_600_000, stages=(Stage(0, 48 * 3_600_000, HALF),))
    canary = np.array([2000.0] * 24 + [8000.0] * 24)
    requests = {"stable": 10_000 - canary, "canary": canary}
    counts = {v: BucketCounts(n[None], n[None] * 0.001) for v, n in requests.items()}
    found = RequestEvidence(np.zeros(48, dtype=np.int64), requests, ("errors",), counts)
    end = 48 * 3_600_000
    verdict = reach_verdict(plan, Evidence(found, None, Coverage(end)), QualityLimits(), at_ms=end)
    assert verdict.decision is Decision.INVALID
    (reason,) = verdict.reasons
    assert reason.startswith("split of requests by day: off on 2 of 2 days")


def test_a_plan_without_a_split_says_that_nothing_is_known_of_it() -> None:
    verdict = _verdict(_plan(shares={}), _evidence(0.001))
    assert verdict.decision is Decision.PROMOTE
    assert not any(check.name.startswith("split") for check in verdict.quality)
    assert verdict.notes[0] == (
        "no split is configured, so whether requests are divided as intended is not known; set "
        "`split` or `plan.stages`"
    )
