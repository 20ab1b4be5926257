"""One controller per experiment: a lease in the warehouse, with a number that only grows.

The lease keeps two controllers from running side by side; the number (fence) goes with every shift,
so that a target refuses a controller that slept through the end of its lease.
"""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from flows.formats.problems import UserError
from flows.warehouse.connection import open_writer, transaction
from flows.warehouse.statements import Connection, run

LEASE = timedelta(seconds=30)
_RELEASE_S = 5.0


class LeaseHeld(UserError):
    """Another controller delivers this experiment. until: as its lease says, by its own clock."""

    def __init__(self, experiment: str, holder: str, until: datetime) -> None:
        super().__init__(
            f"{experiment} is being delivered by {holder}; if that one is gone, its lease ends "
            f"within {LEASE.total_seconds():g} s"
        )
        self.until = until


class LeaseLost(UserError):
    """Another controller took over; this one must not act any more."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to shift one experiment's traffic, as long as nobody else has taken it."""

    experiment: str
    holder: str
    fence: int

    def renew(self, con: Connection, now: datetime) -> None:
        """Prolongs it; within a transaction it makes sure that what else is written is ours.

        Raises LeaseLost.
        """
        self._set(con, now, now + LEASE)

    def is_unknown(self, con: Connection) -> bool:
        """Whether the warehouse knows of no lease at all: it was replaced."""
        return _holder(con, self.experiment)[0] == 0

    def restore(self, con: Connection, now: datetime) -> None:
        """Writes it down again, in a warehouse that doesn't know it."""
        _write(con, self, now + LEASE)

    def release(self, warehouse: Path) -> None:
        """Gives it up, so that another controller need not wait; not if it was lost.

        Raises WarehouseBusy soon: nobody waits for the lease longer than it lasts.
        """
        now = datetime.now(UTC)
        with open_writer(warehouse, wait_s=_RELEASE_S) as con, transaction(con):
            if _holder(con, self.experiment)[:2] == (self.fence, self.holder):
                self._set(con, now, now)

    def _set(self, con: Connection, now: datetime, until: datetime) -> None:
        fence, holder, _ = _holder(con, self.experiment)
        if (fence, holder) != (self.fence, self.holder):
            raise LeaseLost(
                f"{self.experiment} was taken over by {holder} (lease {fence}, ours was "
                f"{self.fence}, now is {now:%H:%M:%S} UTC): this controller stops"
            )
        _write(con, self, until)


def take_lease(
    warehouse: Path, experiment: str, *, above: int = 0, waited_for: datetime | None = None
) -> Lease:
    """The lease of an experiment, with a higher fence than any before. Raises LeaseHeld.

    above: the fence that the target carries; a warehouse that was replaced knows none.
    waited_for: the end of a lease that was seen LEASE ago. If it is still the same, its holder is
        gone whatever the clock says: one that lives renews it.
    """
    now = datetime.now(UTC)
    name = f"process {os.getpid()} on {socket.gethostname()} ({secrets.token_hex(3)})"
    with open_writer(warehouse) as con, transaction(con):
        fence, holder, until = _holder(con, experiment)
        if until > now and until != waited_for:
            raise LeaseHeld(experiment, holder, until)
        lease = Lease(experiment, name, max(fence, above) + 1)
        _write(con, lease, now + LEASE)
    return lease


def _holder(con: Connection, experiment: str) -> tuple[int, str, datetime]:
    row = run(con, "aggregate/delivery_lease", experiment=experiment).fetchone()
    return row or (0, "nobody", datetime.fromtimestamp(0, UTC))


def _write(con: Connection, lease: Lease, until: datetime) -> None:
    run(
        con,
        "load/delivery_lease",
        experiment=lease.experiment,
        fence=lease.fence,
        holder=lease.holder,
        until=until,
    )
