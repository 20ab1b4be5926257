"""`make chaos`: every fault, many times; prints what became of the data. Ends with 1 if amiss.

What is done is noted in build/chaos.jsonl; with --resume a run that was broken off goes on there.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

from tests.chaos.controllers import CLOCKS, hold_warehouse, make_mistakes, set_clock
from tests.chaos.full_disk import fill_often
from tests.chaos.jobs import of_data, of_deliveries
from tests.chaos.kills import kill_often
from tests.chaos.planted_secrets import plant_secrets
from tests.chaos.schedulers import two_schedulers
from tests.chaos.serving import kill_serving
from tests.chaos.silence import stay_silent
from tests.chaos.sources import fail_while_delivering, kill_postgres, wait_while_delivering
from tests.chaos.tally import Tally, table
from tests.places import REPOSITORY
from tests.servers.faulty_source import SLOW_WIRES, WIRES

_DONE = REPOSITORY / "build" / "chaos.jsonl"
_DEMO = ("quiz-format", "exam-service-canary")
# Of 200 kills: the longest job has the most instants.
_PARTS = {
    "first creation": 0.1,
    "pull": 0.2,
    "run": 0.25,
    "publish": 0.1,
    "deliver (Envoy)": 0.125,
    "deliver (git)": 0.125,
    "serve": 0.1,
}

Try = Callable[[Path, random.Random], Tally]


def _tries(kills: int, disks: int) -> dict[str, Try]:
    found: dict[str, Try] = {}
    found["postgres"] = lambda at, rng: kill_postgres(10, at, rng, users=100_000)
    found["source"] = lambda at, _: fail_while_delivering(at, WIRES, answers=True)
    found["slow source"] = lambda at, _: wait_while_delivering(at, SLOW_WIRES)
    found["clock"] = lambda at, _: set_clock(at, CLOCKS)
    found["held"] = lambda at, _: hold_warehouse(at, seconds=150)
    found["mistakes"] = lambda at, _: make_mistakes(at)
    found["secrets"] = lambda at, _: plant_secrets(at, every=1)
    found["silence"] = stay_silent
    found["schedulers"] = lambda at, _: two_schedulers(at)
    for job in [*of_data(*_DEMO), *of_deliveries()]:
        number = round(_PARTS[job.name] * kills)
        found[job.name] = partial(kill_often, job, number)
    serve = round(_PARTS["serve"] * kills)
    found["serve"] = partial(kill_serving, serve)
    for job in [*of_data(*_DEMO), *of_deliveries()]:
        found[f"full disk: {job.name}"] = partial(fill_often, job, disks)
    return found


def _main() -> int:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--disks", type=int, default=32, help="at most so many for each job")
    parser.add_argument("--only", default="", help="part of a fault's name")
    parser.add_argument("--resume", action="store_true", help="after a run that was broken off")
    options = parser.parse_args()
    _own_mounts()
    done = _done() if options.resume else {}
    _DONE.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder, _DONE.open("w") as log:
        for name, attempt in _tries(options.kills, options.disks).items():
            if options.only not in name:
                continue
            began = time.monotonic()
            if name not in done:
                place = Path(folder) / name.replace(" ", "-").replace(":", "")
                place.mkdir()
                done[name] = _tried(name, attempt, place, random.Random(f"{name} {options.seed}"))
                took = f"{time.monotonic() - began:.0f} s"
                print(table([done[name]]).splitlines()[1], took, file=sys.stderr, flush=True)
            print(json.dumps({name: asdict(done[name])}), file=log, flush=True)
    print(table(list(done.values())), flush=True)
    return 0 if all(tally.is_clean for tally in done.values()) else 1


def _tried(name: str, attempt: Try, place: Path, rng: random.Random) -> Tally:
    """What became of it; a mistake of the harness ends this part, and no other."""
    try:
        return attempt(place, rng)
    except Exception:  # noqa: BLE001 - it is counted, and said at the end
        tally = Tally(name)
        tally.fail("other", f"broken off: {traceback.format_exc()[-1500:]}")
        return tally


def _done() -> dict[str, Tally]:
    """What a run that was broken off has tried."""
    lines = _DONE.read_text().splitlines() if _DONE.exists() else []
    return {name: Tally(**kept) for line in lines for name, kept in json.loads(line).items()}


def _own_mounts() -> None:
    """What is mounted from now on ends with this process, however that ends."""
    libc, new_mounts = ctypes.CDLL(None), 0x20000
    if os.geteuid() == 0 and libc.unshare(new_mounts) == 0:
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)


if __name__ == "__main__":
    # Threads that are still silent somewhere are waited for by nobody.
    os._exit(_main())
