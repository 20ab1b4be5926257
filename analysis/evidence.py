"""What has been observed up to a look: the counts that every judgment starts from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from analysis.fixed.comparison import Pair
from analysis.requests.bucket_counts import BucketCounts, merged
from analysis.requests.latency import LatencyCounts
from analysis.requests.pod_counts import PodCounts
from analysis.requests.value_pairs import BucketValues
from analysis.users.outcome_reach import OutcomeReach


@dataclass(frozen=True, slots=True)
class CauseCounts:
    """Bad requests of one kind of response (503/UO): by variant, float64[buckets]."""

    name: str
    bad: Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class RequestEvidence:
    """Requests by variant on one grid of buckets.

    stage: int64[buckets], index into the plan's stages.
    requests: by variant, float64[buckets]: all requests, whatever became of them.
    sessions: where they are sticky, the new ones of each variant, of which the split is checked.
    metrics: names of the request metrics; counts: by variant, [metrics, buckets] in that order,
        bad those that surely are. unknown: by variant, of the others those that may be bad, as they
        were cut off or nothing tells; a variant that has none may be left out.
    causes: by metric, its bad requests by kind of response.
    outage: by variant, [1, buckets]: requests, and those that surely got no whole answer.
    choices: by metric, from how many edges its own was chosen.
    warming: by variant that has some, [metrics, buckets]: of the counts, those of pods that started
        a moment ago, in metrics of slow requests.
    latency: by variant, on the same buckets; empty where the mesh exports no latency.
    edges_ms: by metric, the bucket edge at which slow requests are counted.
    gaps: by variant, [metrics, gaps]: of each gap in the scrapes of all variants, what was counted
        over it, which no bucket has; gap_ends_ms: int64[gaps], when scrapes went on.
    pods: by metric and variant, over the whole window; empty where pods aren't known.
    """

    stage: NDArray[np.int64]
    requests: Mapping[str, NDArray[np.float64]]
    metrics: tuple[str, ...]
    counts: Mapping[str, BucketCounts]
    latency: Mapping[str, LatencyCounts] = field(default_factory=dict)
    edges_ms: Mapping[str, float] = field(default_factory=dict)
    pods: Mapping[str, Mapping[str, PodCounts]] = field(default_factory=dict)
    unknown: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    causes: Mapping[str, tuple[CauseCounts, ...]] = field(default_factory=dict)
    outage: Mapping[str, BucketCounts] = field(default_factory=dict)
    warming: Mapping[str, BucketCounts] = field(default_factory=dict)
    choices: Mapping[str, int] = field(default_factory=dict)
    sessions: Mapping[str, NDArray[np.float64]] | None = None
    gaps: Mapping[str, BucketCounts] = field(default_factory=dict)
    gap_ends_ms: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def counts_of(self, variant: str, metrics: Iterable[str]) -> BucketCounts:
        """Of some metrics: [metrics, buckets], in their order."""
        rows = [self.metrics.index(name) for name in metrics]
        found = self.counts[variant]
        return BucketCounts(found.total[rows], found.bad[rows])

    def merged(self, width: int) -> RequestEvidence:
        """The same on a grid of so many buckets as one, of the stage that it begins in."""
        causes = {
            metric: tuple(replace(one, bad=_merged(one.bad, width)) for one in of_metric)
            for metric, of_metric in self.causes.items()
        }
        return replace(
            self,
            stage=self.stage[::width],
            requests=_merged(self.requests, width),
            counts={name: one.merged(width) for name, one in self.counts.items()},
            latency={name: one.merged(width) for name, one in self.latency.items()},
            unknown=_merged(self.unknown, width),
            causes=causes,
            outage={name: one.merged(width) for name, one in self.outage.items()},
            warming={name: one.merged(width) for name, one in self.warming.items()},
            sessions=None if self.sessions is None else _merged(self.sessions, width),
        )


@dataclass(frozen=True, slots=True)
class LateUsers:
    """By candidate, both variants' estimates of users who came since a day (ISO), and before it."""

    since: str
    late: Mapping[str, Pair]
    before: Mapping[str, Pair]


