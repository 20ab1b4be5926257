"""What one look sees of the users: a final value each, reduced to sums per variant and metric."""

from __future__ import annotations

from datetime import datetime

from analysis.evidence import UserEvidence
from flows.ingest.users.aggregates_at_look import read_aggregates_at_look
from flows.ingest.users.exposed_users import BySplit, ExposedUsers
from flows.ingest.users.parts import gone_outcomes, lost_outcomes
from flows.ingest.users.plan_splits import SplitStarts
from flows.ingest.users.sums_at_look import read_sums_at_look
from flows.look.counted_users import count_users
from flows.look.user_estimates import estimate_metrics
from flows.spec.experiment import Experiment
from flows.warehouse.statements import Connection


def read_user_statistics(
    con: Connection, spec: Experiment, at: datetime, *, splits: SplitStarts = ()
) -> UserEvidence:
    """The users' evidence at a look. A read-only connection will do; its time zone must be UTC.

    splits: when those of the plan begin, but for the first; users are compared within each.
    """
    if spec.sources.sums is None:
        seen = read_sums_at_look(con, spec, at, splits)
    else:
        seen = read_aggregates_at_look(con, spec, at)
    found, exposed = estimate_metrics(spec, seen), seen.exposed
    for name, why in seen.unknown.items():
        found.withdraw(name, why)
    counters = spec.sources.conversions
    counted = None if counters is None else count_users(con, spec, counters, at, found)
    only_counted = None if counted is None or spec.sources.rows else counted.exposed
    return UserEvidence(
        samples={name: found.samples[name] for name in spec.user_metrics},
        proportions=frozenset(
            name
            for name, metric in spec.user_metrics.items()
            if metric.is_share and name not in found.removed
        ),
        exposed=exposed.users if only_counted is None else only_counted,
        mixed=exposed.mixed,
        final_users=found.final_users,
        exposed_by_split=exposed.by_split if only_counted is None else (),
        exposed_by_part=_parts(exposed),
        segments=found.segments,
        trends=found.trends,
        trend_days=found.trend_days,
        denominators=found.denominators,
        covariates=found.covariates,
        largest=found.largest,
        variance_removed=found.removed,
        unknown=found.unknown,
        contradictions=() if counted is None else counted.contradictions,
        reach=seen.reach,
        outcome_names=seen.outcome_names,
        lost_outcomes=lost_outcomes(con, spec),
        gone_outcomes=gone_outcomes(con, spec),
        counted={**seen.counted, **({} if counted is None else counted.reach)},
        late=found.late,
        are_sums=spec.sources.sums is not None,
        faults=seen.faults,
    )


def _parts(exposed: ExposedUsers) -> dict[str, dict[str, BySplit]]:
    """Exposed users by day and by segment, of each split apart."""
    days = {day.isoformat(): users for day, users in sorted(exposed.by_day.items())}
    parts = {"day": days} if days else {}
    for dimension, segments in exposed.by_segment.items():
        # A segment of that name would hide the days.
        name = f"segment {dimension}" if dimension in parts else dimension
        parts[name] = {part or "none": users for part, users in sorted(segments.items())}
    return parts
