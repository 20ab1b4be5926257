"""Scores one experiment at one look: the function that the gate and the Prefect flow both call."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from analysis.metric_result import MetricResult
from analysis.quality.checks import QualityCheck
from analysis.verdict import Decision, reach_verdict
from flows.formats.freed_memory import keep_freed_memory
from flows.formats.time import milliseconds_of
from flows.ingest.pull import counted_otherwise
from flows.ingest.pulled_windows import PulledWindows
from flows.look.changed_spec import note_on_changed_spec
from flows.look.decision_news import note_decision
from flows.look.dependencies import waits_for
from flows.look.expected_users import with_expected_users
from flows.look.first_time import FirstTime
from flows.look.judged_once import check_judged_once, first_judged
from flows.look.pods_seen import check_pods_apart
from flows.look.read_evidence import read_evidence
from flows.look.seen import evidence_at
from flows.look.strategy_findings import strategy_findings
from flows.look.unseen_requests import unseen_requests
from flows.look.user_scorecard import scorecard_of
from flows.look.verdict_document import VerdictDocument
from flows.plan.effective import look_time_of, plan_at
from flows.plan.from_spec import limits_of
from flows.spec.experiment import Experiment
from flows.warehouse.connection import open_reader, open_writer, transaction
from flows.warehouse.engines import on_all_threads
from flows.warehouse.kept_open import stays_open
from flows.warehouse.statements import Connection, run

# A warehouse of two million users has more.
_MANY_ROWS_BYTES = 64 << 20


def score_experiment(
    spec: Experiment,
    warehouse: Path,
    *,
    at: datetime,
    notes: Sequence[str] = (),
    remarks: Sequence[str] = (),
    checks: Sequence[QualityCheck] = (),
    ask_causes: Callable[[], Sequence[str]] | None = None,
    inputs: str = "",
    evidence: str = "",
    spec_dir: Path = Path(),
) -> VerdictDocument:
    """The verdict of one look, recorded in the warehouse.

    A look after the planned end is the look at the end: later data is no part of the plan. A look
    between two buckets sees whole buckets only. Scoring the same look again changes nothing.
    notes: sentences from outside the warehouse that come first among the reasons; remarks: such
        that decide nothing, and come first among the notes. checks: of what the warehouse can't
        know, before its own. ask_causes: more such notes, asked of an invalid look only, while the
        warehouse isn't locked: sources may be slow. inputs, evidence: identity of what the look
        rests on outside the warehouse ('' if unknown) and in it; kept with it (flows/look/seen.py).
    spec_dir: where the specs are that it comes after.
    Raises WarehouseBusy or WarehouseUnusable.
    """
    keep_freed_memory()
    look = _Look(spec, warehouse, at, notes, remarks, checks, inputs, evidence, spec_dir)
    judged = None
    # The writer's turn is for the write: the evidence tells whether what was read still holds.
    if evidence and not stays_open(warehouse):
        with open_reader(warehouse) as con:
            judged = look.judge(con)
    if judged is None or not judged.is_invalid or ask_causes is None:
        with open_writer(warehouse) as con:
            judged = look.settled(con, judged)
            if not judged.is_invalid or ask_causes is None:
                return look.record(con, judged)
    causes = tuple(ask_causes())
    with open_writer(warehouse) as con:
        return look.record(con, look.settled(con, judged), causes)


@dataclass(frozen=True, slots=True)
class _Judged:
    """A verdict that isn't recorded yet; firsts: what is to be written with it."""

    document: VerdictDocument
    firsts: tuple[FirstTime, ...]

    @property
    def is_invalid(self) -> bool:
        return self.document.decision is Decision.INVALID


@dataclass(frozen=True, slots=True)
class _Look:
    """What score_experiment is asked for."""

    spec: Experiment
    warehouse: Path
    at: datetime
    notes: Sequence[str]
    remarks: Sequence[str]
    checks: Sequence[QualityCheck]
    inputs: str
    evidence: str
    spec_dir: Path

    def judge(self, con: Connection) -> _Judged:
        """The verdict; a connection that only reads will do."""
        waits = waits_for(con, self.spec, self.spec_dir, self.at)
        # A quantile of users, and a look in the past, read all of their rows.
        is_much = self.spec.user_metrics and self.warehouse.stat().st_size > _MANY_ROWS_BYTES
        with on_all_threads(con, self.warehouse) if is_much else nullcontext():
            return _judge(con, self.spec, self.at, self.notes, self.remarks, self.checks, waits)

    def settled(self, con: Connection, judged: _Judged | None) -> _Judged:
        """The verdict on what the writer sees: as judged, if nothing of it has changed since."""
        if judged is not None and not any(first.is_taken(con) for first in judged.firsts):
            seen = judged.document.look_at
            if evidence_at(con, self.spec, self.spec_dir, seen, self.at) == self.evidence:
                return judged
        return self.judge(con)

    def record(
        self, con: Connection, judged: _Judged, causes: Sequence[str] = ()
    ) -> VerdictDocument:
        """Writes the verdict; causes: why data is invalid, before the other reasons."""
        document = judged.document
        if causes and judged.is_invalid:
            reasons = (*causes, *document.reasons)
            document = document.model_copy(update={"reasons": reasons})
        _record(con, self.spec, document, judged.firsts, self.inputs, self.evidence)
        return document


