"""`verdict calibrate`: what the gate of an experiment can see, by its own history."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from analysis.explain.spans import span_s
from flows.cli.arguments import Commands, add_experiment, command, parse_instant, whole_number
from flows.cli.lines import plain_console, say
from flows.formats.text import counted

if TYPE_CHECKING:
    from rich.table import Table

    from analysis.calibration.outcome import Rate
    from flows.calibration.calibration_document import CalibrationDocument
    from flows.calibration.request_history import Period
    from flows.calibration.request_outcomes import HistoryDocument, JudgeOutcome
    from flows.calibration.user_outcomes import UserJudgeOutcome, UserMetricCalibration

_USER_LEGEND = (
    "median, 90 %: when half, and 90 %, of the right decisions had come. verdict: this product. "
    "t-test: Welch's, two-sided, at each look; fixed t-test: once, at the end. Both find any "
    "difference; verdict allows a guardrail its margin."
)


def add(commands: Commands) -> None:
    """Adds the command."""
    calibrate = command(
        commands,
        "calibrate",
        _calibrate,
        "replay an experiment's history with and without an effect: false alarms and detection",
        shows_time=False,
    )
    add_experiment(calibrate)
    calibrate.add_argument(
        "--runs", type=whole_number(1, 100_000), help="of each scenario (default: 500)"
    )
    calibrate.add_argument(
        "--seed", type=whole_number(0), help="another seed, other runs (default: 1)"
    )
    calibrate.add_argument(
        "--history",
        type=_period,
        metavar="START..END",
        help="replay this stretch only (default: all that is known)",
    )
    calibrate.add_argument("--json", action="store_true", help="print every number as JSON")


def _period(text: str) -> Period:
    from flows.calibration.request_history import Period  # noqa: PLC0415

    start, dots, end = text.partition("..")
    if not dots:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time range; write START..END")
    period = Period(parse_instant(start), parse_instant(end))
    if period.start >= period.end:
        raise argparse.ArgumentTypeError(f"{text!r} ends before it begins")
    return period


def _calibrate(options: argparse.Namespace) -> int:
    from flows.calibration.calibrate import DEFAULT_RUNS, DEFAULT_SEED, calibrate  # noqa: PLC0415
    from flows.calibration.request_history import ALL_KNOWN  # noqa: PLC0415
    from flows.workspace.experiments import find_spec  # noqa: PLC0415

    workspace = options.workspace
    _, spec = find_spec(workspace.experiments, options.experiment)
    with _progress(is_quiet=options.quiet) as progress:
        document = calibrate(
            spec,
            workspace.warehouse,
            runs=options.runs or DEFAULT_RUNS,
            seed=DEFAULT_SEED if options.seed is None else options.seed,
            period=options.history or ALL_KNOWN,
            progress=progress,
        )
    if options.json:
        print(document.to_json(), end="")
    else:
        _show(document)
    return 0


@contextmanager
def _progress(*, is_quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error while the block runs; nothing where that is no terminal."""
    from rich.progress import Progress  # noqa: PLC0415

    console = plain_console(stderr=True)
    with Progress(
        console=console, transient=True, disable=is_quiet or not console.is_terminal
    ) as bar:
        task = bar.add_task("replaying", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _show(document: CalibrationDocument) -> None:

    for line in _introduction(document):
        say(line, indent="  ")
    console = plain_console()
    if document.scenarios:
        console.print(_table(document))
        for line in _legend(document):
            say(line)
    for metric in document.users:
        console.print(_user_table(metric))
    if document.users:
        say(_USER_LEGEND)
    for note in document.notes:
        say(f"note: {note}")


def _introduction(document: CalibrationDocument) -> Iterator[str]:
    history, users = document.history, document.user_history
    runs = counted(document.runs, "run")
    if users is not None:
        yield (
            f"{document.experiment}: {users.users:,} users from {users.first:%Y-%m-%d} on, with "
            f"outcomes up to {users.last:%Y-%m-%d}, assigned anew in {runs}"
        )
    if history is not None:
        yield from _requests(document, history)
    for sentence in document.sentences():
        yield f"- {sentence}"


def _requests(document: CalibrationDocument, history: HistoryDocument) -> Iterator[str]:
    runs = counted(document.runs, "run")
    yield (
        f"{document.experiment}: {history.requests:,} requests of {history.variant} in "
        f"{history.buckets} buckets, {history.failed_share:.2%} failed; {runs} "
        f"of {span_s(document.plan_s)} each, {counted(document.looks, 'look')}"
    )
    bursts = ", ".join(f"{name} {size:.2g}" for name, size in history.bursts.items())
    yield f"bad requests come in bursts of about: {bursts}"


def _table(document: CalibrationDocument) -> Table:
    table = _judges_table("", "harm", "rolled back", "promoted")
    for scenario in document.scenarios:
        for row in scenario.judges:
            label = scenario.label if row is scenario.judges[0] else ""
            cells = _cells(row, row.rolled_back, row.promoted)
            table.add_row(label, *cells, end_section=row is scenario.judges[-1])
    return table


def _user_table(metric: UserMetricCalibration) -> Table:
    table = _judges_table(f"{metric.metric}: ", "change", "worse", "better")
    for scenario in metric.scenarios:
        for row in scenario.judges:
            label = f"{scenario.lift:+.1%}" if scenario.lift else "none"
            cells = _cells(row, row.worse, row.better)
            table.add_row(
                label if row is scenario.judges[0] else "",
                *cells,
                end_section=row is scenario.judges[-1],
            )
    return table


def _judges_table(what: str, *headings: str) -> Table:
    """The columns of a row per judge; the first heading is that of the scenario."""
    from rich.table import Table  # noqa: PLC0415

    title = f"{what}percent of runs ± standard error"
    table = Table(title=title, title_justify="left", show_edge=False)
    table.add_column(headings[0], overflow="fold", justify="right" if what else "left")
    table.add_column("judge", no_wrap=True)
    for heading in (*headings[1:], "median", "90 %"):
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _cells(row: JudgeOutcome | UserJudgeOutcome, *shares: Rate) -> list[str]:
    percents = (f"{100 * one.value:.1f} ± {100 * one.standard_error:.1f}" for one in shares)
    return [row.judge.value, *percents, span_s(row.median_s), span_s(row.p90_s)]


def _legend(document: CalibrationDocument) -> Iterator[str]:
    limits = ", ".join(f"{name} {limit:.3g}" for name, limit in document.thresholds.items())
    yield (
        "Harm begins with the plan. median, 90 %: when half, and 90 %, of these rollbacks had "
        "come. verdict: this product; its other runs hold at the end. threshold: over the last "
        f"5 min above {limits}. z-test: z > 1.96 at any look. kayenta: score below 75 at any "
        f"look, on values of {span_s(document.kayenta_value_s)}. These three promote at the end "
        "what never failed."
    )
    if document.looks < document.planned_looks:
        yield (
            f"{document.looks} of {document.planned_looks} planned looks were taken: with all of "
            "them threshold, z-test and Kayenta would raise more false alarms."
        )
