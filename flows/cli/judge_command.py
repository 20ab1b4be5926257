"""`verdict judge`: series of values from anywhere, judged by a Spinnaker canary config."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from flows.cli.arguments import (
    USAGE_ERROR,
    Commands,
    command,
    named,
    number_within,
    share,
    whole_number,
)
from flows.cli.lines import complain

if TYPE_CHECKING:
    from flows.kayenta.judgement_document import JudgementDocument
    from flows.kayenta.metric_document import JudgedMetric

_MINUTES = number_within(1e-6, 1e6)
# Options that only our judge follows.
_OURS = ("margin", "absolute_margin", "alpha", "intervals")


def add(commands: Commands) -> None:
    """Adds the command."""
    judge = command(
        commands,
        "judge",
        _judge,
        "judge series of values by a Spinnaker canary config; "
        "exit 0 pass, 1 fail, 3 marginal or uncertain, 4 no data, 2 error",
    )
    judge.add_argument("--config", type=Path, metavar="CANARY.json", help="the canary config")
    judge.add_argument(
        "--metrics",
        type=Path,
        metavar="VALUES.json",
        help='{"metrics": [{"name", "control": [...], "experiment": [...]}]}, null where nothing '
        "was measured; or Kayenta's list of metric set pairs",
    )
    judge.add_argument(
        "--judge",
        choices=["kayenta", "verdict"],
        default="kayenta",
        help="kayenta: as Netflix's judge; verdict: ours, by paired intervals (default: kayenta)",
    )
    judge.add_argument(
        "--thresholds",
        type=float,
        nargs=2,
        metavar=("PASS", "MARGINAL"),
        help="scores to pass and to be marginal, instead of the config's",
    )
    judge.add_argument(
        "--margin",
        type=share,
        help="verdict judge: allowed relative change where the config allows none (default: 0.1)",
    )
    judge.add_argument(
        "--absolute-margin",
        type=named(number_within(0, 1e300)),
        action="append",
        default=[],
        metavar="[METRIC=]SIZE",
        help="verdict judge: beside the relative one, allowed change in the metric's unit, so that "
        "a control at 0 allows some; may be repeated",
    )
    judge.add_argument(
        "--alpha",
        type=share,
        help="verdict judge: probability of a false failure over all looks (default: 0.05)",
    )
    _add_intervals(judge)
    judge.add_argument("--json", action="store_true", help="print the whole judgement as JSON")
    judge.add_argument("--schema", action="store_true", help="print the JSON Schema of that")


def _add_intervals(judge: argparse.ArgumentParser) -> None:
    judge.add_argument(
        "--intervals",
        type=whole_number(2),
        help="verdict judge: planned number of intervals, the same at every look of a canary "
        "that is judged again and again (default: those in the file, which suits one look)",
    )
    judge.add_argument(
        "--every",
        type=_MINUTES,
        metavar="MINUTES",
        help="judge after each such interval as the values grow, as Spinnaker's canary analysis "
        "stage does: below marginal ends it, the last score must pass; needs start and step",
    )
    judge.add_argument(
        "--lookback",
        type=_lookback,
        metavar="growing/sliding:MINUTES",
        help="with --every: judge all values so far or the last minutes (default: growing)",
    )


def _judge(options: argparse.Namespace) -> int:
    from analysis.kayenta.config import ValuePlan  # noqa: PLC0415
    from flows.kayenta.intervals import Intervals  # noqa: PLC0415
    from flows.kayenta.judge_files import judge_files  # noqa: PLC0415
    from flows.kayenta.judgement_document import JudgeKind, judgement_schema  # noqa: PLC0415

    if options.schema:
        print(judgement_schema(), end="")
        return 0
    if wrong := _usage_problem(options):
        complain(f"verdict judge: {wrong}")
        return USAGE_ERROR
    sliding = options.lookback or None  # 0 stands for growing
    asked = {"alpha": options.alpha, "margin": options.margin, "intervals": options.intervals}
    document = judge_files(
        options.config,
        options.metrics,
        judge=JudgeKind(options.judge),
        plan=ValuePlan(
            absolute=dict(options.absolute_margin),
            **{name: value for name, value in asked.items() if value is not None},
        ),
        thresholds=None if options.thresholds is None else tuple(options.thresholds),
        intervals=None if options.every is None else Intervals(options.every, sliding),
    )
    print(document.to_json() if options.json else "\n".join(_lines(document)) + "\n", end="")
    return document.exit_code


def _usage_problem(options: argparse.Namespace) -> str | None:
    if options.config is None or options.metrics is None:
        return "needs --config CANARY.json and --metrics VALUES.json"
    if wrong := _other_judges(options):
        return wrong
    if options.thresholds is not None:
        to_pass, marginal = options.thresholds
        if not 0 <= marginal <= to_pass <= 100:
            return "--thresholds must be PASS MARGINAL with 0 <= MARGINAL <= PASS <= 100"
    if options.lookback is not None and options.every is None:
        return "--lookback needs --every MINUTES"
    return None


def _other_judges(options: argparse.Namespace) -> str | None:
    """An option that the judge would pass over."""
    ours = [name for name in _OURS if getattr(options, name) not in (None, [])]
    if options.judge == "kayenta":
        return f"--{ours[0].replace('_', '-')} needs --judge verdict" if ours else None
    if options.lookback:
        return "--lookback sliding is kayenta's; our bounds hold at every look of a growing series"
    if options.thresholds is not None:
        return "--thresholds is kayenta's; --judge verdict passes by its bounds"
    return None


def _lookback(text: str) -> float:
    """Minutes to look back; 0 for all that is there."""
    if text == "growing":
        return 0.0
    kind, _, minutes = text.partition(":")
    if kind != "sliding" or not minutes:
        raise argparse.ArgumentTypeError(f"is {text!r}, must be growing or sliding:MINUTES")
    return _MINUTES(minutes)


def _lines(document: JudgementDocument) -> Iterator[str]:
    """The judgement for people: the decision, a table of metrics with reasons, the groups."""
    yield (
        f"{document.config}: {document.decision.value.replace('_', ' ')} "
        f"(score {document.score:g}, {document.judge.value} judge)"
    )
    yield f"  {document.reason}"
    for at, look in enumerate(document.looks, 1):
        judged = look.decision.value.replace("_", " ")
        span = f"{look.start:%Y-%m-%d %H:%M} to {look.end:%H:%M}"
        yield f"  look {at}  {span}  score {look.score:g}  {judged}"
    yield ""
    rows = [_cells(metric) for metric in document.metrics]
    head = ("metric", "label", "effect", "shift", "interval", "values")
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    yield _row(head, widths)
    for metric, row in zip(document.metrics, rows, strict=True):
        yield _row(row, widths)
        yield f"    {metric.reason}"
        yield from (f"    ! {warning.message}" for warning in metric.warnings)
    yield ""
    for group in document.groups:
        score = "no data, counts as 100" if group.score is None else f"{round(group.score, 2):g}"
        yield f"group {group.name}: {score} (weight {round(group.weight, 2):g} %)"
    said = {f"{metric.title}: {w.message}" for metric in document.metrics for w in metric.warnings}
    yield from (f"! {warning}" for warning in document.warnings if warning not in said)


def _row(cells: Iterable[str], widths: list[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _cells(metric: JudgedMetric) -> tuple[str, ...]:
    label = f"{metric.label}{' (critical)' if metric.critical_failure else ''}"
    effect = shift = interval = "-"
    if metric.effect is not None:
        effect = f"{metric.effect.measure.value} {_number(metric.effect.value)}"
    elif metric.control.mean and metric.experiment.mean is not None:
        effect = f"meanRatio {metric.experiment.mean / metric.control.mean:.4g}"
    if metric.shift is not None:
        shift = _number(metric.shift.estimate)
        low, high = _number(metric.shift.lower, "-inf"), _number(metric.shift.upper, "inf")
        interval = f"[{low}, {high}]"
    values = f"{metric.control.values}/{metric.experiment.values}"
    muted = " (muted)" if metric.muted else ""
    return f"{metric.title}{muted}", label, effect, shift, interval, values


def _number(value: float | None, unknown: str = "?") -> str:
    return unknown if value is None or not math.isfinite(value) else f"{value:.4g}"
