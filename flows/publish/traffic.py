"""Requests by variant in parts of plans, of many experiments at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from flows.warehouse.statements import Connection, run


@dataclass(frozen=True, slots=True)
class TrafficSpan:
    """A part of an experiment's plan, by the starts of its buckets; until is not in it."""

    experiment: str
    since: datetime
    until: datetime


def requests_in(con: Connection, spans: Sequence[TrafficSpan]) -> list[dict[str, float]]:
    """Of each span the requests by variant, those that no variant is known of among them."""
    asked = {
        "experiments": [span.experiment for span in spans],
        "since": [span.since for span in spans],
        "until": [span.until for span in spans],
    }
    found: list[dict[str, float]] = [{} for _ in spans]
    for part, variant, requests in run(con, "aggregate/exported_traffic", **asked).fetchall():
        found[part - 1][variant] = float(requests)
    return found
