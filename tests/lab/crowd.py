"""The users of an A/B test, and the files that say what they saw and did."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tests.lab.http_client import encode_request
from tests.lab.load_plan import Crowd

_OK = range(200, 300)


class _Timetable(Protocol):
    @property
    def now_s(self) -> float: ...
    def at(self, when_s: float, action: Callable[[], None]) -> None: ...


class _Sender(Protocol):
    """What a crowd needs of the generator."""

    @property
    def schedule(self) -> _Timetable: ...
    @property
    def random(self) -> random.Random: ...
    def send(self, host: str, request: bytes, answered: Callable[[int, str], None]) -> None: ...


@dataclass(frozen=True, slots=True)
class Exposure:
    """A visit that a variant answered."""

    experiment: str
    user_id: str
    variant: str
    exposed_us: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """A completion that was answered with success."""

    user_id: str
    outcome: str
    occurred_us: int
    value: float


class CrowdRun:
    """One crowd during one session."""

    def __init__(self, crowd: Crowd, sender: _Sender) -> None:
        """Nobody comes yet."""
        self._crowd = crowd
        self._sender = sender
        self._seen: set[str] = set()
        self.exposures: list[Exposure] = []
        self.outcomes: list[Outcome] = []

    def start(self, seconds: float) -> None:
        """Schedules everybody's visits: arrivals fill the first four fifths of the session."""
        dice = self._sender.random
        for number in range(self._crowd.users):
            user_id = f"{self._crowd.experiment}-{number:05d}"
            when_s = dice.uniform(0, 0.8 * seconds)
            self._visit_at(when_s, user_id)
            while dice.random() > 1 / self._crowd.visits:
                when_s += dice.expovariate(1.0) * 0.1 * seconds
                self._visit_at(when_s, user_id)

    def _visit_at(self, when_s: float, user_id: str) -> None:
        def seen(status: int, variant: str) -> None:
            if status in _OK:
                self._was_exposed(user_id, variant)

        self._sender.schedule.at(when_s, lambda: self._send("GET", self._crowd.path, user_id, seen))

    def _send(
        self, method: str, path: str, user_id: str, answered: Callable[[int, str], None]
    ) -> None:
        headers = {"x-user-id": user_id, **self._crowd.headers}
        request = encode_request(method, path, self._crowd.host, headers)
        self._sender.send(self._crowd.host, request, answered)

    def _was_exposed(self, user_id: str, variant: str) -> None:
        """Writes it down; the first time, the user decides whether to complete."""
        self.exposures.append(Exposure(self._crowd.experiment, user_id, variant, _now_us()))
        if user_id in self._seen:
            return
        self._seen.add(user_id)
        dice = self._sender.random
        if dice.random() < self._crowd.conversion.get(variant, 0.0):
            when_s = (
                self._sender.schedule.now_s + dice.uniform(0.1, 1.0) * self._crowd.complete_within_s
            )
            self._sender.schedule.at(when_s, lambda: self._complete(user_id))

    def _complete(self, user_id: str) -> None:
        def completed(status: int, variant: str) -> None:
            del variant
            if status in _OK:
                value = round(self._sender.random.lognormvariate(4.0, 0.5), 2)
                self.outcomes.append(Outcome(user_id, self._crowd.outcome, _now_us(), value))

        self._send("POST", self._crowd.complete_path, user_id, completed)


def _now_us() -> int:
    return time.time_ns() // 1000


def write_parquet(folder: Path, crowds: Sequence[CrowdRun]) -> None:
    """exposures.parquet and outcomes.parquet, in the order of time."""
    import pyarrow as pa  # noqa: PLC0415 - slow to import, and only needed at the end
    import pyarrow.parquet as pq  # noqa: PLC0415

    instant = pa.timestamp("us", tz="UTC")
    exposures = sorted((one for c in crowds for one in c.exposures), key=lambda e: e.exposed_us)
    outcomes = sorted((one for c in crowds for one in c.outcomes), key=lambda o: o.occurred_us)
    tables: dict[str, Any] = {
        "exposures": {
            "experiment": pa.array([one.experiment for one in exposures], pa.string()),
            "user_id": pa.array([one.user_id for one in exposures], pa.string()),
            "variant": pa.array([one.variant for one in exposures], pa.string()),
            "exposed_at": pa.array([one.exposed_us for one in exposures], instant),
        },
        "outcomes": {
            "user_id": pa.array([one.user_id for one in outcomes], pa.string()),
            "outcome": pa.array([one.outcome for one in outcomes], pa.string()),
            "occurred_at": pa.array([one.occurred_us for one in outcomes], instant),
            "value": pa.array([one.value for one in outcomes], pa.float64()),
        },
    }
    for name, columns in tables.items():
        pq.write_table(pa.table(columns), folder / f"{name}.parquet", compression="zstd")
