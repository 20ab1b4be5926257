"""`verdict analyze`: every answer to sums that another warehouse has aggregated."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from flows.cli.arguments import Commands, command, number_within
from flows.cli.lines import say

if TYPE_CHECKING:
    from flows.aggregates.further_answers import NegligibleDifference

# Boundaries of more looks take long, and say what an answer for any number of looks says.
_MOST_LOOKS = 100


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
        metavar="USERS",
        help="users of two variants at which the anytime intervals are tightest (default: as many "
        "as the rows plan, or as come in --days at the rate of their first look; else 5000)",
    )
    analyze.add_argument(
        "--days",
        type=number_within(0.01, 1e5),
        default=14.0,
        help="the plan's length, for rows with as_of (default: 14)",
    )
    analyze.add_argument(
        "--prior-sd",
        type=number_within(1e-6, 1e6),
        default=0.1,
        help="standard deviation of true relative effects (default: 0.1)",
    )
    analyze.add_argument(
        "--margin",
        type=_margin,
        action="append",
        default=[],
        metavar="[METRIC=]SIZE",
        help="a difference that doesn't matter, as 0.01 or 2%% of the baseline: "
        "non-inferiority and equivalence; may be repeated",
    )
    analyze.add_argument(
        "--weight",
        type=_weight,
        action="append",
        default=[],
        metavar="METRIC=WEIGHT",
        help="a metric's part of alpha among the others' (default: 1); may be repeated",
    )
    analyze.add_argument(
        "--look", type=_look, metavar="K/N", help="this is look K of N planned ones (Lan, DeMets)"
    )
    analyze.add_argument("--all", action="store_true", help="print every method's answer")
    analyze.add_argument("--json", action="store_true", help="print every answer as JSON")


def _analyze(options: argparse.Namespace) -> int:
    from analysis.scorecard.bayes import NormalPrior  # noqa: PLC0415
    from flows.aggregates.analyze import analyze  # noqa: PLC0415
    from flows.aggregates.further_answers import Asked  # noqa: PLC0415
    from flows.aggregates.looks import Tuning, series_key  # noqa: PLC0415
    from flows.cli.analyze_tables import sentence, show, show_all  # noqa: PLC0415
    from flows.ingest.sources.aggregate_rows import read_aggregates  # noqa: PLC0415

    document = analyze(
        read_aggregates(options.file),
        options.file,
        baseline=options.baseline,
        alpha=options.alpha,
        tuning=Tuning(options.tightest_at, options.days),
        prior=NormalPrior(0.0, options.prior_sd),
        asked=Asked(dict(options.margin), dict(options.weight), options.look),
    )
    if options.json:
        print(document.to_json(), end="")
        return 0
    show(document)
    if options.all:
        show_all(document)
    over_looks = {series_key(dict(each)): each for each in document.over_looks}
    for row in document.rows:
        say(sentence(row, over_looks.get(series_key(dict(row)))), indent="  ")
    return 0


def _margin(text: str) -> tuple[str, NegligibleDifference]:
    """NAME=SIZE, or SIZE for every metric; the size is a number, or a percentage."""
    from flows.aggregates.further_answers import NegligibleDifference  # noqa: PLC0415

    name, _, size = text.rpartition("=")
    relative = size.endswith("%")
    value = number_within(1e-60, 1e60)(size.removesuffix("%"))
    return name, NegligibleDifference(value / 100 if relative else value, relative)


def _weight(text: str) -> tuple[str, float]:
    """NAME=WEIGHT."""
    name, _, weight = text.rpartition("=")
    if not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not a weight; write METRIC=2")
    return name, number_within(1e-6, 1e6)(weight)


def _look(text: str) -> tuple[int, int]:
    """K/N: which look of how many."""
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    look, looks = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= look <= looks <= _MOST_LOOKS:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a look; write 3/5 for the third of five (at most {_MOST_LOOKS})"
        )
    return look, looks
