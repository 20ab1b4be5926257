"""`verdict analyze`: every answer to sums that another warehouse has aggregated."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

from flows.commands.parser import Commands, command, number_within

if TYPE_CHECKING:
    from flows.scorecard_document import Interval, ScorecardDocument, ScorecardRow


def add(commands: Commands) -> None:
    """Adds the command."""
    analyze = command(
        commands, "analyze", _analyze, "judge sums (Parquet, CSV, JSON) from another warehouse"
    )
    analyze.add_argument("file", type=Path, help="its rows: see `verdict schema --aggregates`")
    analyze.add_argument("--baseline", help="the control; default: each metric's first variant")
    analyze.add_argument(
        "--alpha", type=number_within(1e-12, 0.999), default=0.05, help="default: 0.05"
    )
    analyze.add_argument(
        "--tightest-at",
        type=number_within(2, 1e15),
        default=5000.0,
        metavar="USERS",
        help="users at which the anytime intervals are tightest (default: 5000)",
    )
    analyze.add_argument(
        "--prior-sd",
        type=number_within(1e-6, 1e6),
        default=0.1,
        help="standard deviation of true relative effects (default: 0.1)",
    )
    analyze.add_argument("--json", action="store_true", help="print every answer as JSON")


def _analyze(options: argparse.Namespace) -> int:
    from analysis.bayes import NormalPrior  # noqa: PLC0415
    from flows.aggregate_file import read_aggregates  # noqa: PLC0415
    from flows.analyze import analyze  # noqa: PLC0415

    document = analyze(
        read_aggregates(options.file),
        options.file,
        baseline=options.baseline,
        alpha=options.alpha,
        n_opt=options.tightest_at,
        prior=NormalPrior(0.0, options.prior_sd),
    )
    if options.json:
        print(document.to_json(), end="")
    else:
        _show(document)
    return 0


def _show(document: ScorecardDocument) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    level = f"{1 - document.alpha:.0%}"
    table = Table(title="candidate against baseline, relative", title_justify="left")
    for heading in ("metric", "lift", f"{level} at one look", f"{level} at all looks", "wins"):
        table.add_column(heading, overflow="fold")
    for row in document.rows:
        table.add_row(*_cells(row))
    Console().print(table)
    print("wins: chance that the candidate is larger; *: found by e-BH, however often one looks")
    for limit in document.limits:
        print(limit)
    for row in document.rows:
        for line in _remarks(row):
            print(line)


def _cells(row: ScorecardRow) -> list[str]:
    name = " / ".join(p for p in (row.metric, row.segment) if p)
    return [
        f"{row.experiment}\n{name}: {row.candidate}",
        f"{_percent(row.relative)}\nof {row.estimate_baseline:.4g}",
        f"{_range(row.fixed)}\np = {row.p_value:.2g}",
        f"{_range(row.anytime)}\np = {row.anytime_p:.2g}" + (" *" if row.discovery else ""),
        f"{(row.share_posterior or row.posterior).chance_to_win:.1%}",
    ]


def _range(interval: Interval) -> str:
    ends = (interval.relative_lower, interval.relative_upper)
    if all(math.isinf(end) for end in ends):
        return "unbounded"
    return f"{_percent(ends[0])} to {_percent(ends[1])}"


def _percent(value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:+.2%}" if math.isfinite(value) else ("-∞" if value < 0 else "∞")


def _remarks(row: ScorecardRow) -> list[str]:
    """What the table doesn't say."""
    name = f"{row.metric}, {row.candidate}"
    found = []
    if row.split_log_e > math.log(1000):
        found.append(
            f"{name}: users are not divided as configured (p = {row.split_p:.1g}); "
            "the versions can't be compared"
        )
    if row.variance_removed is not None:
        found.append(
            f"{name}: the adjustment takes {row.variance_removed:.0%} of the variance away"
        )
    return found
