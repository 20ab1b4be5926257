"""Whether a delivery advances to its next stage, stays, or rolls back: one move after one look.

Proven harm rolls back at once, at any stage. To advance needs less than a promote: good data,
nothing that the verdict waits for, and no guardrail that is more likely broken than not, since the
next stage is what gathers the evidence for the promote. Where the baseline has no traffic there, as
in blue-green, it gathers none: then harm must be excluded before. Only a promote ends the last
stage. Where a stage can't be decided in its longest time, or a signal holds, a person is asked;
nothing is rolled back for either.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from analysis.explain.spans import span
from analysis.metric_result import Classification, MetricResult, may_take_more
from analysis.plan import Role, Unit
from analysis.verdict import Decision

APPROVED = "a person has approved"
"""Why a delivery advances whatever is known, but for proven harm."""

NEEDS_APPROVAL = "the next stage needs a person's approval"


class Move(StrEnum):
    """What a controller does after a look."""

    STAY = "stay"
    ADVANCE = "advance"
    ROLL_BACK = "roll back"


@dataclass(frozen=True, slots=True)
class StageNow:
    """Where a delivery stands.

    number: from 1; of: how many stages there are. elapsed_ms: since its split was applied; seen_ms:
    of that, what the data covers.
    shortest_ms, longest_ms: how long it is to last.
    next_compares: the next stage has traffic of the baseline too, to compare with.
    next_needs_approval: a person must approve before the next stage (after the last: the promote).
    approved: a person has approved the next stage.
    """

    number: int
    of: int
    elapsed_ms: int
    seen_ms: int
    shortest_ms: int
    longest_ms: int
    next_needs_approval: bool
    approved: bool
    next_compares: bool

    @property
    def is_last(self) -> bool:
        """Whether all traffic is next."""
        return self.number == self.of


@dataclass(frozen=True, slots=True)
class NextMove:
    """The move, why, and whether a person is asked to decide."""

    move: Move
    reason: str
    asks: bool = False


def next_move(
    stage: StageNow,
    decision: Decision,
    reasons: tuple[str, ...],
    metrics: tuple[MetricResult, ...],
    waits: tuple[str, ...] = (),
) -> NextMove:
    """The move after one look; decision, reasons, metrics and waits are its verdict's."""
    first = reasons[0] if reasons else "all guardrails are within their margins"
    if decision is Decision.ROLLBACK:
        return NextMove(Move.ROLL_BACK, first)
    if stage.approved:
        return NextMove(Move.ADVANCE, APPROVED)
    if stage.seen_ms < stage.shortest_ms:
        # Data that ends before the stage began makes no stage longer.
        left = span(stage.shortest_ms - max(0, stage.seen_ms))
        return NextMove(Move.STAY, f"the stage lasts at least {left} more")
    if not waits and _may_advance(stage, decision, metrics):
        if stage.next_needs_approval:
            return NextMove(Move.STAY, NEEDS_APPROVAL, asks=True)
        return NextMove(Move.ADVANCE, _why_advance(stage, decision, first))
    if not stage.next_compares and decision is Decision.HOLD:
        first = f"{first}; the next stage has nothing to compare with, so this one decides"
    is_over = stage.elapsed_ms >= stage.longest_ms
    return NextMove(
        Move.STAY,
        f"{first}; the stage has reached its longest time" if is_over else first,
        asks=is_over or any(metric.holds for metric in metrics),
    )


def _may_advance(stage: StageNow, decision: Decision, metrics: tuple[MetricResult, ...]) -> bool:
    if decision is Decision.PROMOTE:
        return True
    if decision is not Decision.HOLD or stage.is_last:
        return False
    return may_take_more(metrics) and (stage.next_compares or _is_compared(metrics))


def _is_compared(metrics: tuple[MetricResult, ...]) -> bool:
    """Whether harm beyond the margin is excluded of every guardrail; users' values come later."""
    return all(
        metric.excess.upper <= 0 or metric.classification is Classification.PASS
        for metric in metrics
        if metric.role is Role.GUARDRAIL and metric.unit is not Unit.USER
    )


def _why_advance(stage: StageNow, decision: Decision, first: str) -> str:
    if decision is Decision.PROMOTE:
        return first
    return f"no harm in {span(stage.seen_ms)}, and no guardrail is likely to be broken"
