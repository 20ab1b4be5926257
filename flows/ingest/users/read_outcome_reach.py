"""How many outcomes reach the users that a look compares: what the checks of their quality see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from analysis.users.outcome_reach import OutcomeReach, VariantReach
from flows.ingest.users.exposed_users import users_of
from flows.ingest.users.final_users import FinalUsers, final_users
from flows.ingest.users.reach_by_day import DayReach, ReachBefore, by_day, closed, together
from flows.ingest.users.read_unread_outcomes import read_unread_outcomes
from flows.ingest.users.sampled_reach import by_name, by_time, of_sample
from flows.spec.experiment import Experiment
from flows.spec.metrics import UserMetric
from flows.warehouse.statements import Connection, joined_as_written, run

_NO_STRANGERS = (0.0, 0.0, False)
_MICROSECOND = timedelta(microseconds=1)
# What has to be told user by user is told of a sample of about so many outcomes.
_SAMPLED_ROWS = 200_000


@dataclass(frozen=True, slots=True)
class _Asked:
    """Outcomes that metrics of one window are made of."""

    span: tuple[timedelta, timedelta]
    outcomes: tuple[str, ...]

    @property
    def span_us(self) -> tuple[int, int]:
        """The window in microseconds."""
        begin, end = self.span
        return begin // _MICROSECOND, end // _MICROSECOND


@dataclass(frozen=True, slots=True)
class FoundReach:
    """What outcomes reach whom: by metric that is made of users' outcomes, each name it counts.

    names: rows of every name of outcome. days: by span, what later pulls can add to.
    """

    metrics: Mapping[str, tuple[OutcomeReach, ...]]
    names: Mapping[str, int]
    days: Mapping[str, Sequence[DayReach]]


def read_outcome_reach(
    con: Connection,
    spec: Experiment,
    known_until: datetime,
    pulled_until: datetime,
    *,
    is_kept: bool,
    before: ReachBefore | None = None,
) -> FoundReach:
    """What is known at a look.

    is_kept: whether the kept users are those of the look; else users_at_look has them. before: of
    kept users, what needs not be read again.
    """
    names, latest = outcome_names(con, spec, known_until)
    later = max(known_until, pulled_until)
    metrics = {
        name: metric
        for name, metric in spec.user_metrics.items()
        if "outcomes" in spec.sources.rows
        and not (metric.kind == "proportion" and spec.sources.conversions is not None)
    }
    if not metrics:
        return FoundReach({}, names, {})
    look = _Look(con, spec, known_until, users_of(is_kept=is_kept), names, before)
    unread = read_unread_outcomes(
        look.rows,
        {outcome for metric in metrics.values() for outcome in _outcomes_of(metric)},
        names.keys(),
        known_until=known_until,
        later_than=later if latest > later else None,
    )
    by_span: dict[tuple[timedelta, timedelta], dict[str, OutcomeReach]] = {}
    for span in dict.fromkeys(spec.span_of(metric) for metric in metrics.values()):
        asked = [o for m in metrics.values() if spec.span_of(m) == span for o in _outcomes_of(m)]
        found = look.reach(_Asked(span, tuple(dict.fromkeys(asked))))
        by_span[span] = {name: unread.beside(reach) for name, reach in found.items()}
    of_metrics = {
        name: tuple(
            _for(spec, metric, by_span[spec.span_of(metric)][o]) for o in _outcomes_of(metric)
        )
        for name, metric in metrics.items()
    }
    return FoundReach(of_metrics, names, look.days)


def outcome_names(
    con: Connection, spec: Experiment, known_until: datetime
) -> tuple[dict[str, int], datetime]:
    """How many rows of each name there are up to a look, and when the last of all was."""
    rows = run(
        con, "aggregate/outcome_names", experiment=spec.experiment, look_at=known_until
    ).fetchall()
    latest = max((row[2] for row in rows), default=known_until)
    return {row[0]: row[1] for row in rows if row[1]}, latest


def _outcomes_of(metric: UserMetric) -> tuple[str, ...]:
    return (metric.outcome,) if metric.per is None else (metric.outcome, metric.per)


def _for(spec: Experiment, metric: UserMetric, reach: OutcomeReach) -> OutcomeReach:
    """Without what the metric doesn't need: values, and how often the same came.

    In a row per user what happened has a number, and what has none is infinite.
    """
    has_amounts = metric.kind in ("mean", "ratio", "quantile")
    adds_values = has_amounts or spec.sources.users is not None
    return replace(
        reach,
        by_variant={
            variant: replace(
                each,
                without_value=each.without_value if adds_values else 0,
                valueless=0 if adds_values else each.without_value,
                repeated=0 if metric.is_share else each.repeated,
                negative=each.negative if has_amounts else 0,
                sizes=each.sizes if has_amounts else (),
            )
            for variant, each in reach.by_variant.items()
        },
    )


@dataclass(frozen=True, slots=True)
class _Look:
    """Where the users and outcomes of one look are read."""

    con: Connection
    spec: Experiment
    known_until: datetime
    users: str
    totals: Mapping[str, int]
    before: ReachBefore | None
    days: dict[str, list[DayReach]] = field(default_factory=dict)

    def reach(self, asked: _Asked) -> dict[str, OutcomeReach]:
        """By outcome, how many rows reach whom."""
        from_us, until_us = asked.span_us
        names: dict[str, Any] = {"outcomes": list(asked.outcomes), "look_at": self.known_until}
        window: dict[str, Any] = {
            **names,
            "from_us": from_us,
            "until_us": until_us,
            "exposed_until": self.known_until - asked.span[1],
        }
        finals = self._finals(window["exposed_until"])
        reached = self._reached(asked, window)
        each = 1 + sum(self.totals.get(name, 0) for name in asked.outcomes) // _SAMPLED_ROWS
        sample = by_name(self.rows("aggregate/outcome_reach_sample", {**window, "each": each}))
        times = by_time(self.rows("aggregate/outcome_times_sample", {**window, "each": each}))
        foreign = {name: self.totals.get(name, 0) for name in asked.outcomes}
        for (outcome, _), row in reached.items():
            foreign[outcome] -= row.rows
        strangers = self._strangers(names, each) if any(foreign.values()) else {}
        other_shapes = any(has_other_shapes for *_, has_other_shapes in strangers.values())
        alike, examples = self._forms(names) if other_shapes else ({}, {})
        found = {
            outcome: OutcomeReach(
                outcome,
                rows=self.totals.get(outcome, 0),
                foreign=foreign[outcome],
                by_variant={
                    v: replace(
                        self._of_variant(v, reached.get((outcome, v)), finals, asked),
                        alike=alike.get((outcome, v), 0),
                        each=each,
                        **of_sample(sample[outcome, v], finals.by_day.get(v, {})),
                        **times[outcome, v],
                    )
                    for v in self.spec.variants
                },
                examples=examples.get(outcome),
                exposures_dated=finals.are_dated,
                strangers=strangers.get(outcome, _NO_STRANGERS)[0],
                strange=strangers.get(outcome, _NO_STRANGERS)[1],
            )
            for outcome in asked.outcomes
        }
        return self._with_examples(found, names)

    def _of_variant(
        self, variant: str, outcomes: DayReach | None, finals: FinalUsers, asked: _Asked
    ) -> VariantReach:
        """What is known of a variant's users from where their outcomes of one name lie."""
        users = finals.of(variant)
        if outcomes is None:
            return VariantReach(users=users)
        found = outcomes.reach(users, *asked.span_us)
        if found.last_ms is None:
            return found
        last = datetime.fromtimestamp(found.last_ms / 1000, UTC)
        if last >= self.known_until - asked.span[1]:
            return found
        return replace(found, users_later=users - self._finals(last).of(variant))

    def _finals(self, exposed_until: datetime) -> FinalUsers:
        """The users who came by then."""
        return final_users(self.rows("aggregate/final_users", {"exposed_until": exposed_until}))

    def _reached(self, asked: _Asked, window: dict[str, Any]) -> dict[tuple[str, str], DayReach]:
        """Where the outcomes of each name and variant lie: of users of other days than those that
        an earlier pull has, and of its days what is new."""
        span = f"{asked.span} {asked.outcomes}"
        known = self.before.days.get(span, ()) if self.before else ()
        found = list(known)
        if self.before and known:
            days: dict[str, Any] = {"days": sorted({row.exposed_on for row in known})}
            of_day, of_new = "list_contains($days, u.exposed_on)", "list_contains($parts, o.part)"
            mine = f"(select * from {self.users} as u where {of_day})"
            new = window | days | {"parts": list(self.before.parts)}
            found += self._of_days(mine, new, which=of_new)
            # Apart from the others, as then only what can have such rows is read.
            late = f"o.occurred_at > $since and not {of_new}"
            found += self._of_days(mine, new | {"since": self.before.since}, which=late)
            others = f"(select * from {self.users} as u where not {of_day})"
            with joined_as_written(self.con):
                found += self._of_days(others, window | days)
        else:
            found += self._of_days(self.users, window)
        self.days[span] = closed(by_day(found), window["exposed_until"])
        return together(found)

    def _of_days(
        self, users: str, asked: Mapping[str, Any], *, which: str = "true"
    ) -> list[DayReach]:
        """Where these users' outcomes lie; which: a condition of those that are read."""
        lists = {"users": users, "which": which}
        key = self.spec.experiment
        rows = run(self.con, "aggregate/outcome_reach", lists, experiment=key, **asked).fetchall()
        return [DayReach(*row) for row in rows]

    def rows(self, name: str, asked: Mapping[str, Any]) -> list[Any]:
        """The answer of a statement on the users of the look."""
        lists = {"users": self.users}
        return run(self.con, name, lists, experiment=self.spec.experiment, **asked).fetchall()

    def _strangers(
        self, names: Mapping[str, Any], each: int
    ) -> dict[str, tuple[float, float, bool]]:
        """By outcome: rows of nobody, those with an id of another shape, and if there are any."""
        run(self.con, "load/id_shape_macro")
        found = self.rows("aggregate/outcome_strangers", {**names, "each": each})
        return {outcome: (rows, strange, others) for outcome, rows, strange, others in found}

    def _forms(
        self, names: Mapping[str, Any]
    ) -> tuple[dict[tuple[str, str], int], dict[str, tuple[str, str]]]:
        """By outcome and variant the rows whose ids are alike, and by outcome the first such pair.

        Ids of one shape on both sides differ in more than their form.
        """
        run(self.con, "load/bare_id_macro")
        found = self.rows("aggregate/outcome_id_forms", names)
        shown = {outcome: (a, b) for outcome, _, _, a, b in reversed(found)}
        return {(outcome, variant): count for outcome, variant, count, *_ in found}, shown

    def _with_examples(
        self, found: Mapping[str, OutcomeReach], names: Mapping[str, Any]
    ) -> dict[str, OutcomeReach]:
        """With examples of ids where all are of nobody."""
        if not any(r.rows and r.rows == r.foreign and r.examples is None for r in found.values()):
            return dict(found)
        rows = self.rows("aggregate/outcome_id_examples", names)
        shown = {outcome: (stranger, exposed) for outcome, stranger, exposed in rows}
        return {
            outcome: replace(reach, examples=reach.examples or shown.get(outcome))
            for outcome, reach in found.items()
        }
