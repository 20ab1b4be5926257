"""The load generator, open loop: requests leave at their time, however slow the answers are.

`python -m tests.lab.load PLAN_JSON_FILE`. SIGTERM ends it early, with its results written.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import json
import random
import signal
import sys
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

from tests.lab.crowd import CrowdRun, write_parquet
from tests.lab.http_client import HttpClient, encode_request
from tests.lab.load_plan import LoadPlan, Profile

_PATIENCE_S = 20.0
_TIERS = ("premium", "standard", "standard")
_COUNTRIES = ("PH", "PH", "ID", "VN", "US")


class Schedule:
    """Calls functions at their times, in seconds since the start."""

    def __init__(self) -> None:
        """Starts the clock."""
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._started = time.monotonic()
        self.late_ms: list[float] = []

    @property
    def now_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def at(self, when_s: float, action: Callable[[], None]) -> None:
        """Calls the action at that time, or at once if it has passed."""
        heapq.heappush(self._due, (when_s, next(self._order), action))

    async def run(self, *, until_s: float, stopped: asyncio.Event) -> None:
        """Calls what is due, until the end; what is due later never happens."""
        while not stopped.is_set() and self.now_s < until_s:
            while self._due and self._due[0][0] <= min(self.now_s, until_s):
                when_s, _, action = heapq.heappop(self._due)
                self.late_ms.append((self.now_s - when_s) * 1000)
                action()
            next_s = self._due[0][0] if self._due else until_s
            await asyncio.sleep(min(max(next_s - self.now_s, 0.001), 0.05))


class Load:
    """One run: profiles and crowds against Envoy."""

    def __init__(self, plan: LoadPlan) -> None:
        """Sends nothing yet."""
        self.plan = plan
        self.schedule = Schedule()
        self.client = HttpClient("127.0.0.1", plan.port)
        self.random = random.Random(plan.seed)
        self.answers: dict[str, Counter[str]] = defaultdict(Counter)
        self.variants: dict[str, Counter[str]] = defaultdict(Counter)
        self.crowds = [CrowdRun(crowd, self) for crowd in plan.crowds]

    def send(self, host: str, request: bytes, answered: Callable[[int, str], None]) -> None:
        """Sends a request to Envoy and counts its answer."""

        def count(status: int, variant: str) -> None:
            self.answers[host][str(status)] += 1
            self.variants[host][variant] += 1
            answered(status, variant)

        self.client.send(request, count)

    def start_profile(self, profile: Profile) -> None:
        """Schedules its first request; each schedules the next."""
        gap_s = 1 / profile.rate
        when_s = 0.0

        def fire() -> None:
            nonlocal when_s
            when_s += self.random.expovariate(1.0) * gap_s
            self.schedule.at(when_s, fire)
            self.send(profile.host, self._random_user(profile), lambda *_: None)

        when_s = self.random.expovariate(1.0) * gap_s
        self.schedule.at(when_s, fire)

    def _random_user(self, profile: Profile) -> bytes:
        number = self.random.randrange(profile.users)
        name = f"{profile.host}-{number}"
        user = {
            "x-user-id": str(uuid.uuid5(uuid.NAMESPACE_DNS, name)) if profile.uuids else name,
            "user-tier": _TIERS[number % len(_TIERS)],
            "x-country-code": _COUNTRIES[number % len(_COUNTRIES)],
        }
        return encode_request(
            profile.method, profile.path, profile.host, user | dict(profile.headers)
        )

    async def run(self) -> None:
        """Sends for as long as planned, waits for the last answers, and writes the results."""
        stopped = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
        for profile in self.plan.profiles:
            self.start_profile(profile)
        for crowd in self.crowds:
            crowd.start(self.plan.seconds)
        await self.schedule.run(until_s=self.plan.seconds, stopped=stopped)
        lasted_s = self.schedule.now_s
        give_up = time.monotonic() + _PATIENCE_S
        while self.client.in_flight and time.monotonic() < give_up:
            await asyncio.sleep(0.02)
        self._write(lasted_s)

    def _write(self, lasted_s: float) -> None:
        folder = Path(self.plan.folder)
        if self.crowds:
            write_parquet(folder, self.crowds)
        late = sorted(self.schedule.late_ms) or [0.0]
        told = {
            "answers": self.answers,
            "variants": self.variants,
            "sent": sum(counter.total() for counter in self.answers.values()),
            "seconds": lasted_s,
            "late_ms_p99": late[int(0.99 * (len(late) - 1))],
        }
        (folder / "result.json").write_text(json.dumps(told))


if __name__ == "__main__":
    asyncio.run(Load(LoadPlan.from_json(Path(sys.argv[1]).read_text())).run())
