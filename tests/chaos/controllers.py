"""What happens to a controller itself: its clock, its warehouse, its own mistakes."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from unittest.mock import patch

from flows.warehouse.connection import open_writer
from flows.workspace.paths import Workspace
from tests.chaos.canaries import Canary, delivering
from tests.chaos.commands import Command, start
from tests.chaos.tally import Tally

# Clocks


class _OffType(type):
    def __instancecheck__(cls, one: object) -> bool:
        return isinstance(one, datetime)


class _Off(datetime, metaclass=_OffType):
    """The wall's time as a machine tells it whose clock was set."""

    by: Path

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        """Off by the seconds that the file has."""
        return datetime.now(tz) + timedelta(seconds=float(cls.by.read_text()))


@dataclass(frozen=True, slots=True)
class WithClock:
    """`verdict` on a machine whose clock can be set: the file `offset` has the seconds."""

    root: Path
    arguments: Sequence[str]

    def __call__(self) -> int:
        """Its exit code."""
        _Off.by = self.root / "offset"
        _Off.by.write_text("0")
        for name, module in list(sys.modules.items()):
            if name.startswith("flows.") and getattr(module, "datetime", None) is datetime:
                patch.object(module, "datetime", _Off).start()
        return Command(self.root, self.arguments)()


CLOCKS = {"an hour back": -3600, "a day back": -86400, "five minutes ahead": 300}


def set_clock(folder: Path, clocks: Mapping[str, int]) -> Tally:
    """A machine's clock is set while a canary has 5 %; then harm begins."""
    tally = Tally("clock of a controller")
    for name, seconds in clocks.items():
        root = folder / name.replace(" ", "-")
        with delivering(root, tally, process=WithClock) as canary:
            canary.looks_again("the begin")
            part = root / "offset.part"
            part.write_text(str(seconds))
            part.rename(part.with_suffix(""))
            canary.looks_again(f"a clock {name}")
            canary.looks_again(f"a clock {name}, once more")
            canary.goes_back()
            tally.hear(canary.running.output, f"a clock {name}")
    return tally


# The warehouse


@dataclass(frozen=True, slots=True)
class _Holding:
    """Somebody has the warehouse and does not let go."""

    root: Path

    def __call__(self) -> int:
        with open_writer(Workspace(self.root).warehouse, wait_s=300):
            print("held", flush=True)
            time.sleep(3600)
        return 0


def hold_warehouse(folder: Path, *, seconds: float) -> Tally:
    """Another process has the warehouse during a pause, for minutes; then harm begins."""
    tally = Tally("warehouse held in a pause")
    with delivering(folder / "live", tally) as canary:
        canary.looks_again("the begin")
        other = folder / "other"
        other.mkdir()
        holder = start(other, _Holding(canary.workspace.root))
        while "held" not in holder.output and holder.process.is_alive():
            time.sleep(0.05)
        until = time.monotonic() + seconds
        canary.keeps("a warehouse that is held")
        time.sleep(max(0.0, until - time.monotonic()))
        holder.kill()
        canary.looks_again("a warehouse that was held")
        canary.goes_back()
        tally.hear(canary.running.output, "a warehouse that is held")
    return tally


# What nobody thought of


class Panic(BaseException):
    """As libraries in Rust raise: no Exception."""


ERRORS = {
    "KeyError": KeyError("chaos"),
    "RecursionError": RecursionError("chaos"),
    "MemoryError": MemoryError("chaos"),
    "OSError": OSError(5, "chaos"),
    "SystemExit": SystemExit(1),
    "Panic": Panic("chaos"),
}
PLACES = {
    "the pull": "flows.delivery.step.pull_if_behind",
    "the look": "flows.delivery.step.score_with_notes",
    "the decision": "flows.delivery.step.move_after",
    "the split": "flows.delivery.targets.envoy_routes.EnvoyRoutes.read",
}


@dataclass(frozen=True, slots=True)
class Mistaken:
    """`verdict` with mistakes: the file `mistake` names the place and the error."""

    root: Path
    arguments: Sequence[str]

    def __call__(self) -> int:
        """Its exit code."""
        for place, path in PLACES.items():
            module, _, name = path.rpartition(".")
            self._break(place, path, module, name)
        return Command(self.root, self.arguments)()

    def _break(self, place: str, path: str, module: str, name: str) -> None:
        from pkgutil import resolve_name  # noqa: PLC0415

        works = resolve_name(path)

        def mistaken(*arguments: object, **more: object) -> object:
            mistake = self.root / "mistake"
            if mistake.exists() and (words := mistake.read_text().split(": "))[0] == place:
                raise ERRORS[words[1]]
            return works(*arguments, **more)

        patch.object(resolve_name(module), name, mistaken).start()


def make_mistakes(folder: Path) -> Tally:
    """Errors that nobody thought of, in each place of a look; then harm begins."""
    tally = Tally("mistakes in a look")
    with delivering(folder / "live", tally, process=Mistaken) as canary:
        for place in PLACES:
            for error in ERRORS:
                _mistake(canary, place, error)
        canary.looks_again("all mistakes")
        canary.goes_back()
    return tally


def _mistake(canary: Canary, place: str, error: str) -> None:
    part = canary.workspace.root / "mistake.part"
    part.write_text(f"{place}: {error}")
    part.rename(part.with_suffix(""))
    canary.keeps(f"{error} in {place}", (f"nothing is shifted: {error}: ",))
    part.with_suffix("").unlink()
