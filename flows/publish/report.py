"""From the warehouse to what the HTML report shows of each experiment."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from analysis.metric_result import Estimate, MetricResult
from analysis.plan import Plan, Role
from analysis.verdict import Decision, Verdict
from dashboards.experiment_view import uid_of
from dashboards.next_action import asks_of
from dashboards.report_numbers import possible
from dashboards.report_view import (
    ExperimentReport,
    IndexEntry,
    LiftRow,
    PastHarm,
    PastLook,
    StageSplit,
)
from flows.formats.time import instant
from flows.look.verdict_document import restored
from flows.plan.effective import staged_plan
from flows.publish.report_split import read_splits
from flows.publish.report_traffic import read_traffic
from flows.spec.experiment import Experiment
from flows.warehouse.connection import open_reader
from flows.warehouse.statements import Connection, run

# More can't be told apart in a picture of a page's width.
_MOST_LOOKS = 120
_SCORES = 24
_MOST_SEGMENTS = 200
# JSON of text that needs no escapes.
_PLAIN = re.compile(r"[ -\[\]-~]*")


@dataclass(frozen=True, slots=True)
class ReportViews:
    """reports: of the pages to be made; entries: of the index, for every experiment with a look."""

    reports: list[ExperimentReport]
    entries: list[IndexEntry]


def report_views(
    warehouse: Path, specs: Sequence[Experiment], *, index_only: Collection[str] = ()
) -> ReportViews:
    """The report of every experiment with a look, by name; raises WarehouseBusy or -Unusable.

    index_only: experiments whose own page isn't wanted.
    """
    by_name = {spec.experiment: spec for spec in specs}
    with open_reader(warehouse) as con:
        rows = run(con, "aggregate/index_looks", scores=_SCORES).fetchall()
        known = [latest for latest in (_Latest(*row) for row in rows) if latest.name in by_name]
        whole = [latest for latest in known if latest.name not in index_only]
        named = {latest.name for latest in whole}
        asked = [each for each in known if each.name in named or each.decision == Decision.HOLD]
        looks = {"looks": [each.look_at for each in asked]}
        judged = {
            name: _judged(con, by_name[name], json.loads(stored), json.loads(spec or "{}"))
            for name, stored, spec in run(
                con, "aggregate/judged_verdicts", experiments=[e.name for e in asked], **looks
            ).fetchall()
        }
        past = past_looks(con, {latest.name: latest.look_at for latest in whole}, _MOST_LOOKS)
        verdicts = [(by_name[each.name], judged[each.name].report.verdict) for each in whole]
        splits = read_splits(con, verdicts)
        reports = [
            _filled(con, by_name[each.name], each, judged[each.name], past, splits)
            for each in whole
        ]
        entries = [_entry(con, by_name[each.name], each, judged.get(each.name)) for each in known]
    return ReportViews(reports, entries)


@dataclass(frozen=True, slots=True)
class _Latest:
    """The latest look at an experiment, without its verdict's document."""

    name: str
    look_at: datetime
    looks: int
    decision: str
    score: float | None
    reasons: list[str]
    scores: list[float | None]


@dataclass(frozen=True, slots=True)
class _Judged:
    """A report without what takes queries of its own.

    stored: the verdict's document; spec: as judged.
    """

    report: ExperimentReport
    plan: Plan
    stored: Mapping[str, Any]
    spec: Mapping[str, Any]


def _entry(
    con: Connection, spec: Experiment, latest: _Latest, judged: _Judged | None
) -> IndexEntry:
    plan = judged.plan if judged else staged_plan(con, spec, at=latest.look_at)
    is_over = instant(plan.last_look_ms) <= latest.look_at
    asks = asks_of(judged.report.verdict, plan_ended=is_over) if judged else ""
    return IndexEntry(
        experiment=latest.name,
        service=spec.service,
        owner=spec.owner,
        decision=Decision(latest.decision),
        score=latest.score,
        reasons=tuple(latest.reasons),
        look_at=latest.look_at.astimezone(UTC),
        scores=tuple(latest.scores),
        asks=asks,
        is_over=is_over,
    )


def _judged(
    con: Connection, spec: Experiment, stored: Mapping[str, Any], judged: Mapping[str, Any]
) -> _Judged:
    verdict = restored(Verdict, stored)
    plan = staged_plan(con, spec, at=verdict.look_at)
    report = ExperimentReport(
        verdict=verdict,
        service=spec.service,
        namespace=spec.namespace,
        description=spec.description,
        looks=(),
        earlier_looks=0,
        split=(),
        spec_hash=stored["spec_hash"],
        software_version=stored["software_version"],
        owner=spec.owner,
        variants=(plan.baseline, *plan.candidates),
        plan_start=instant(plan.start_ms),
        plan_end=instant(plan.last_look_ms),
        alpha=plan.alpha,
        spec_changed=stored["spec_hash"] != spec.spec_hash,
        manifests=tuple(spec.manifests),
        dashboard=uid_of(spec.experiment),
    )
    return _Judged(report, plan, stored, judged)


