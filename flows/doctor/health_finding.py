"""What `verdict doctor` finds of one thing that experiments stand on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from flows.formats.problems import UserError
from flows.formats.safe_text import safe_text


class Health(StrEnum):
    """unused: nothing is configured that needs it."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    UNUSED = "unused"


@dataclass(frozen=True, slots=True)
class HealthFinding:
    """One thing: what it is, how it is, what was found, and what to do where that isn't ok."""

    subject: str
    health: Health
    found: str
    remedy: str = ""


Check = Callable[[], Sequence[HealthFinding]]


@dataclass(frozen=True, slots=True)
class RunningCheck:
    """A check in a thread of its own."""

    subject: str
    thread: threading.Thread
    found: list[Sequence[HealthFinding]]

    def findings(self, deadline: float, within_s: float) -> Sequence[HealthFinding]:
        """The check's findings, or one that says why there are none.

        deadline: of time.monotonic, until which to wait; within_s: how long that was, to be said.
        """
        self.thread.join(max(0.0, deadline - time.monotonic()))
        if self.found:
            return self.found[0]
        said = f"no answer within {within_s:g} s"
        remedy = "is it up, and does the network let us through?"
        return [HealthFinding(self.subject, Health.FAIL, said, remedy)]


def begin(subject: str, check: Check) -> RunningCheck:
    """Starts the check; what it raises becomes a finding."""
    found: list[Sequence[HealthFinding]] = []

    def run() -> None:
        try:
            found.append(check())
        except UserError as error:
            found.append([HealthFinding(subject, Health.FAIL, str(error))])
        except Exception as error:  # noqa: BLE001 - a check that fails is a finding
            said = safe_text(f"{type(error).__name__}: {error}")
            found.append([HealthFinding(subject, Health.FAIL, said)])

    # A thread that hangs in a library must not keep the process either.
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return RunningCheck(subject, thread, found)
