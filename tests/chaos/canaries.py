"""A real controller with a canary at 5 %, and what must be so whatever happens to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from flows.workspace.paths import Workspace
from tests.builders.delivery_workspace import canary_share, live_workspace
from tests.chaos.commands import Command, Running, start
from tests.chaos.tally import Tally
from tests.places import PATIENCE_S, at_load
from tests.servers.faulty_source import FaultyProxy, faulty_proxy
from tests.servers.live_counters import LiveCounters, live_counters

_MOST_MB = 1024
KEPT = "nothing is shifted: "
_LOOKS = ("hold; ", "invalid; ")


@dataclass(frozen=True, slots=True)
class Canary:
    """A delivery that runs, the server of its counters, and the proxy between them."""

    running: Running
    workspace: Workspace
    counters: LiveCounters
    proxy: FaultyProxy
    tally: Tally

    def keeps(self, fault: str, says: tuple[str, ...] = (KEPT,)) -> None:
        """The controller says how things are from now on, keeps the split, and stays small."""
        before = len(self.running.output)
        self.tally.tried += 1
        self.awaits(fault, lambda said: any(words in said[before:] for words in says))
        if not self.running.process.is_alive():
            said = self.running.output[-500:]
            self.tally.fail("other", f"{fault}: the controller has ended: {said}")
        elif (peak := self.running.peak_mb) > _MOST_MB:
            self.tally.fail("other", f"{fault}: {peak:.0f} MB")
        if (share := canary_share(self.workspace)) != 5:
            self.tally.fail("other", f"{fault}: the canary has {share} %")

    def looks_again(self, after: str) -> None:
        """The next look is as good as any."""
        self.keeps(f"after {after}", _LOOKS)

    def goes_back(self) -> None:
        """Harm begins: all traffic goes to the baseline, and the controller ends with 1."""
        self.counters.fail()
        ended = self.running.wait(at_load(PATIENCE_S))
        if ended is None:
            self.tally.fail("hangs", f"harm is not rolled back: {self.running.output[-500:]}")
        elif (found := (ended.code, canary_share(self.workspace))) != (1, 0):
            self.tally.fail("other", f"harm ends with {found}: {ended.output[-500:]}")

    def awaits(self, what: str, is_so: Callable[[str], bool]) -> None:
        """Waits until the output is so."""
        deadline = time.monotonic() + at_load(PATIENCE_S)
        while not is_so(self.running.output):
            if time.monotonic() > deadline or not self.running.process.is_alive():
                said = self.running.output[-500:]
                self.tally.fail("hangs", f"{what}: nothing is said: {said}")
                return
            time.sleep(0.05)


@contextmanager
def delivering(
    root: Path,
    tally: Tally,
    *,
    process: Callable[[Path, tuple[str, ...]], Callable[[], int]] = Command,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Canary]:
    """A canary that has its 5 %. process: what runs the command."""
    with ExitStack() as stack:
        counters = stack.enter_context(live_counters())
        proxy = stack.enter_context(faulty_proxy(counters.url))
        root.mkdir(parents=True)
        workspace = live_workspace(root, proxy.url)
        running = start(root, process(root, ("deliver", "exam")), environment=environment)
        stack.callback(running.kill)
        canary = Canary(running, workspace, counters, proxy, tally)
        canary.awaits("the first shift", lambda said: "stable 95, canary 5" in said)
        yield canary
