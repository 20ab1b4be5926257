"""`make chaos`: every fault, many times; prints what became of the data. Ends with 1 if amiss."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.chaos.full_disk import fill_often
from tests.chaos.jobs import of_data, of_deliveries
from tests.chaos.kills import kill_often
from tests.chaos.schedulers import two_schedulers
from tests.chaos.serving import kill_serving
from tests.chaos.sources import fail_while_delivering, kill_postgres
from tests.chaos.tally import Tally, table
from tests.servers.faulty_source import SLOW_WIRES, WIRES

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
    for job in [*of_data(*_DEMO), *of_deliveries()]:
        number = round(_PARTS[job.name] * kills)
        found[job.name] = lambda at, rng, job=job, n=number: kill_often(job, n, at, rng)  # type: ignore[misc]
    serve = round(_PARTS["serve"] * kills)
    found["serve"] = lambda at, rng: kill_serving(serve, at, rng)
    for job in of_data(*_DEMO):
        found[f"full disk: {job.name}"] = lambda at, rng, job=job: fill_often(job, disks, at, rng)  # type: ignore[misc]
    found["postgres"] = lambda at, rng: kill_postgres(10, at, rng, users=100_000)
    wires = {**WIRES, **SLOW_WIRES}
    found["source"] = lambda at, _: fail_while_delivering(at, wires, answers=True)
    found["schedulers"] = lambda at, _: two_schedulers(at)
    return found


def _main() -> int:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--disks", type=int, default=8, help="full disks for each job")
    parser.add_argument("--only", default="", help="part of a fault's name")
    options = parser.parse_args()
    tallies = []
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        for name, attempt in _tries(options.kills, options.disks).items():
            if options.only not in name:
                continue
            began = time.monotonic()
            place = Path(folder) / name.replace(" ", "-").replace(":", "")
            place.mkdir()
            tallies.append(attempt(place, random.Random(f"{name} {options.seed}")))
            took = f"{time.monotonic() - began:.0f} s"
            print(table(tallies[-1:]).splitlines()[1], took, file=sys.stderr, flush=True)
    print(table(tallies))
    return 0 if all(tally.is_clean for tally in tallies) else 1


if __name__ == "__main__":
    sys.exit(_main())
