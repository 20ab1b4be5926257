"""Which outcomes reach whom, kept from pull to pull: a look with nothing new reads no rows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime, timedelta
from typing import Any

from analysis.users.outcome_reach import DayCounts, OutcomeReach, PlaceCount, VariantReach
from flows.ingest.coverage import users_known_until
from flows.ingest.users.kept_users import asked_of
from flows.ingest.users.reach_by_day import DayReach, ReachBefore, read_days, written
from flows.ingest.users.read_outcome_reach import read_outcome_reach
from flows.ingest.users.sampled_reach import TIMES
from flows.spec.experiment import Experiment
from flows.warehouse.statements import Connection, run

# With the same rows, more users have final values as time passes: by so much of it, at most, what
# is kept may lag behind.
_LAG = 0.02


@dataclass(frozen=True, slots=True)
class Reach:
    """By metric, which outcomes reach whom; names: rows of every name of outcome."""

    metrics: Mapping[str, tuple[OutcomeReach, ...]]
    names: Mapping[str, int]


def keep_reach(
    con: Connection,
    spec: Experiment,
    known_until: datetime,
    pulled_until: datetime,
    *,
    parts: Sequence[str] | None,
    changed: Sequence[date] | None,
) -> None:
    """Works out what the kept users' outcomes reach, where rows or the spec have changed.

    Also where so much time has passed that users have become final. What an earlier pull found is
    added to. parts: of outcomes, those that are new; changed: days whose users are others now; None
    if any may be.
    """
    # Where all users are made anew, nothing is kept.
    kept = None if changed is None else _kept(con, spec)
    before = None
    if kept is not None and parts is not None and changed is not None:
        is_asked = kept[0] == _identity(spec)
        begin = spec.plan.start or _first_exposure(con, spec) or known_until
        is_near = known_until - kept[1] <= max(_LAG * (known_until - begin), timedelta(0))
        if is_asked and not parts and not changed and is_near:
            return
        if is_asked:
            days = read_days(json.loads(kept[2])["days"])
            left = {k: [r for r in v if r.exposed_on not in changed] for k, v in days.items()}
            before = ReachBefore(kept[1], parts, left)
    found = read_outcome_reach(con, spec, known_until, pulled_until, is_kept=True, before=before)
    if kept is not None:
        run(con, "load/forget_outcome_reach", experiment=spec.experiment)
    days_found = {span: written(rows) for span, rows in found.days.items()}
    run(
        con,
        "load/outcome_reach",
        experiment=spec.experiment,
        asked=_identity(spec),
        known_until=known_until,
        reach=json.dumps(asdict(Reach(found.metrics, found.names)) | {"days": days_found}),
    )


def reach_at_look(
    con: Connection, spec: Experiment, known_until: datetime, *, is_kept: bool
) -> Reach:
    """What is known at a look; is_kept: whether it is at the last pull, whose users are kept."""
    kept = _kept(con, spec) if is_kept else None
    if kept is None or kept[0] != _identity(spec):
        return read_reach(con, spec, known_until, is_kept=is_kept)
    found = json.loads(kept[2])
    metrics = {
        name: tuple(_reach_of(each) for each in reaches)
        for name, reaches in found["metrics"].items()
    }
    return Reach(metrics, found["names"])


def read_reach(con: Connection, spec: Experiment, known_until: datetime, *, is_kept: bool) -> Reach:
    """The same from the rows; is_kept: whether the kept users are those of the time."""
    pulled_until = users_known_until(con, spec) or known_until
    found = read_outcome_reach(con, spec, known_until, pulled_until, is_kept=is_kept)
    return Reach(found.metrics, found.names)


def _reach_of(written: dict[str, Any]) -> OutcomeReach:
    variants = {
        v: VariantReach(
            **{**numbers, "days": tuple(DayCounts(*day) for day in numbers["days"])}
            | {kind: tuple(PlaceCount(*each) for each in numbers[kind]) for kind in TIMES}
        )
        for v, numbers in written["by_variant"].items()
    }
    examples = None if written["examples"] is None else (*written["examples"],)
    return OutcomeReach(**{**written, "by_variant": variants, "examples": examples})


def _identity(spec: Experiment) -> str:
    """Tells apart what was asked: users, the metrics' outcomes and windows, and which counts."""
    kinds = (OutcomeReach, VariantReach, DayReach)
    counts = [field.name for kind in kinds for field in fields(kind)]
    metrics = {
        name: (metric.kind, metric.outcome, metric.per, str(spec.span_of(metric)))
        for name, metric in spec.user_metrics.items()
    }
    return f"{asked_of(spec)} {metrics} {spec.sources.conversions is not None} {counts}"


def _kept(con: Connection, spec: Experiment) -> tuple[str, datetime, str] | None:
    row: tuple[str, datetime, str] | None = run(
        con, "aggregate/kept_reach", experiment=spec.experiment
    ).fetchone()
    return row


def _first_exposure(con: Connection, spec: Experiment) -> datetime | None:
    row = run(
        con,
        "aggregate/first_exposure",
        experiment=spec.experiment,
        variants=list(spec.variants),
        start=spec.earliest_exposure,
    ).fetchone()
    return row[0] if row else None
