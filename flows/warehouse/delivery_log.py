"""What happened to a delivery: a log that only grows, and the state that it amounts to."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from flows.formats.time import instant, milliseconds_of
from flows.warehouse.statements import Connection, run


class DeliveryEventKind(StrEnum):
    """What happened: by the controller, the last two by a person."""

    BEGAN = "began"
    SHIFTING = "shifting"
    SHIFTED = "shifted"
    PASSED = "passed"
    ASKED = "asked"
    APPROVED = "approved"
    ABORTED = "aborted"


class DeliveryOutcome(StrEnum):
    """How a delivery ended."""

    PROMOTED = "promoted"
    ROLLED_BACK = "rolled back"
    ABORTED = "aborted"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    stage: from 1; 0 is all back to the baseline, one more than there are stages is promoted. Of
    BEGAN: how many stages there are. weights: percent by variant. detail: why; of BEGAN the
    identity of the plan and, after a space, of the target.
    """

    delivery: int
    happened_ms: int
    kind: DeliveryEventKind
    stage: int | None
    weights: Mapping[str, float]
    detail: str


@dataclass(frozen=True, slots=True)
class Shift:
    """A decided change of the split; applied_ms: None while the target may not carry it yet."""

    stage: int
    weights: Mapping[str, float]
    decided_ms: int
    applied_ms: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class DeliveryState:
    """What the events of one delivery amount to.

    stages: how many there are. identity: of the plan; target: of the target, "" of a delivery that
    began before that was kept. shifts: all that were decided, in order.
    asked, approved, passed (the hooks before the next stage): since the last shift was applied. An
    approval is of one stage: one that comes while that is being applied isn't of the stage after.
    aborted: why a person gave it up.
    """

    number: int
    began_ms: int
    stages: int
    identity: str
    shifts: tuple[Shift, ...] = ()
    asked: bool = False
    approved: bool = False
    passed: bool = False
    aborted: str | None = None
    target: str = ""

    @property
    def latest_ms(self) -> int:
        """When the last shift, or the beginning, was written down."""
        times = [shift.applied_ms or shift.decided_ms for shift in self.shifts]
        return max(self.began_ms, *times) if times else self.began_ms

    @property
    def latest(self) -> str:
        """The same, as people read it."""
        return f"{instant(self.latest_ms):%Y-%m-%d %H:%M} UTC"

    @property
    def pending(self) -> Shift | None:
        """The shift that is decided and not known to be applied."""
        return self.shifts[-1] if self.shifts and self.shifts[-1].applied_ms is None else None

    @property
    def stage(self) -> int:
        """The stage of the last applied shift; 0 before the first."""
        applied = [shift.stage for shift in self.shifts if shift.applied_ms is not None]
        return applied[-1] if applied else 0

    @property
    def outcome(self) -> DeliveryOutcome | None:
        """How it ended; None while it goes on, also where it was aborted during its last shift."""
        if not self.shifts or self.pending is not None:
            return None
        if self.stage > self.stages and self.aborted is None:
            return DeliveryOutcome.PROMOTED
        if self.stage > 0:
            return None
        return DeliveryOutcome.ROLLED_BACK if self.aborted is None else DeliveryOutcome.ABORTED


def read_delivery(
    con: Connection, experiment: str, *, until: datetime | None = None
) -> DeliveryState | None:
    """The latest delivery, as it was known at a time if one is given; None before the first."""
    rows = run(con, "aggregate/delivery_events", experiment=experiment, until=until).fetchall()
    return state_of(
        [
            Event(
                number,
                milliseconds_of(at),
                DeliveryEventKind(kind),
                stage,
                json.loads(weights) if weights else {},
                detail,
            )
            for number, at, kind, stage, weights, detail in rows
        ]
    )


def add_event(con: Connection, experiment: str, event: Event, *, fence: int | None) -> None:
    """Adds an event to the log. fence: of the controller's lease; None for a person."""
    run(
        con,
        "load/delivery_event",
        experiment=experiment,
        delivery=event.delivery,
        happened_at=instant(event.happened_ms),
        kind=event.kind.value,
        stage=event.stage,
        weights=json.dumps(dict(event.weights)) if event.weights else None,
        fence=fence,
        detail=event.detail,
    )


def state_of(events: Sequence[Event]) -> DeliveryState | None:
    """The state after the events of one delivery; None without any."""
    if not events:
        return None
    first = events[0]
    identity, _, target = first.detail.partition(" ")
    began = (first.delivery, first.happened_ms, first.stage or 0)
    state = DeliveryState(*began, identity, target=target)
    for event in events[1:]:
        state = _after(state, event)
    return state


def events_of(state: DeliveryState) -> list[Event]:
    """Events that amount to the state; those that it has forgotten are left out."""
    number, began = state.number, f"{state.identity} {state.target}".strip()
    events = [Event(number, state.began_ms, DeliveryEventKind.BEGAN, state.stages, {}, began)]
    for shift in state.shifts:
        told = (shift.stage, shift.weights, shift.reason)
        events.append(Event(number, shift.decided_ms, DeliveryEventKind.SHIFTING, *told))
        if shift.applied_ms is not None:
            events.append(Event(number, shift.applied_ms, DeliveryEventKind.SHIFTED, *told))
    said = [(DeliveryEventKind.ASKED, "") for _ in range(state.asked)]
    said += [(DeliveryEventKind.APPROVED, "") for _ in range(state.approved)]
    said += [(DeliveryEventKind.PASSED, "") for _ in range(state.passed)]
    said += [(DeliveryEventKind.ABORTED, state.aborted)] if state.aborted is not None else []
    stage = state.stage
    return events + [Event(number, state.latest_ms, kind, stage, {}, text) for kind, text in said]


def _after(state: DeliveryState, event: Event) -> DeliveryState:
    match event.kind:
        case DeliveryEventKind.SHIFTING:
            shift = Shift(event.stage or 0, event.weights, event.happened_ms, None, event.detail)
            # One that was never applied is given up for this one.
            kept = state.shifts[:-1] if state.pending else state.shifts
            return replace(state, shifts=(*kept, shift), asked=False, approved=False, passed=False)
        case DeliveryEventKind.SHIFTED:
            applied = replace(state.shifts[-1], applied_ms=event.happened_ms)
            shifts = (*state.shifts[:-1], applied)
            return replace(state, shifts=shifts, asked=False, approved=False, passed=False)
        case DeliveryEventKind.PASSED | DeliveryEventKind.ASKED | DeliveryEventKind.APPROVED:
            return replace(
                state,
                passed=state.passed or event.kind is DeliveryEventKind.PASSED,
                asked=state.asked or event.kind is DeliveryEventKind.ASKED,
                approved=state.approved or event.kind is DeliveryEventKind.APPROVED,
            )
        case DeliveryEventKind.ABORTED:
            return replace(state, aborted=event.detail)
        case DeliveryEventKind.BEGAN:
            return state
