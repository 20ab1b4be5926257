"""What a run and a gate cost when everything is new, when one thing is, and when nothing is.

`python -m benchmarks.news [--experiments 1000] [--users 100] [--quick]`. Every figure is of whole
processes (`verdict run`, `verdict gate`), in CPU seconds. First: so many experiments, each with
files of its own, then the same users in one file of all. Then the gate, whose floor is the imports
that it can't do without. --quick takes 40 experiments. Writes benchmarks/RESULTS.md.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import duckdb

from benchmarks.processes import IMPORTS, Cost, goal_of, program, verdict
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
_EXPERIMENTS_OF_GOALS = 1000
_AT = "2026-11-01T00:00:00Z"


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiments", type=int, default=1000)
    parser.add_argument("--users", type=int, default=100)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    experiments = 40 if options.quick else options.experiments
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        many, gate = _many(root, experiments, options.users), _gate(root / "own")
    write_results(many, at_size_of_goals=experiments >= _EXPERIMENTS_OF_GOALS)
    write_results([gate])


def _many(root: Path, experiments: int, users: int) -> list[Figure]:
    own, shared = root / "own", root / "shared"
    for each in (own, shared):
        make_project(each, experiments, users, is_shared=each == shared)
    time.sleep(3)  # files that changed just now are never trusted
    new, again = _run(own), _run(own)
    spec = own / "experiments" / "exp-0000.yaml"
    spec.write_text(spec.read_text().replace("margin: 5%", "margin: 6%"))
    one = _run(own)
    together = _run(shared)
    n = f"{experiments:,} experiments"
    return [
        goal_of(f"{n}: everything new, each", new.cpu_s / experiments, 0.25),
        Figure(f"{n}: nothing new, each", again.cpu_s / experiments, "s", "0.02 s"),
        Figure(f"{n}: one spec is new", one.cpu_s, "s", "", again.cpu_s, "nothing new"),
        Figure(f"{n} in one file", together.cpu_s, "s", "1.2", new.cpu_s, "a file each"),
    ]


def _gate(root: Path) -> Figure:
    gate = min(verdict(root, "gate", "exp-0001", "--at", _AT).cpu_s for _ in range(5))
    floor = min(program(IMPORTS).cpu_s for _ in range(5))
    return Figure("gate, cold, nothing new", gate, "s", "2", floor, IMPORTS)


def make_project(root: Path, experiments: int, users: int, *, is_shared: bool) -> None:
    """So many experiments with so many users each, in files of their own or in one of all."""
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
    return verdict(root, "run", "--at", _AT)


if __name__ == "__main__":
    main()
