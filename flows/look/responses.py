"""The kinds of response that a look has seen, and how many requests had each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass

import numpy as np

from analysis.arrays import BoolArray, FloatArray, IntArray
from analysis.plan import Plan
from analysis.requests.outcomes import (
    FailureRule,
    RequestOutcome,
    Response,
    shown_response,
)
from analysis.stages import have_most
from flows.ingest.requests.mesh.family import UNATTRIBUTED
from flows.warehouse.statements import Columns


@dataclass(frozen=True, slots=True)
class ResponseKind:
    """One kind of response: its outcome by the table of all meshes, and what the mesh said."""

    outcome: RequestOutcome
    code: str
    grpc_status: str
    flags: str

    @property
    def name(self) -> str:
        """As a sentence has it: 503/UO."""
        return shown_response(self.code, self.grpc_status, self.flags)

    @property
    def cut_off(self) -> bool:
        """Whether somebody stopped waiting for the answer."""
        if self.outcome is RequestOutcome.ABANDONED:
            return True
        return Response(self.code, self.grpc_status, self._flags).cut_off

    @property
    def is_usual(self) -> bool:
        """Whether it says success and nothing else: no redirect, no flag that nobody knows."""
        return self.code in ("", "200") and self.flags == ""

    def outcome_by(self, rule: FailureRule | None) -> RequestOutcome:
        """Its outcome where a spec says what fails."""
        if rule is None:
            return self.outcome
        return rule.outcome(self.outcome, self.code, self.grpc_status, frozenset(self._flags))

    @property
    def _flags(self) -> tuple[str, ...]:
        return tuple(self.flags.split(",")) if self.flags else ()


# What began and never ended; only counters of beginnings tell of it.
UNANSWERED = ResponseKind(RequestOutcome.ABANDONED, "", "", "")


def kinds_in(columns: Columns) -> tuple[ResponseKind, ...]:
    """From rows with outcome, response_code, grpc_status and response_flags, in their order."""
    names = ("outcome", "response_code", "grpc_status", "response_flags")
    rows = zip(*(columns[name].tolist() for name in names), strict=True)
    return tuple(ResponseKind(RequestOutcome(outcome), *rest) for outcome, *rest in rows)


def kinds_by_number(numbers: IntArray, named: Columns) -> tuple[tuple[ResponseKind, ...], IntArray]:
    """The kinds with these numbers in order, and the place of each number's.

    named: rows as kinds_in has them with the number of each (response), in which all are found.
    """
    known, first = np.unique(named["response"], return_index=True)
    kinds = kinds_in(named)
    chosen = [kinds[i] for i in first[np.searchsorted(known, numbers)].tolist()]
    order = sorted(range(len(chosen)), key=lambda i: astuple(chosen[i]))
    return tuple(chosen[i] for i in order), np.argsort(order)


@dataclass(frozen=True, slots=True)
class ResponseCounts:
    """Requests of one variant by kind of response: float64[kinds, buckets]."""

    kinds: tuple[ResponseKind, ...]
    counts: FloatArray

    @property
    def requests(self) -> FloatArray:
        """All, whatever became of them: float64[buckets]."""
        return np.asarray(self.counts.sum(axis=0))

    @property
    def cut_off(self) -> FloatArray:
        """Those that somebody stopped waiting for: float64[buckets]."""
        return self._sum([kind.cut_off for kind in self.kinds])

    def ended(self, *outcomes: RequestOutcome) -> FloatArray:
        """Those that ended in one of these ways: float64[buckets]."""
        return self.those(lambda kind: kind.outcome in outcomes)

    def those(self, are_kept: Callable[[ResponseKind], bool]) -> FloatArray:
        """Those of the kinds that are kept: float64[buckets]."""
        return self._sum([are_kept(kind) for kind in self.kinds])

    @property
    def not_injected(self) -> FloatArray:
        """All but those in which the mesh injected a fault: float64[buckets]."""
        return self.requests - self.ended(RequestOutcome.INJECTED)

    @property
    def without_injected(self) -> ResponseCounts:
        """The same without requests in which the mesh injected a fault."""
        keep = np.array([k.outcome is not RequestOutcome.INJECTED for k in self.kinds], np.bool_)
        return ResponseCounts(self.kinds, self.counts * keep[:, None])

    def of(self, kind: int) -> FloatArray:
        """Those of one kind: float64[buckets]."""
        return np.asarray(self.counts[kind])

    def _sum(self, keep: list[bool]) -> FloatArray:
        return np.asarray(self.counts[np.array(keep, np.bool_)].sum(axis=0))


def of_who_has_all(
    found: Mapping[str, ResponseCounts], plan: Plan, stage: IntArray
) -> dict[str, ResponseCounts]:
    """By variant, with failures that name no version as those of a candidate with all the traffic.

    There is nobody else whose they could be, as at the end of a switch. stage: int64[buckets].
    """
    unattributed = found[UNATTRIBUTED]
    kinds, counts = unattributed.kinds, unattributed.counts
    every = dict(found)
    for variant in () if plan.is_split_assumed else plan.candidates:
        has_all = np.array([each.shares.get(variant) == 1 for each in plan.stages], np.bool_)[stage]
        every[variant] = ResponseCounts(kinds, found[variant].counts + counts * has_all)
        counts = counts * ~has_all
    return {**every, UNATTRIBUTED: ResponseCounts(kinds, counts)}


def may_have_unattributed(plan: Plan, variant: str, stage: IntArray) -> BoolArray | None:
    """In which buckets failures of no version may be a candidate's; None for the baseline.

    A stage with next to none of the traffic would put all of them on so few requests.
    """
    if variant == plan.baseline:
        return None
    if plan.is_split_assumed:
        return np.ones(len(stage), np.bool_)
    return have_most(variant, plan.stages, stage)


def with_unattributed(
    own: ResponseCounts, unattributed: ResponseCounts, may_have: BoolArray | None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Total, bad and unknown requests as if a version had all those that name none.

    may_have: bool[buckets], those in which it is looked at; None for a version that has none of
    them. Nothing if there are none, or none of its own.
    """
    bad = unattributed.not_injected
    nothing = np.zeros(len(bad))
    if not (bad.any() and own.requests.any()):
        return nothing, nothing, nothing
    if may_have is None:
        return own.requests, nothing, nothing
    return (own.requests + bad) * may_have, bad * may_have, nothing
