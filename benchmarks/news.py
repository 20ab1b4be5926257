"""What a run and a gate cost when everything is new, when one thing is, and when nothing is.

`python -m benchmarks.news [--experiments 1000] [--users 100] [--large 1e6] [--quick]`. Every figure
is of whole processes (`verdict run`, `verdict gate`), in CPU seconds. First: so many experiments,
each with files of its own, then the same users in one file of all. Then one experiment with many
users: the first run, nothing new, the gate. The gate's floor is the imports that it can't do
without.
--quick takes 40 experiments and 1e5 users. Writes benchmarks/RESULTS.md.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import duckdb

from benchmarks.results import Figure, write_results

_SPEC = """experiment: {name}
service: shop
namespace: prod
variants: {{control: {{}}, treatment: {{}}}}
split: {{control: 50, treatment: 50}}
metrics:
  conversion: {{kind: proportion, role: goal, outcome: bought, window: 1d}}
  revenue: {{kind: mean, role: guardrail, outcome: bought, window: 1d, margin: 5%}}
sources:
  exposures: {{files: ../data/exposures{which}.parquet}}
  outcomes: {{files: ../data/outcomes{which}.parquet}}
plan: {{start: 2026-10-01T00:00:00Z, duration: 14d}}
"""
_AT = "2026-11-01T00:00:00Z"
_COMPILED = Path(tempfile.gettempdir()) / "split-verdict-compiled"
_IMPORTS = "import numpy, duckdb, pydantic"


@dataclass(frozen=True, slots=True)
class Cost:
    """Of a process: CPU seconds and the largest memory, in MiB."""

    cpu_s: float
    peak_mib: float


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiments", type=int, default=1000)
    parser.add_argument("--users", type=int, default=100)
    parser.add_argument("--large", type=float, default=1e6)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    experiments = 40 if options.quick else options.experiments
    large = 100_000 if options.quick else int(options.large)
    with tempfile.TemporaryDirectory() as folder:
        figures = [
            *_many(Path(folder, "many"), experiments, options.users),
            *_large(Path(folder, "large"), large),
        ]
    write_results(figures)


def _many(root: Path, experiments: int, users: int) -> list[Figure]:
    own, shared = root / "own", root / "shared"
    for each in (own, shared):
        _project(each, experiments, users, is_shared=each == shared)
    time.sleep(3)  # files that changed just now are never trusted
    new, again = _run(own), _run(own)
    spec = own / "experiments" / "exp-0000.yaml"
    spec.write_text(spec.read_text().replace("margin: 5%", "margin: 6%"))
    one = _run(own)
    together = _run(shared)
    n = f"{experiments:,} experiments"
    return [
        Figure(f"{n}: everything new, each", new.cpu_s / experiments, "s", "0.25 s"),
        Figure(f"{n}: nothing new, each", again.cpu_s / experiments, "s", "0.02 s"),
        Figure(f"{n}: one spec is new", one.cpu_s, "s", "", again.cpu_s, "nothing new"),
        Figure(f"{n} in one file", together.cpu_s, "s", "1.2", new.cpu_s, "a file each"),
    ]


def _large(root: Path, users: int) -> list[Figure]:
    _project(root, 1, users, is_shared=False)
    time.sleep(3)
    whole, again = _run(root), _run(root)
    gates = [_verdict(root, "gate", "exp-0000", "--at", _AT) for _ in range(5)]
    floors = [_measured([sys.executable, "-c", _IMPORTS]) for _ in range(5)]
    gate, floor = (min(each.cpu_s for each in one) for one in (gates, floors))
    small = root.with_name("small")
    _project(small, 1, 100, is_shared=False)
    time.sleep(3)
    _run(small)
    base = min(_verdict(small, "gate", "exp-0000", "--at", _AT).cpu_s for _ in range(5))
    n = f"{users:,} users"
    floored = "pull by hand"
    by_hand = _by_hand(root)
    return [
        Figure(f"{n}: first run", whole.cpu_s, "s", "2.5", by_hand, floored),
        Figure(f"{n}: first run, memory", whole.peak_mib, "MiB", "4096 MiB"),
        Figure(f"{n}: nothing new, run", again.cpu_s, "s", "0.2", whole.cpu_s, "first run"),
        Figure(f"{n}: nothing new, gate", gate, "s", "1.2", base, "gate of 100 users"),
        Figure("gate, cold, nothing new", base, "s", "2", floor, _IMPORTS),
    ]


def _by_hand(root: Path) -> float:
    """One pass of hand-written SQL over the same files, that also writes the users."""
    program = f"""
import duckdb
con = duckdb.connect({str(root / "hand.duckdb")!r})
con.execute('''create table users as select user_id, min(variant) v, min(exposed_at) began
from {str(root / "data/exposures-exp-0000.parquet")!r} group by user_id''')
con.execute('''create table outcomes as from {str(root / "data/outcomes-exp-0000.parquet")!r} ''')
print(con.execute('''select v, cast(began as date), count(*), count(n), sum(y), sum(y * y) from (
select u.v, u.began, o.n, coalesce(o.y, 0) y from users u left join (select user_id, count(*) n,
sum(value) y from outcomes join users using (user_id) where occurred_at between began
and began + interval 1 day group by user_id) o using (user_id)) group by all''').fetchall())
"""
    return _measured([sys.executable, "-c", program]).cpu_s


def _project(root: Path, experiments: int, users: int, *, is_shared: bool) -> None:
    (root / "experiments").mkdir(parents=True)
    (root / "data").mkdir()
    con = duckdb.connect()
    con.execute(
        "create table e as select 'u' || k || '_' || i as user_id, "
        "'exp-' || lpad(k::varchar, 4, '0') as experiment, "
        "['control', 'treatment'][1 + (hash(i, k) % 2)::int] as variant, "
        "timestamptz '2026-10-01 00:00:00+00' + interval 1 second * (i * 864000.0 / ?) "
        "as exposed_at from range(?) a(k), range(?) b(i)",
        [users, experiments, users],
    )
    con.execute(
        "create table o as select user_id, experiment, 'bought' as outcome, "
        "exposed_at + interval 1 hour as occurred_at, "
        "1.0 + hash(user_id, 2) % 1000 / 1000 as value "
        "from e where hash(user_id, 1) % 10 < 3"
    )
    names = [f"exp-{k:04}" for k in range(experiments)]
    for table, kind in (("e", "exposures"), ("o", "outcomes")):
        for name in [""] if is_shared else names:
            file = root / "data" / (f"{kind}-{name}.parquet" if name else f"{kind}.parquet")
            con.execute(f"copy (from {table} where '{name}' in ('', experiment)) to '{file}'")
    for name in names:
        text = _SPEC.format(name=name, which="" if is_shared else f"-{name}")
        (root / "experiments" / f"{name}.yaml").write_text(text)


def _run(root: Path) -> Cost:
    return _verdict(root, "run", "--at", _AT)


def _verdict(root: Path, *arguments: str) -> Cost:
    # A gate that rolls back or holds.
    command = [sys.executable, "-m", "flows.cli", "--root", str(root), *arguments]
    return _measured(command, codes=(0, 1, 3) if arguments[0] == "gate" else (0,))


def _measured(command: list[str], *, codes: tuple[int, ...] = (0,)) -> Cost:
    # With compiled modules, as an installed package has them.
    compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(_COMPILED)}
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **compiled},
    )
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) not in codes:
        raise SystemExit(f"{command} ended with {status}")
    process.returncode = 0
    found: resource.struct_rusage = usage
    return Cost(found.ru_utime + found.ru_stime, found.ru_maxrss / 1024)


if __name__ == "__main__":
    main()
