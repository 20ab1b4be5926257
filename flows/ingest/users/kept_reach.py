"""Which outcomes reach whom, kept from pull to pull: a look with nothing new reads no rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from analysis.users.outcome_reach import OutcomeReach, VariantReach
from flows.ingest.users.kept_users import asked_of
from flows.ingest.users.read_outcome_reach import outcome_names, read_outcome_reach
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
    con: Connection, spec: Experiment, known_until: datetime, *, is_changed: bool
) -> None:
    """Works out anew what the kept users' outcomes reach, where rows or the spec have changed.

    Also where so much time has passed that users have become final.
    """
    kept = _kept(con, spec)
    if kept is not None and not is_changed and kept[0] == _identity(spec):
        begin = spec.plan.start or _first_exposure(con, spec) or known_until
        if known_until - kept[1] <= max(_LAG * (known_until - begin), timedelta(0)):
            return
    found = read_reach(con, spec, known_until, is_kept=True)
    run(
        con,
        "load/outcome_reach",
        experiment=spec.experiment,
        asked=_identity(spec),
        known_until=known_until,
        reach=json.dumps(asdict(found)),
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
    return Reach(
        read_outcome_reach(con, spec, known_until, is_kept=is_kept),
        outcome_names(con, spec, known_until),
    )


def _reach_of(written: dict[str, Any]) -> OutcomeReach:
    variants = {v: VariantReach(**numbers) for v, numbers in written["by_variant"].items()}
    examples = None if written["examples"] is None else (*written["examples"],)
    return OutcomeReach(**{**written, "by_variant": variants, "examples": examples})


def _identity(spec: Experiment) -> str:
    """Tells apart what was asked: users, the metrics' outcomes and windows, and which counts."""
    counts = [field.name for kind in (OutcomeReach, VariantReach) for field in fields(kind)]
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