def _judge(
    con: Connection,
    spec: Experiment,
    at: datetime,
    notes: Sequence[str],
    remarks: Sequence[str],
    checks: Sequence[QualityCheck],
    waits: Iterable[str],
) -> _Judged:
    plan = plan_at(con, spec, at=at)
    at_ms = look_time_of(plan, milliseconds_of(at))
    pulled = PulledWindows.of(con, spec)
    evidence = read_evidence(con, spec, plan, pulled, at_ms=at_ms)
    unseen = tuple(unseen_requests(con, plan, evidence.requests, at_ms=at_ms))
    plan, rate = with_expected_users(con, spec, plan, evidence.users, at_ms=at_ms)
    verdict = reach_verdict(
        plan,
        evidence,
        limits_of(spec),
        at_ms=at_ms,
        checks=(
            *checks,
            *check_judged_once(con, spec, plan, at_ms=at_ms),
            *check_pods_apart(con, spec, plan, at_ms=at_ms),
        ),
        waits=(
            *waits,
            *counted_otherwise(spec, pulled, start_ms=plan.start_ms, until_ms=at_ms),
            *pulled.partly_answered(plan.start_ms, at_ms),
            *(one.said for one in unseen if one.is_too_much),
        ),
        findings=strategy_findings(con, spec, plan, at_ms=at_ms),
    )
    remarks = (*remarks, *(one.said for one in unseen if not one.is_too_much))
    firsts = (*rate, *first_judged(con, spec, plan, verdict, at_ms=at_ms))
    if verdict.decision is not Decision.ROLLBACK:
        remarks = (*remarks, *note_on_changed_spec(con, spec, plan, at_ms=at_ms))
    verdict = replace(verdict, reasons=(*notes, *verdict.reasons), notes=(*remarks, *verdict.notes))
    scorecard = scorecard_of(spec, plan, evidence.users)
    document = VerdictDocument.of(verdict, spec_hash=spec.spec_hash, scorecard=scorecard)
    return _Judged(document, firsts)


def _record(
    con: Connection,
    spec: Experiment,
    document: VerdictDocument,
    firsts: Sequence[FirstTime],
    inputs: str,
    evidence: str,
) -> None:
    look = {"experiment": document.experiment, "look_at": document.look_at}
    with transaction(con):
        known = run(con, "aggregate/look_known", **look, spec_hash=document.spec_hash).fetchone()
        is_taken, is_used = known or (False, False)
        if is_taken:
            for rows_of_look in ("looks", "metric_results", "verdicts"):
                run(con, "load/forget_look", {"rows": rows_of_look}, **look)
        for first in firsts:
            first.write(con)
        if not is_used:
            run(
                con,
                "load/spec",
                experiment=document.experiment,
                spec_hash=document.spec_hash,
                spec=spec.model_dump_json(),
                used_at=document.look_at,
            )
        run(
            con,
            "load/look",
            **look,
            window_start=document.window_start,
            watermark=document.watermark,
            spec_hash=document.spec_hash,
            software_version=document.software_version,
        )
        note_decision(con, document)
        rows = [_metric_row(metric) for metric in document.metrics]
        if rows:
            columns = {name: [row[name] for row in rows] for name in rows[0]}
            run(con, "load/metric_results", **look, **columns)
        run(
            con,
            "load/verdict",
            **look,
            decision=document.decision.value,
            score=document.score,
            reasons=list(document.reasons),
            verdict=document.model_dump_json(),
        )
        seen = {**look, "inputs": inputs, "evidence": evidence}
        if run(con, "load/seen_again", **seen).fetchone() is None:
            run(con, "load/seen_look", **seen)


def _metric_row(result: MetricResult) -> dict[str, object]:
    numbers = {
        "baseline_estimate": result.baseline,
        "candidate_estimate": result.candidate,
        "difference": result.difference.value,
        "lower": result.difference.lower,
        "upper": result.difference.upper,
        "relative_difference": result.relative.value,
        "relative_lower": result.relative.lower,
        "relative_upper": result.relative.upper,
        "margin": result.margin,
        "probability_within_margin": result.probability_within_margin,
    }
    return {
        "metric": result.metric,
        "candidate": result.candidate_variant,
        "role": result.role.value,
        "classification": result.classification.value,
        **{name: value if math.isfinite(value) else None for name, value in numbers.items()},
        "baseline_exposure": result.exposure_baseline,
        "candidate_exposure": result.exposure_candidate,
        "critical": result.critical,
    }