@dataclass(frozen=True, slots=True)
class Denominator:
    """What a ratio is divided by, where no other metric tells how much of it there is.

    outcome: its name; pairs: its mean per user, by candidate.
    """

    outcome: str
    pairs: Mapping[str, Pair]


@dataclass(frozen=True, slots=True)
class UserEvidence:
    """Users by variant, each with a final value.

    samples: by metric and candidate, the baseline's estimate and its own; proportions: the metrics
        whose means are shares of users. Where the split changed, estimates are of users compared
        under the same split, so that the baseline's is another for each candidate, and n is what
        they are worth (analysis/users/splits.py); final_users says then how many they are.
    exposed: users by variant, one variant each; mixed: users seen in two variants, left out.
    exposed_by_split: the same by the split they were first exposed under, in the order of the
        plan's; empty if it never changed. exposed_by_part: and by "day" ("2026-11-23") or another
        dimension of the users ("country") and its parts.
    segments: samples by dimension, segment, metric and candidate.
    trends: by metric and candidate, both variants' trends of each user over the days of the window;
    trend_days: how many those are. denominators: by metric that is a ratio. largest: by metric and
        variant, the largest value of one user, where the metric is a plain mean of all of them.
    covariates: by metric, and by what it is adjusted by, that of each candidate.
    variance_removed: by metric, the share of variance that covariates explain.
    unknown: by metric of which nothing is known whatever its users did, why, and what would help.
    failed_before: by metric and candidate that an earlier look found beyond its margin, when.
    contradictions: what can't be in the data, as sentences.
    reach: by metric that is made of users' outcomes, which of these reach whom. outcome_names: rows
        up to the look by name; empty where there are none at all. lost_outcomes: rows that lack a
        user, a name or a time; gone_outcomes: those that were read once and aren't there any more.
    late: by metric, users who came since several days, apart from those who came before.
    counted: by metric that counters, or sums by day, tell: the same, as far as these know it.
    are_sums: whether sums came from elsewhere, and no rows of users. faults: what can't be right in
        them.
    """

    samples: Mapping[str, Mapping[str, Pair]]
    proportions: frozenset[str]
    exposed: Mapping[str, int]
    mixed: int = 0
    final_users: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    exposed_by_split: tuple[Mapping[str, int], ...] = ()
    exposed_by_part: Mapping[str, Mapping[str, tuple[Mapping[str, int], ...]]] = field(
        default_factory=dict
    )
    segments: Mapping[str, Mapping[str, Mapping[str, Mapping[str, Pair]]]] = field(
        default_factory=dict
    )
    trends: Mapping[str, Mapping[str, Pair]] = field(default_factory=dict)
    trend_days: Mapping[str, int] = field(default_factory=dict)
    denominators: Mapping[str, Denominator] = field(default_factory=dict)
    covariates: Mapping[str, Mapping[str, Mapping[str, Pair]]] = field(default_factory=dict)
    largest: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    variance_removed: Mapping[str, float] = field(default_factory=dict)
    unknown: Mapping[str, str] = field(default_factory=dict)
    failed_before: Mapping[tuple[str, str], datetime] = field(default_factory=dict)
    contradictions: tuple[str, ...] = ()
    reach: Mapping[str, tuple[OutcomeReach, ...]] = field(default_factory=dict)
    outcome_names: Mapping[str, int] = field(default_factory=dict)
    lost_outcomes: int = 0
    gone_outcomes: int = 0
    counted: Mapping[str, tuple[OutcomeReach, ...]] = field(default_factory=dict)
    late: Mapping[str, tuple[LateUsers, ...]] = field(default_factory=dict)
    are_sums: bool = False
    faults: tuple[str, ...] = ()

    @property
    def by_split(self) -> tuple[Mapping[str, int], ...]:
        """Exposed users under each split, all under the first where there is only one."""
        return self.exposed_by_split or (self.exposed,)


