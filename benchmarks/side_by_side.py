"""How many looks a second a machine takes, by the number of worker processes.

`python -m benchmarks.side_by_side [--experiments 40] [--workers 1 2 4]`. Each number has a project
of its own, in which everything is new. The workers are warm: each has looked once. Wall time, so
that only an idle machine shows the limit; what more workers cost shows on any. Writes
benchmarks/RESULTS.md.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from benchmarks.news import make_project
from benchmarks.results import Figure, write_results
from flows.formats.text import counted
from flows.look.side_by_side import look_apart

_AT = datetime(2026, 11, 1, tzinfo=UTC)


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiments", type=int, default=40)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    options = parser.parse_args()
    rates = {n: _rate(n, options.experiments) for n in options.workers}
    first = rates[options.workers[0]]
    write_results(
        [
            Figure(
                f"looks side by side, {counted(n, 'worker')}",
                rate,
                " a second",
                "",
                first,
                "the first row",
            )
            for n, rate in rates.items()
        ]
    )


def _rate(workers: int, experiments: int) -> float:
    """Looks a second."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2 * workers) as threads:
        root = Path(folder)
        make_project(root, experiments + workers, 100, is_shared=False)
        time.sleep(3)  # files that changed just now are never trusted
        look = partial(look_apart, root, at=_AT, workers=workers)
        names = [f"exp-{k:04}" for k in range(experiments + workers)]
        list(threads.map(look, names[:workers]))
        began = time.monotonic()
        list(threads.map(look, names[workers:]))
        return experiments / (time.monotonic() - began)


if __name__ == "__main__":
    main()