def _filled(
    con: Connection,
    spec: Experiment,
    latest: _Latest,
    judged: _Judged,
    past: Mapping[str, tuple[PastLook, ...]],
    splits: Mapping[str, tuple[StageSplit, ...]],
) -> ExperimentReport:
    looks = past.get(latest.name, ())
    told = read_traffic(con, spec, judged.plan, judged.report.verdict)
    return replace(
        judged.report,
        looks=looks,
        earlier_looks=latest.looks - len(looks),
        spec=_as_yaml(_written(judged.spec)),
        split=splits.get(latest.name, ()),
        traffic=told.traffic,
        latency_curves=told.curves,
        responses=told.responses,
        pods=told.pods,
        effects=tuple(
            _effect(row, judged.report.verdict.metrics)
            for row in judged.stored.get("scorecard", ())[:_MOST_SEGMENTS]
        ),
    )


def _written(value: Any) -> Any:
    """A spec without what it leaves open."""
    if isinstance(value, dict):
        kept = {key: _written(each) for key, each in value.items()}
        return {key: each for key, each in kept.items() if each not in (None, "", [], {})}
    return [_written(each) for each in value] if isinstance(value, list) else value


def _as_yaml(value: Any) -> str:
    """By the dumper in C where both write the same: it folds and escapes other text otherwise."""
    is_plain = _PLAIN.fullmatch(json.dumps(value, ensure_ascii=False)) is not None
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper) if is_plain else yaml.SafeDumper
    text: str = yaml.dump(value, Dumper=dumper, sort_keys=False, allow_unicode=True)
    return text


def _effect(row: Mapping[str, Any], metrics: Sequence[MetricResult]) -> LiftRow:
    """A row of the scorecard; of all users the lift is as judged, so that its bounds agree."""

    def number(value: float | None, unknown: float = float("nan")) -> float:
        return unknown if value is None else value

    anytime, posterior = row["anytime"], row["posterior"]
    lift = Estimate(
        number(row["relative"]),
        number(anytime["relative_lower"], float("-inf")),
        number(anytime["relative_upper"], float("inf")),
    )
    for one in metrics if row["segment"] == "" else ():
        if (one.metric, one.candidate_variant) == (row["metric"], row["candidate"]):
            lift = one.relative
    return LiftRow(
        metric=row["metric"],
        candidate=row["candidate"],
        segment=row["segment"],
        users_baseline=number(row["users_baseline"]),
        users_candidate=number(row["users_candidate"]),
        relative=lift.value,
        lower=lift.lower,
        upper=lift.upper,
        p_value=number(row["p_value"]),
        chance_to_win=number(posterior["chance_to_win"]),
        expected_loss=number(posterior["expected_loss"]),
        notable=bool(row["discovery"]),
        is_share=any(one.is_share for one in metrics if one.metric == row["metric"]),
    )


def past_looks(
    con: Connection, until: Mapping[str, datetime], most: int
) -> dict[str, tuple[PastLook, ...]]:
    """By experiment, its latest looks up to a time, oldest first."""
    asked = {"experiments": list(until), "until": list(until.values()), "looks": most}
    found: dict[str, list[PastLook]] = {}
    latest: dict[str, str] = {}
    rows = run(con, "aggregate/latest_looks", **asked).fetchall()
    for name, at, decision, score, spec_hash, metrics in rows:
        harms = tuple(_harm_of(restored(MetricResult, each)) for each in json.loads(metrics))
        is_older = latest.setdefault(name, spec_hash) != spec_hash
        look = PastLook(at.astimezone(UTC), Decision(decision), score, harms, is_older)
        found.setdefault(name, []).append(look)
    return {name: tuple(reversed(looks)) for name, looks in found.items()}


def _harm_of(metric: MetricResult) -> PastHarm:
    """Harm is what it is beyond the allowed, and the allowed; of a relative margin relative too."""
    excess, allowed = metric.excess, metric.margin
    harm = metric.relative_harm
    if harm is not None:
        allowed = metric.margin_relative
    else:
        ends = (excess.value + allowed, excess.lower + allowed, excess.upper + allowed)
        harm = possible(Estimate(*ends), is_share=metric.is_share)
    return PastHarm(
        metric.metric,
        metric.candidate_variant,
        harm,
        allowed,
        metric.is_share,
        is_goal=metric.role is Role.GOAL,
        decides=metric.role.decides,
        exposure_baseline=metric.exposure_baseline,
        exposure_candidate=metric.exposure_candidate,
        is_relative=metric.relative_harm is not None,
    )