@dataclass(frozen=True, slots=True)
class MeasuredEvidence:
    """What counters and queries that the spec names itself say, on the plan's grid of buckets.

    events: ratios, as counts; values: rates and gauges, by metric and variant.
    unknown: by metric and candidate of which nothing may be concluded, why, as a sentence.
    """

    events: RequestEvidence
    values: Mapping[str, Mapping[str, BucketValues]] = field(default_factory=dict)
    unknown: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def merged(self, width: int) -> MeasuredEvidence:
        """The same on a grid of so many buckets as one."""
        values = {
            metric: {name: one.merged(width) for name, one in of_metric.items()}
            for metric, of_metric in self.values.items()
        }
        return replace(self, events=self.events.merged(width), values=values)


@dataclass(frozen=True, slots=True)
class Coverage:
    """How complete the data is.

    watermark_ms: up to when requests are known, or None if requests aren't compared.
    lost_share: by variant, estimated share of requests that no scrape saw.
    injected_share: by variant, share of requests in which the mesh injected a fault.
    unattributed: failed requests that reached no version.
    """

    watermark_ms: int | None = None
    lost_share: Mapping[str, float] = field(default_factory=dict)
    injected_share: Mapping[str, float] = field(default_factory=dict)
    unattributed: float = 0.0


@dataclass(frozen=True, slots=True)
class CohortEvidence:
    """Requests of one cohort, and how complete they are.

    beside: where the baseline has no share of it, the same beside the baseline's in all cohorts.
    """

    requests: RequestEvidence
    coverage: Coverage
    beside: RequestEvidence | None = None

    def merged(self, width: int) -> CohortEvidence:
        """The same on a grid of so many buckets as one."""
        beside = None if self.beside is None else self.beside.merged(width)
        return replace(self, requests=self.requests.merged(width), beside=beside)


@dataclass(frozen=True, slots=True)
class QualityLimits:
    """When data is not good enough for any verdict but invalid; shares and relative odds."""

    split_tolerance: float = 0.25
    user_split_tolerance: float = 0.01
    lost_share: float = 0.1
    mixed_share: float = 0.01
    injected_share: float = 0.01
    test_share: float = 0.0
    stale_ms: int = 300_000


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that one look sees; a part is None where the plan doesn't need it.

    cohorts: by name, of a plan that tells them apart; `requests` then has all of them together,
    which is compared with nothing.
    """

    requests: RequestEvidence | None
    users: UserEvidence | None
    coverage: Coverage = Coverage()
    measured: MeasuredEvidence | None = None
    cohorts: Mapping[str, CohortEvidence] = field(default_factory=dict)

    @property
    def buckets(self) -> int:
        """How many buckets of time there are so far; 0 where all is of users."""
        found = self.requests or (self.measured and self.measured.events)
        return len(found.stage) if found else 0

    def merged(self, width: int) -> Evidence:
        """The same on a grid of so many buckets as one, the last one of those that there are."""
        return replace(
            self,
            requests=self.requests and self.requests.merged(width),
            measured=self.measured and self.measured.merged(width),
            cohorts={name: one.merged(width) for name, one in self.cohorts.items()},
        )


@dataclass(frozen=True, slots=True)
class StageCounts:
    """Observed counts and configured shares by variant, in one stage.

    settled: the counts without those around a change of the split, which are chosen by time alone;
        None if they are the same. By them are tested the variants that are configured at 0.
    tests: by variant, the share of the traffic that it may have though it is configured at 0.
    """

    counts: Mapping[str, float]
    shares: Mapping[str, float]
    settled: Mapping[str, float] | None = None
    tests: Mapping[str, float] = field(default_factory=dict)


def _merged(
    by_variant: Mapping[str, NDArray[np.float64]], width: int
) -> dict[str, NDArray[np.float64]]:
    return {name: merged(values, width) for name, values in by_variant.items()}
