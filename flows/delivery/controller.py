"""The one controller of a delivery: what it reads and writes, always under its lease."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from flows.delivery.lease import Lease
from flows.delivery.targets.target import TrafficTarget
from flows.formats.problems import UserError
from flows.formats.time import milliseconds_of
from flows.spec.experiment import Experiment
from flows.warehouse.connection import open_reader, open_writer, transaction
from flows.warehouse.delivery_log import (
    DeliveryEventKind,
    DeliveryState,
    Event,
    add_event,
    read_delivery,
)
from flows.workspace.paths import Workspace

if TYPE_CHECKING:
    pass


class CannotDeliver(UserError):
    """The spec or the state of things doesn't allow it; the message says what would."""


@dataclass(frozen=True, slots=True)
class Controller:
    """A lease, and what it is a lease on. spec was read from path."""

    workspace: Workspace
    path: Path
    spec: Experiment
    target: TrafficTarget
    lease: Lease

    def begin(self, *, again: bool) -> DeliveryState:
        """The delivery that goes on, or a new one; with again also after one that has ended.

        Raises CannotDeliver if the spec isn't the one that the delivery began by, and LeaseLost.
        """
        with open_reader(self.workspace.warehouse) as con:
            state = read_delivery(con, self.spec.experiment)
        identity = identity_of(self.spec)
        if state is None or (state.outcome is not None and again):
            number = state.number + 1 if state else 1
            return self._add(number, DeliveryEventKind.BEGAN, len(self.spec.stages), {}, identity)
        if state.outcome is None and state.identity != identity:
            raise CannotDeliver(
                f"{self.path}: the variants or stages were changed since this delivery of "
                f"{self.spec.experiment} began; put them back until it has ended"
            )
        return state

    def read(self) -> DeliveryState:
        """Where the delivery stands; renews the lease. Raises LeaseLost."""
        now = datetime.now(UTC)
        with open_writer(self.workspace.warehouse) as con, transaction(con):
            self.lease.renew(con, now)
            return _known(read_delivery(con, self.spec.experiment))

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
        now = datetime.now(UTC)
        event = Event(number, milliseconds_of(now), kind, stage, weights, detail)
        with open_writer(self.workspace.warehouse) as con, transaction(con):
            self.lease.renew(con, now)
            add_event(con, self.spec.experiment, event, fence=self.lease.fence)
            return _known(read_delivery(con, self.spec.experiment))


def _known(state: DeliveryState | None) -> DeliveryState:
    if state is None:
        raise CannotDeliver("the delivery's events are gone: the warehouse was replaced meanwhile")
    return state


def identity_of(spec: Experiment) -> str:
    """Tells whether a delivery can go on by a spec: the variants and stages are those it began by.

    Margins and looks may be changed while it runs.
    """
    told = {
        "service": [spec.namespace, spec.service],
        "variants": {name: one.model_dump(mode="json") for name, one in spec.variants.items()},
        "stages": [stage.model_dump(mode="json") for stage in spec.stages],
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
