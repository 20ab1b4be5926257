"""Every harm in every mesh, histogram, format, table and circumstance: is any of them promoted?

    python -m benchmarks.harm_matrix [SEEDS [PROCESSES]]

Each cell is one experiment, pulled and judged at its plan's end by the code that a gate runs.
Printed are the size of the matrix, the decisions with and without harm, and each cell that is
wrong: a harm (or a candidate of which nothing is known) that is promoted, a healthy one that is
rolled back, and a healthy one that is held without a reason. Cells in SQL have a real PostgreSQL.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from tests.builders import harm_traffic, harm_users
from tests.builders.empty_warehouse import lay_out
from tests.builders.harm_traffic import TrafficCell
from tests.builders.harm_users import UserCell
from tests.servers import postgres_server

# Over 2,000 cells; of users three times as many seeds, as they cost a third.
_SEEDS = 1
_TOLD = 250  # cells between two lines on how far it is


def main(seeds: int, processes: int) -> None:
    """Prints what is wrong as it is found, then the counts; exits with 1 if anything is."""
    cells = [*harm_users.cells(3 * seeds), *harm_traffic.cells(seeds)]
    decisions: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    causes, wrong = Counter[str](), 0
    with postgres_server.running() as server, ProcessPoolExecutor(processes) as pool:
        for cell, decision, reason in pool.map(partial(judge, dsn=server.dsn), cells, chunksize=4):
            decisions[is_harmful(cell)][decision] += 1
            if not (judged := decisions[True].total() + decisions[False].total()) % _TOLD:
                print(f"{judged} of {len(cells)} cells judged", file=sys.stderr, flush=True)
            if decision != "promote" and not is_harmful(cell):
                causes[f"{decision}: {_condition(cell)}"] += 1
            if (problem := fault_of(cell, decision, reason)) is not None:
                wrong += 1
                print(f"{cell}: {problem}", flush=True)
    print(f"{len(cells)} cells, {sum(decisions[True].values())} of them harmful or unknowable")
    print(f"harm or nothing known: {_counted(decisions[True])}")
    print(f"healthy:               {_counted(decisions[False])}")
    print(f"healthy, not promoted: {_counted(causes) or 'none'}")
    print(f"{wrong} cells are wrong" if wrong else "no cell is wrong")
    sys.exit(bool(wrong))


def judge(cell: TrafficCell | UserCell, dsn: str = "") -> tuple[TrafficCell | UserCell, str, str]:
    """The cell, its decision, and the first reason; dsn: of a server, for cells in SQL."""
    with tempfile.TemporaryDirectory() as folder:
        lay_out(Path(folder) / "warehouse.duckdb")
        if isinstance(cell, TrafficCell):
            document = harm_traffic.verdict_of(cell, Path(folder))
        else:
            document = harm_users.verdict_of(cell, Path(folder), dsn)
    return cell, document.decision.value, next(iter(document.reasons), "")


def is_harmful(cell: TrafficCell | UserCell) -> bool:
    """Whether a promote would be wrong: harm, or nothing that says there is none."""
    if isinstance(cell, TrafficCell):
        return cell.harm != "none" or cell.condition == "empty"
    return cell.is_harmed or cell.condition in harm_users.UNKNOWABLE


def fault_of(cell: TrafficCell | UserCell, decision: str, reason: str) -> str | None:
    """What is wrong with the decision, if anything is."""
    if is_harmful(cell):
        return "promoted" if decision == "promote" else None
    if decision == "rollback":
        return f"healthy, rolled back: {reason}"
    return f"{decision} without a reason" if decision != "promote" and not reason else None


def _condition(cell: TrafficCell | UserCell) -> str:
    where = cell.mesh if isinstance(cell, TrafficCell) else cell.table
    return f"{where} {cell.condition}"


def _counted(found: Counter[str]) -> str:
    return ", ".join(f"{decision} {count}" for decision, count in sorted(found.items()))


if __name__ == "__main__":
    seeds, processes = [*sys.argv[1:], *(str(_SEEDS), "2")[len(sys.argv) - 1 :]][:2]
    main(int(seeds), int(processes))
