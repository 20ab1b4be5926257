"""The one controller of a delivery: what it reads and writes, always under its lease."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from analysis.verdict import Decision
from flows.delivery.clock import SteadyClock
from flows.delivery.lease import Lease
from flows.delivery.targets.target import TrafficTarget
from flows.formats.problems import UserError
from flows.formats.time import instant, milliseconds_of
from flows.look.verdict_document import VerdictDocument
from flows.plan.delivered import identity_of, target_of
from flows.spec.experiment import Experiment
from flows.warehouse.connection import open_reader, open_writer, transaction
from flows.warehouse.delivery_log import (
    DeliveryEventKind,
    DeliveryState,
    Event,
    add_event,
    events_of,
    read_delivery,
)
from flows.warehouse.outbox import note
from flows.warehouse.statements import Connection, run
from flows.workspace.paths import Workspace


class CannotDeliver(UserError):
    """The spec or the state of things doesn't allow it; the message says what would."""


@dataclass(slots=True)
class Memory:
    """What a controller knows of its delivery while the warehouse can't be asked.

    state: as it was last read. seen_ms: up to when the data covers a verdict that wasn't invalid.
    go_back: why all traffic is to go back to the baseline, once that is decided.
    waits_since_ms: since when it has waited for a first series of any variant.
    """

    state: DeliveryState | None = None
    seen_ms: int | None = None
    go_back: str | None = None
    waits_since_ms: int | None = None

    def saw(self, document: VerdictDocument) -> None:
        """Takes in a look: an invalid one has seen nothing."""
        if document.decision is not Decision.INVALID:
            seen = milliseconds_of(min(document.look_at, document.watermark or document.look_at))
            self.seen_ms = max(seen, self.seen_ms or 0)


@dataclass(frozen=True, slots=True)
class Controller:
    """A lease, and what it is a lease on. spec was read from path."""

    workspace: Workspace
    path: Path
    spec: Experiment
    target: TrafficTarget
    lease: Lease
    clock: SteadyClock = field(default_factory=SteadyClock)
    memory: Memory = field(default_factory=Memory)

    @property
    def state(self) -> DeliveryState:
        """The delivery as it was last read or written."""
        return _known(self.memory.state)

    def begin(self, *, again: bool) -> DeliveryState:
        """The delivery that goes on, or a new one; with again also after one that has ended.

        Raises CannotDeliver if the spec isn't the one that the delivery began by, and LeaseLost.
        """
        with open_reader(self.workspace.warehouse) as con:
            state = read_delivery(con, self.spec.experiment)
            seen, looked = _sight(con, self.spec.experiment)
        if looked is not None:
            self.clock.not_before(looked)
        if state is None or begins_anew(self.spec, state, again=again):
            number = state.number + 1 if state else 1
            detail = f"{identity_of(self.spec)} {target_of(self.spec)}"
            return self._add(number, DeliveryEventKind.BEGAN, len(self.spec.stages), {}, detail)
        check_unchanged(self.path, self.spec, state)
        self.memory.seen_ms = None if seen is None else milliseconds_of(seen)
        self.clock.not_before(instant(state.latest_ms))
        return self._remember(state)

    def read(self) -> DeliveryState:
        """Where the delivery stands; renews the lease. Raises LeaseLost."""
        with open_writer(self.workspace.warehouse) as con, transaction(con):
            self._renew(con)
            state = _known(read_delivery(con, self.spec.experiment))
        return self._remember(state)

    def add(
        self,
        state: DeliveryState,
        kind: DeliveryEventKind,
        stage: int,
        weights: Mapping[str, float],
        detail: str,
    ) -> DeliveryState:
        """Adds an event; returns the state after it. Raises LeaseLost, and then adds nothing."""
        return self._add(state.number, kind, stage, weights, detail)

    def _add(
        self,
        number: int,
        kind: DeliveryEventKind,
        stage: int,
        weights: Mapping[str, float],
        detail: str,
    ) -> DeliveryState:
        event = Event(number, milliseconds_of(self.clock.now()), kind, stage, weights, detail)
        with open_writer(self.workspace.warehouse) as con, transaction(con):
            self._renew(con)
            add_event(con, self.spec.experiment, event, fence=self.lease.fence)
            state = _known(read_delivery(con, self.spec.experiment))
            _note(con, self.spec.experiment, event, state)
        return self._remember(state)

    def _renew(self, con: Connection) -> None:
        """The lease goes on; a warehouse that was replaced gets the delivery's log again."""
        known, experiment = self.memory.state, self.spec.experiment
        is_gone = self.lease.is_unknown(con) and read_delivery(con, experiment) is None
        if known is not None and is_gone:
            for event in events_of(known):
                add_event(con, experiment, event, fence=self.lease.fence)
            self.lease.restore(con, datetime.now(UTC))
        self.lease.renew(con, datetime.now(UTC))

    def _remember(self, state: DeliveryState) -> DeliveryState:
        self.memory.state = state
        return state


def begins_anew(spec: Experiment, state: DeliveryState, *, again: bool) -> bool:
    """Whether a new delivery follows this one, of which nothing has to go back.

    One that never shifted anything can be corrected.
    """
    is_void = not state.shifts and state.aborted is None
    return (is_void and bool(_edited(spec, state))) or (state.outcome is not None and again)


def check_unchanged(path: Path, spec: Experiment, state: DeliveryState) -> None:
    """Raises CannotDeliver if the spec isn't the one that the delivery began, or ended, by."""
    edited, name = _edited(spec, state), spec.experiment
    if state.outcome is None and edited:
        raise CannotDeliver(
            f"{path}: {edited} changed since this delivery of {name} began; put back what was "
            "changed until it has ended"
        )
    if state.identity != identity_of(spec):
        ended = f"{state.outcome.value if state.outcome else ''} at {state.latest}"
        raise CannotDeliver(
            f"{path}: {edited} changed since the last delivery of {name} ({ended}): "
            f"verdict deliver {name} --again delivers what the spec says now"
        )


def _edited(spec: Experiment, state: DeliveryState) -> str:
    """What of a spec is another since the delivery began; "" of nothing."""
    if state.identity != identity_of(spec):
        return "the variants, cohorts or stages were"
    return "delivery.target was" if state.target not in ("", target_of(spec)) else ""


def _note(con: Connection, experiment: str, event: Event, state: DeliveryState) -> None:
    """Notes a stage, an end, or a wait for a person, to be told to people."""
    if event.kind is DeliveryEventKind.SHIFTED:
        split = ", ".join(f"{name} {weight:g}" for name, weight in event.weights.items())
        stage = f"stage {state.stage} of {state.stages}"
        what = f"{state.outcome.value if state.outcome else stage}: {split}"
    elif event.kind is DeliveryEventKind.ASKED:
        approve = f"verdict approve {experiment} --stage {state.stage + 1}"
        what = f"waits for a person ({approve}, verdict abort {experiment})"
    else:
        return
    message = f"delivery {event.delivery} {event.kind.value} {event.stage} {event.happened_ms}"
    note(con, experiment, message, f"{experiment}: {what}", event.detail)


def _sight(con: Connection, experiment: str) -> tuple[datetime | None, datetime | None]:
    """Up to when a valid verdict has seen the experiment, and when it was looked at last."""
    row = run(con, "aggregate/delivery_sight", experiment=experiment).fetchone()
    return (row[0], row[1]) if row else (None, None)


def _known(state: DeliveryState | None) -> DeliveryState:
    if state is None:
        raise CannotDeliver("the delivery's events are gone: the warehouse was replaced meanwhile")
    return state
