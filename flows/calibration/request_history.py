"""Reads all that the warehouse knows of an experiment's baseline, bucket by bucket."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.arrays import BoolArray, FloatArray, IntArray
from analysis.calibration.history import History
from flows.formats.problems import UserError
from flows.formats.time import instant, milliseconds
from flows.look.bad_kinds import ByKind, counts, is_bad
from flows.look.responses import ResponseKind, kinds_in
from flows.spec.experiment import Experiment
from flows.spec.metrics import ErrorShare
from flows.spec.signals import default_signals
from flows.warehouse.statements import Columns, Connection, columns_of, run

LEAST_BUCKETS = 20


class CannotCalibrate(UserError):
    """There is nothing to replay; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch of the history: buckets that begin in it, start included, end not."""

    start: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    end: datetime = datetime(9999, 1, 1, tzinfo=UTC)

    def __str__(self) -> str:
        """As the command line has it; nothing for all that is known."""
        if self == ALL_KNOWN:
            return ""
        return f" in {self.start:%Y-%m-%dT%H:%M:%SZ}..{self.end:%Y-%m-%dT%H:%M:%SZ}"


ALL_KNOWN = Period()


def read_history(con: Connection, spec: Experiment, period: Period = ALL_KNOWN) -> History:
    """The baseline's history, from its first bucket with requests to its last one.

    A bucket without rows had no requests if its window was pulled; else it is left out.
    Raises CannotCalibrate without requests of the baseline and for fewer than 20 buckets.
    """
    rows = _read(con, spec, "aggregate/calibration_requests", period)
    at = _buckets(spec, rows)
    if not rows["requests"].sum():
        raise CannotCalibrate(
            f"{spec.experiment}: the warehouse has no requests of the baseline "
            f"{spec.baseline!r}{period}; pull first (verdict pull {spec.experiment})"
        )
    starts = _known_buckets(con, spec, at)
    if len(starts) < LEAST_BUCKETS:
        raise CannotCalibrate(
            f"{spec.experiment}: {len(starts)} buckets of the baseline {spec.baseline!r} are "
            f"known{period}, at least {LEAST_BUCKETS} are needed; calibrate when it has run for "
            "longer"
        )
    errors, signals = _by_kind(spec)
    requests = _on_grid(starts, at, rows["requests"])
    answered, failed = (
        _on_grid(starts, at, rows["requests"] * _kept(rows, partial(is_kept, spec, errors)))
        for is_kept in (counts, is_bad)
    )
    edges_ms, latency = _latency(con, spec, starts, period)
    return History(
        starts_ms=starts,
        other=requests - answered,
        good=answered - failed,
        failed=failed,
        edges_ms=edges_ms,
        latency=latency,
        signals={
            name: _on_grid(starts, at, rows["requests"] * _kept(rows, partial(is_bad, spec, one)))
            for name, one in signals.items()
        },
    )


def _by_kind(spec: Experiment) -> tuple[ErrorShare, dict[str, ByKind]]:
    """What counts failures: the spec's first such metric, by its own lists; and the signals.

    Of these those of how requests ended otherwise than failed.
    """
    errors = [one for one in spec.request_metrics.values() if isinstance(one, ErrorShare)]
    signals: dict[str, ByKind] = {
        name: one
        for name, one in default_signals(spec).items()
        if isinstance(one, ByKind) and getattr(one, "outcome", "") != "failure"
    }
    return errors[0] if errors else ErrorShare(kind="error_share"), signals


def _kept(rows: Columns, is_kept: Callable[[ResponseKind], bool]) -> BoolArray:
    """Which of the rows are of a kind that is kept: bool[rows]."""
    return np.array([is_kept(kind) for kind in kinds_in(rows)], dtype=np.bool_)


def candidates_share(con: Connection, spec: Experiment, history: History) -> float:
    """Which share of the requests of the history's time went to candidates."""
    last = int(history.starts_ms[-1]) + milliseconds(spec.plan.bucket)
    rows = run(
        con,
        "aggregate/calibration_traffic",
        experiment=spec.experiment,
        since=instant(int(history.starts_ms[0])),
        until=instant(last),
    ).fetchall()
    theirs = sum(float(requests) for variant, requests in rows if variant in spec.candidates)
    return theirs / max(history.requests + theirs, 1.0)


def _read(con: Connection, spec: Experiment, name: str, period: Period) -> Columns:
    parameters = {
        "experiment": spec.experiment,
        "variant": spec.baseline,
        "since": period.start,
        "until": period.end,
    }
    return columns_of(con, name, **parameters)


def _times(column: NDArray[Any]) -> IntArray:
    return np.asarray(column.astype("datetime64[ms]").astype(np.int64))


def _buckets(spec: Experiment, rows: Columns) -> IntArray:
    """Each row's bucket; rows may be older than the spec's bucket and be of finer ones."""
    width = milliseconds(spec.plan.bucket)
    return _times(rows["bucket_start"]) // width * width


def _known_buckets(con: Connection, spec: Experiment, at: IntArray) -> IntArray:
    """Starts of the buckets from the first to the last row that a pull covers, or have a row."""
    width = milliseconds(spec.plan.bucket)
    grid = np.arange(at.min(), at.max() + 1, width)
    windows = columns_of(con, "aggregate/calibration_windows", experiment=spec.experiment)
    begin, end = _times(windows["window_start"]), _times(windows["window_end"])
    covered = np.isin(grid, at)
    for start_ms, end_ms in zip(begin, end, strict=True):
        covered |= (grid >= start_ms) & (grid < end_ms)
    return grid[covered]


def _on_grid(starts: IntArray, at: IntArray, values: NDArray[Any]) -> IntArray:
    """Values by bucket: int64[buckets]; 0 where there is none."""
    found = np.zeros(len(starts), dtype=np.int64)
    np.add.at(found, np.searchsorted(starts, at), values.astype(np.int64))
    return found


def _latency(
    con: Connection, spec: Experiment, starts: IntArray, period: Period
) -> tuple[FloatArray, IntArray]:
    """Edges and requests between them, as History has them.

    Only edges that every bucket with latency has: others came or went with a version.
    """
    rows = _read(con, spec, "aggregate/calibration_latency", period)
    at = _buckets(spec, rows)
    inside = np.isin(at, starts)
    edges, edge = np.unique(rows["le_ms"][inside].astype(np.float64), return_inverse=True)
    cumulative = np.zeros((len(starts), edges.size), dtype=np.int64)
    known = np.zeros(cumulative.shape, dtype=bool)
    place = np.searchsorted(starts, at[inside]), edge
    np.add.at(cumulative, place, rows["at_most"][inside].astype(np.int64))
    known[place] = True
    with_latency = np.asarray(known.any(axis=1))
    shared = np.asarray(known[with_latency].all(axis=0))
    if not inside.any() or not shared[-1]:
        return np.array([]), np.zeros((len(starts), 0), dtype=np.int64)
    # Scrapes are not atomic: a cell can seem to shrink by a request or two.
    cells = np.diff(cumulative[:, shared], axis=1, prepend=0)
    return edges[shared], np.maximum(cells, 0)
