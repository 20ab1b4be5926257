"""Every harm in every mesh, format and circumstance: is any of them promoted?

    python -m benchmarks.harm_matrix [SEEDS]

Each cell is one experiment, pulled and judged at its plan's end by the code that a gate runs.
Printed are the size of the matrix, the decisions with and without harm, and each cell that is
wrong: a harm (or a candidate of which nothing is known) that is promoted, a healthy one that is
rolled back, and a healthy one that is held without a reason.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.builders import harm_traffic, harm_users
from tests.builders.harm_traffic import TrafficCell
from tests.builders.harm_users import UserCell

# Over 2,000 cells.
_SEEDS = 4


def main(seeds: int) -> None:
    """Prints the counts and what is wrong; exits with 1 if anything is."""
    cells = [*harm_traffic.cells(seeds), *harm_users.cells(seeds)]
    decisions: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    wrong = []
    with ProcessPoolExecutor(2) as pool:
        for cell, decision, reason in pool.map(judge, cells, chunksize=8):
            decisions[is_harmful(cell)][decision] += 1
            if (problem := fault_of(cell, decision, reason)) is not None:
                wrong.append(f"{cell}: {problem}")
    print(f"{len(cells)} cells, {sum(decisions[True].values())} of them harmful or unknowable")
    print(f"harm or nothing known: {_counted(decisions[True])}")
    print(f"healthy:               {_counted(decisions[False])}")
    print("\n".join(wrong) if wrong else "no cell is wrong")
    sys.exit(bool(wrong))


def judge(cell: TrafficCell | UserCell) -> tuple[TrafficCell | UserCell, str, str]:
    """The cell, its decision, and the first reason."""
    with tempfile.TemporaryDirectory() as folder:
        if isinstance(cell, TrafficCell):
            document = harm_traffic.verdict_of(cell, Path(folder))
        else:
            document = harm_users.verdict_of(cell, Path(folder))
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


def _counted(found: Counter[str]) -> str:
    return ", ".join(f"{decision} {count}" for decision, count in sorted(found.items()))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else _SEEDS)
