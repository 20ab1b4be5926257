"""What an experiment waits for: others that it comes after, until they have been promoted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from flows.spec.experiment import Experiment
from flows.warehouse.delivery_log import DeliveryOutcome, read_delivery
from flows.warehouse.statements import Connection, run


def waits_for(con: Connection, spec: Experiment, at: datetime) -> Iterator[str]:
    """A sentence per experiment of `after` that isn't promoted at a time; none if all are."""
    if not spec.after:
        return
    from analysis.verdict import Decision  # noqa: PLC0415  # slow, and most wait for nothing

    for name in spec.after:
        delivery = read_delivery(con, name, until=at)
        if delivery is not None:
            if delivery.outcome is not DeliveryOutcome.PROMOTED:
                where = f"stage {delivery.stage} of {delivery.stages}"
                yield f"waits for {name}: its delivery is {delivery.outcome or f'at {where}'}"
            continue
        asked = {"experiment": name, "until": at}
        row = run(con, "aggregate/latest_decision", **asked).fetchone()
        if row is None:
            yield f"waits for {name}: it has no verdict yet"
        elif row[0] != Decision.PROMOTE.value:
            yield f"waits for {name}: its verdict of {row[1]:%Y-%m-%d %H:%M} UTC is {row[0]}"
