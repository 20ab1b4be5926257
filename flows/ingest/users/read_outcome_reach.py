"""How many outcomes reach the users that a look compares: what the checks of their quality see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from analysis.users.outcome_reach import OutcomeReach, VariantReach
from flows.spec.experiment import Experiment
from flows.spec.metrics import UserMetric
from flows.warehouse.statements import statement

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_MICROSECOND = timedelta(microseconds=1)
_KEPT = "(select user_id, variant, exposed_at from exposed_users where experiment = $experiment)"
# It has the users of one experiment; every statement takes its name all the same.
_AT_LOOK = "(select user_id, variant, exposed_at from users_at_look where $experiment <> '')"


@dataclass(frozen=True, slots=True)
class _Asked:
    """Outcomes that metrics of one window are made of."""

    span: tuple[timedelta, timedelta]
    outcomes: tuple[str, ...]


def read_outcome_reach(
    con: DuckDBPyConnection, spec: Experiment, known_until: datetime, *, is_kept: bool
) -> dict[str, tuple[OutcomeReach, ...]]:
    """By metric that is made of users' outcomes, what is known of each name that it counts.

    is_kept: whether the kept users are those of the look; else users_at_look has them.
    """
    metrics = {
        name: metric
        for name, metric in spec.user_metrics.items()
        if "outcomes" in spec.sources.rows
        and not (metric.kind == "proportion" and spec.sources.conversions is not None)
    }
    look = _Look(con, spec, known_until, _KEPT if is_kept else _AT_LOOK)
    by_span: dict[tuple[timedelta, timedelta], dict[str, OutcomeReach]] = {}
    for span in dict.fromkeys(spec.span_of(metric) for metric in metrics.values()):
        names = [o for m in metrics.values() if spec.span_of(m) == span for o in _outcomes_of(m)]
        by_span[span] = look.reach(_Asked(span, tuple(dict.fromkeys(names))))
    return {
        name: tuple(_for(metric, by_span[spec.span_of(metric)][o]) for o in _outcomes_of(metric))
        for name, metric in metrics.items()
    }


def outcome_names(
    con: DuckDBPyConnection, spec: Experiment, known_until: datetime
) -> dict[str, int]:
    """How many rows of each name there are up to a look."""
    rows = con.execute(
        statement("aggregate/outcome_names"),
        {"experiment": spec.experiment, "look_at": known_until},
    ).fetchall()
    return dict(rows)


def _outcomes_of(metric: UserMetric) -> tuple[str, ...]:
    return (metric.outcome,) if metric.per is None else (metric.outcome, metric.per)


def _for(metric: UserMetric, reach: OutcomeReach) -> OutcomeReach:
    """Without what the metric doesn't need: values, and how often the same came."""
    adds_values = metric.kind in ("mean", "ratio", "quantile")
    return replace(
        reach,
        by_variant={
            variant: replace(
                each,
                without_value=each.without_value if adds_values else 0,
                repeated=0 if metric.is_share else each.repeated,
            )
            for variant, each in reach.by_variant.items()
        },
    )


@dataclass(frozen=True, slots=True)
class _Look:
    """Where the users and outcomes of one look are read."""

    con: DuckDBPyConnection
    spec: Experiment
    known_until: datetime
    users: str

    def reach(self, asked: _Asked) -> dict[str, OutcomeReach]:
        """By outcome, how many rows reach whom."""
        begin, end = asked.span
        exposed_until = self.known_until - end
        names: dict[str, Any] = {"outcomes": list(asked.outcomes), "look_at": self.known_until}
        window = {"from_us": begin // _MICROSECOND, "until_us": end // _MICROSECOND}
        finals = self.rows("aggregate/final_users", {"exposed_until": exposed_until})
        users = {variant: count for variant, count, _ in finals}
        rows = self.rows(
            "aggregate/outcome_reach", {**names, **window, "exposed_until": exposed_until}
        )
        examples, alike = self._forms(names, {row[0] for row in rows if row[1] is None})
        others = self._others(asked.outcomes)
        return {
            outcome: OutcomeReach(
                outcome,
                rows=sum(row[2] for row in rows if row[0] == outcome),
                foreign=sum(row[2] for row in rows if row[0] == outcome and row[1] is None),
                by_variant={
                    variant: _variant(
                        users.get(variant, 0),
                        next((row[2:] for row in rows if row[:2] == (outcome, variant)), ()),
                        alike.get((outcome, variant), 0),
                    )
                    for variant in self.spec.variants
                },
                examples=examples.get(outcome),
                only_in=others,
                exposures_dated=bool(finals) and all(row[2] for row in finals),
            )
            for outcome in asked.outcomes
        }

    def rows(self, name: str, asked: Mapping[str, Any]) -> list[Any]:
        """The answer of a statement on the users of the look."""
        text = statement(name, users=self.users)
        return self.con.execute(text, {"experiment": self.spec.experiment, **asked}).fetchall()

    def _forms(
        self, names: Mapping[str, Any], foreign: set[str]
    ) -> tuple[dict[str, tuple[str, str]], dict[tuple[str, str], int]]:
        """An id of each side by outcome, and by outcome and variant the rows that are alike."""
        if not foreign:
            return {}, {}
        self.con.execute(statement("load/bare_id_macro"))
        found = self.rows("aggregate/outcome_id_forms", names)
        shown = {
            outcome: (a, b) for outcome, a, b in self.rows("aggregate/outcome_id_examples", names)
        }
        shown |= {outcome: (a, b) for outcome, _, _, a, b in reversed(found)}
        return shown, {(outcome, variant): count for outcome, variant, count, *_ in found}

    def _others(self, asked: Sequence[str]) -> dict[str, dict[str, int]]:
        """By variant, the outcomes that no metric asks for and that only its users have."""
        rows = self.rows("aggregate/outcomes_by_variant", {"look_at": self.known_until})
        found: dict[str, dict[str, int]] = {}
        for outcome, variant, count in rows:
            if outcome not in asked and sum(row[0] == outcome for row in rows) == 1:
                found.setdefault(variant, {})[outcome] = count
        return found


def _variant(users: int, numbers: Sequence[Any], alike: int) -> VariantReach:
    if not numbers:
        return VariantReach(users=users, alike=alike)
    rows, dated, counted, happened, without, repeated, before, same_day, users_before = numbers
    return VariantReach(
        users,
        rows,
        dated,
        counted,
        happened,
        without,
        repeated,
        before,
        same_day,
        users_before,
        alike,
    )
