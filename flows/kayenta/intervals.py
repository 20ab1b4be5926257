"""Judges series again and again while they grow, as Spinnaker's canary analysis stage does.

The stage has a lifetime and an interval: after each interval the values so far (look-back growing)
or the last minutes of them (sliding) are judged. A score below marginal ends it at once; at the end
the last score must reach the threshold to pass, so a marginal one fails.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from flows.formats.exit_codes import exit_code
from flows.formats.problems import FileProblem, InputError, file_error
from flows.kayenta.judgement_document import JudgedLook, JudgeKind, Judgement, JudgementDocument
from flows.kayenta.values_file import MetricSeries

# Values a day apart at intervals of a minute would be judged forever.
_MOST_LOOKS = 2_000
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class Intervals:
    """Minutes from one look to the next, and how far each looks back; None: to the start."""

    every: float
    lookback: float | None = None


@dataclass(frozen=True, slots=True)
class JudgedWindow:
    """What one look judges: values whose interval lies within [start, end]."""

    start: datetime
    end: datetime


def judge_intervals(
    path: Path,
    series: Sequence[MetricSeries],
    intervals: Intervals,
    judge: Callable[[Sequence[MetricSeries]], JudgementDocument],
) -> JudgementDocument:
    """The judgement of the look that decided, with the scores of all looks up to it.

    path: where the values stand, for messages. judge: judges the values of one look.
    Raises InputError where a series has no times, or the values are shorter than one interval.
    """
    looks: list[JudgedLook] = []
    spans = windows(path, series, intervals)
    left = _ends(series) - spans[-1].end
    for window in spans:
        document = judge([within(item, window) for item in series])
        looks.append(JudgedLook.of(document, window.start, window.end))
        if _is_over(document):
            break
    return _concluded(document, looks, planned=len(spans), left=left)


def windows(path: Path, series: Sequence[MetricSeries], intervals: Intervals) -> list[JudgedWindow]:
    """The looks of the stage: one after each whole interval of the values' time.

    Raises InputError as judge_intervals.
    """
    problems = list(_problems(path, series))
    if problems:
        raise InputError(problems)
    series = [item for item in series if not item.is_empty]
    if not series:
        raise file_error(path, 1, "have no value in any metric, so no interval", "metrics")
    start = min(map(_start, series))
    lifetime = (_ends(series) - start) / timedelta(minutes=1)
    count = math.floor(lifetime / intervals.every + _ROUNDING)
    if not 1 <= count <= _MOST_LOOKS:
        told = f"span {lifetime:g} minutes, {count} intervals of {intervals.every:g} minutes"
        message = f"{told}; there must be 1 to {_MOST_LOOKS}"
        raise file_error(path, 1, message, "metrics")
    found = []
    for at in range(1, count + 1):
        end = start + at * timedelta(minutes=intervals.every)
        back = start if intervals.lookback is None else end - timedelta(minutes=intervals.lookback)
        found.append(JudgedWindow(max(start, back), end))
    return found


def within(series: MetricSeries, window: JudgedWindow) -> MetricSeries:
    """The values whose whole interval lies within the window."""
    if series.is_empty:
        return series
    start, step = _start(series), _step(series)
    first = max(0, math.ceil((window.start - start) / step - _ROUNDING))
    last = max(first, math.floor((window.end - start) / step + _ROUNDING))
    return replace(
        series,
        control=series.control[first:last],
        experiment=series.experiment[first:last],
        start=start + first * step,
    )


def _is_over(document: JudgementDocument) -> bool:
    """Whether no later look is waited for; ours lacks data early, Kayenta's score is then 0."""
    if document.judge is JudgeKind.KAYENTA:
        return document.score < document.marginal_threshold
    return document.decision is Judgement.FAIL


def _concluded(
    last: JudgementDocument, looks: Sequence[JudgedLook], *, planned: int, left: timedelta
) -> JudgementDocument:
    """The last look's document with what all looks say together."""
    decision, at = last.decision, f"look {len(looks)} of {planned}"
    reason = f"{at}: {last.reason}"
    if last.judge is JudgeKind.KAYENTA and decision is Judgement.MARGINAL:
        decision = Judgement.FAIL
        reason = f"{at}, the last, must pass: {last.reason}"
    warnings = list(last.warnings)
    if left > timedelta(0) and len(looks) == planned:
        warnings.append(
            f"the last {left / timedelta(minutes=1):g} minutes are not judged: not a whole interval"
        )
    changes = {
        "decision": decision,
        "exit_code": exit_code(decision),
        "reason": reason,
        "warnings": tuple(warnings),
        "looks": tuple(looks),
    }
    return last.model_copy(update=changes)


def _start(series: MetricSeries) -> datetime:
    """The start; one without an offset is UTC."""
    if series.start is None:
        raise ValueError(f"{series.title} has no start")
    return series.start if series.start.tzinfo else series.start.replace(tzinfo=UTC)


def _step(series: MetricSeries) -> timedelta:
    return timedelta(seconds=series.step or 0)


def _ends(series: Sequence[MetricSeries]) -> datetime:
    """When the last value of any series ends."""
    return max(
        _start(item) + max(item.control.size, item.experiment.size) * _step(item)
        for item in series
        if not item.is_empty
    )


def _problems(path: Path, series: Sequence[MetricSeries]) -> Iterator[FileProblem]:
    for item in series:
        if item.is_empty:
            continue
        missing = [name for name in ("start", "step") if getattr(item, name) is None]
        if missing:
            told = f"has no {' and no '.join(missing)}, which --every needs"
            yield FileProblem(str(path), 1, item.title, told)
