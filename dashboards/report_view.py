"""What the HTML report needs to know of an experiment: its latest verdict and how it came."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from analysis.metric_result import Estimate
from analysis.verdict import Decision, Verdict


@dataclass(frozen=True, slots=True)
class PastHarm:
    """The harm of one metric and candidate at a look, beside what was allowed, in its unit.

    is_share: the unit is a share of requests or users.
    """

    metric: str
    candidate: str
    harm: Estimate
    allowed: float
    is_share: bool


@dataclass(frozen=True, slots=True)
class PastLook:
    """One look; score: 0..100, or None without data."""

    at: datetime
    decision: Decision
    score: float | None
    harms: tuple[PastHarm, ...]


@dataclass(frozen=True, slots=True)
class VariantShare:
    """A variant's part of a stage: seen requests or users; configured and observed shares, 0..1."""

    variant: str
    seen: float
    observed: float | None
    configured: float | None


@dataclass(frozen=True, slots=True)
class StageSplit:
    """How the traffic was divided in one stage, up to the look; unit: "requests" or "users"."""

    start: datetime
    end: datetime
    unit: str
    variants: tuple[VariantShare, ...]


@dataclass(frozen=True, slots=True)
class ExperimentReport:
    """The latest verdict of an experiment with all that led to it.

    looks: oldest first, the last one is the latest; earlier_looks: how many more there were.
    """

    verdict: Verdict
    service: str
    namespace: str
    description: str
    looks: tuple[PastLook, ...]
    earlier_looks: int
    split: tuple[StageSplit, ...]
    spec_hash: str
    software_version: str


@dataclass(frozen=True, slots=True)
class BrokenSpec:
    """An experiment whose spec can't be read.

    problems: at least one. has_page: a page of the time before is there.
    """

    experiment: str
    problems: tuple[str, ...]
    has_page: bool
