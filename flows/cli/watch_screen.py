"""Looks at one experiment again and again, and gathers what a person watching wants to see."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

import numpy as np

from analysis.plan import Plan, Stage
from analysis.requests.latency import Histogram, QuantileRange, quantile_range
from analysis.requests.outcomes import ANSWERED, RequestOutcome
from dashboards.watch_view import VariantNow, Watched
from flows.formats.time import instant, milliseconds_of
from flows.ingest.requests.windows import bucket_ms
from flows.look.look import look_at_experiment
from flows.look.responses import kinds_in
from flows.look.verdict_document import VerdictDocument
from flows.plan.effective import plan_at
from flows.publish.report import past_looks
from flows.spec.experiment import Experiment
from flows.warehouse.connection import open_reader
from flows.warehouse.statements import Connection, columns_of, run
from flows.workspace.experiments import find_spec
from flows.workspace.paths import Workspace

_OVER_MS = 300_000
_MOST_LOOKS = 40


def watch(
    workspace: Workspace,
    name: str,
    *,
    at: datetime | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Watched]:
    """A screen for every look, at the pace of the plan; without end, unless a time is given.

    Raises what a gate's look raises.
    """
    _, spec = find_spec(workspace.experiments, name)
    while True:
        begin = time.monotonic()
        document = look_at_experiment(workspace, name, at=at)
        yield _gather(workspace, spec, document)
        if at is not None:
            return
        sleep(max(0.0, spec.plan.look_every.total_seconds() - (time.monotonic() - begin)))


def _gather(workspace: Workspace, spec: Experiment, document: VerdictDocument) -> Watched:
    at_ms = milliseconds_of(document.look_at)
    with open_reader(workspace.warehouse) as con:
        plan = plan_at(con, spec, at=document.look_at)
        # A split is that of one stage; the one before had another.
        stage = next((s for s in reversed(plan.stages) if s.start_ms < at_ms), plan.stages[0])
        begin_ms = max(stage.start_ms, at_ms - _OVER_MS)
        covered_s = _covered_s(con, spec, begin_ms, at_ms)
        variants = _variants(con, spec, plan, stage, (begin_ms, at_ms), covered_s)
        looks = past_looks(con, {spec.experiment: document.look_at}, _MOST_LOOKS)[spec.experiment]
    return Watched(
        experiment=spec.experiment,
        over_s=covered_s,
        variants=variants,
        looks=looks,
        reasons=document.reasons,
        notes=document.notes,
    )


def _covered_s(con: Connection, spec: Experiment, begin_ms: int, at_ms: int) -> float:
    """Seconds of the span of which samples are known; none of them where no server was read."""
    found = run(
        con,
        "aggregate/covered_time",
        experiment=spec.experiment,
        since=instant(begin_ms),
        until=instant(at_ms),
        bucket_ms=bucket_ms(spec),
    ).fetchone()
    return min(int(found[0]) if found else 0, max(0, at_ms - begin_ms)) / 1000


def _variants(
    con: Connection,
    spec: Experiment,
    plan: Plan,
    stage: Stage,
    span: tuple[int, int],
    covered_s: float,
) -> tuple[VariantNow, ...]:
    """Every variant over the last minutes; empty where requests aren't compared."""
    begin_ms, at_ms = span
    if not spec.request_metrics or covered_s <= 0:
        return ()
    window = {"experiment": spec.experiment, "since": instant(begin_ms), "until": instant(at_ms)}
    names = (plan.baseline, *plan.candidates)
    rows = columns_of(
        con,
        "aggregate/look_requests",
        **window,
        variants=list(names),
        cohort=None,
        borrowed=None,
    )
    histograms = columns_of(con, "aggregate/look_histogram", **window)
    responses = columns_of(con, "aggregate/look_responses", **window, cohort=None, borrowed=None)
    rule = None if spec.failures is None else spec.failures.rule
    outcomes = {
        number: kind.outcome_by(rule)
        for number, kind in zip(responses["response"].tolist(), kinds_in(responses), strict=True)
    }
    counts = {name: _sums(rows, outcomes, place) for place, name in enumerate(names, 1)}
    total = sum(requests for requests, _, _ in counts.values())
    return tuple(
        VariantNow(
            variant=name,
            requests_per_second=requests / covered_s,
            share=requests / total if total else None,
            configured=stage.shares.get(name),
            success=1 - failed / answered if answered else None,
            p50=_quantile(histograms, name, 0.5, plan),
            p99=_quantile(histograms, name, 0.99, plan),
        )
        for name, (requests, answered, failed) in counts.items()
    )


def _sums(
    rows: Any, outcomes: Mapping[int, RequestOutcome], variant: int
) -> tuple[float, float, float]:
    """Requests of the variant: all, those that got an answer, and those that failed."""
    keep = rows["variant"] == variant
    each: Counter[RequestOutcome] = Counter()
    for response, requests in zip(
        rows["response"][keep].tolist(), rows["requests"][keep].tolist(), strict=True
    ):
        each[outcomes[response]] += requests
    answered = sum(each[outcome] for outcome in ANSWERED)
    return float(each.total()), float(answered), float(each[RequestOutcome.FAILURE])


def _quantile(rows: Any, variant: str, share: float, plan: Plan) -> QuantileRange | None:
    keep = rows["variant"] == variant
    if not keep.any():
        return None
    histogram = Histogram(
        rows["le_ms"][keep].astype(np.float64), rows["at_most"][keep].astype(np.float64)
    )
    return quantile_range(histogram, share, alpha=plan.alpha)
