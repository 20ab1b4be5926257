"""What one look sees of the users: a final value each, reduced to sums per variant and metric."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from flows.spec import CounterSource, Experiment, UnitMetric
from flows.statements import statement

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class MetricStatistic:
    """One metric of one variant.

    n: users with a final value. mean: nan without users. variance: of one user's value, p (1 - p)
    for a proportion, else with n - 1 in the denominator (nan below two users).
    """

    n: int
    mean: float
    variance: float


@dataclass(frozen=True, slots=True)
class UnitStatistics:
    """Users and what they did, up to a look.

    metrics: by metric and variant of the spec, all of both.
    users: exposed users by variant, those seen in two variants left out.
    mixed_users: seen in two variants. maturing: by metric and variant, users whose window still
    runs. outcomes_before_exposure, outcomes_never_exposed: rows that count for nobody.
    known_until: the look, or the last pull if that was earlier.
    warnings: what contradicts itself in the data.
    """

    metrics: Mapping[str, Mapping[str, MetricStatistic]]
    users: Mapping[str, int]
    mixed_users: int
    maturing: Mapping[str, Mapping[str, int]]
    outcomes_before_exposure: int
    outcomes_never_exposed: int
    known_until: datetime
    warnings: tuple[str, ...] = field(default=())


def read_unit_statistics(con: DuckDBPyConnection, spec: Experiment, at: datetime) -> UnitStatistics:
    """The users' evidence at a look. A read-only connection will do; its time zone must be UTC.

    Nothing after the last pull is known: a user whose window ends later is still maturing.
    """
    counters = spec.sources.conversions
    known_until = _known_until(con, spec, at)
    _name_metrics(con, spec, known_until)
    asked = {"experiment": spec.experiment, "look_at": known_until}
    users, mixed = _exposed(con, spec, asked)
    metrics = _per_user(con, spec, asked)
    early, never = _uncounted(con, asked)
    maturing = {
        name: {variant: users[variant] - by_variant[variant].n for variant in spec.variants}
        for name, by_variant in metrics.items()
    }
    warnings: tuple[str, ...] = ()
    if counters is not None:
        counts = _counted(con, spec, at)
        if spec.sources.exposures is None:
            users = {variant: counts[variant, counters.exposed] for variant in spec.variants}
        for name, metric in _proportions(spec):
            metrics[name] = {
                variant: _share(counts[variant, metric.outcome], counts[variant, counters.exposed])
                for variant in spec.variants
            }
            maturing[name] = dict.fromkeys(spec.variants, 0)
        warnings = tuple(_contradictions(spec, counters, counts))
    return UnitStatistics(metrics, users, mixed, maturing, early, never, known_until, warnings)


def _proportions(spec: Experiment) -> Iterator[tuple[str, UnitMetric]]:
    return ((k, m) for k, m in spec.unit_metrics.items() if m.kind == "proportion")


def _known_until(con: DuckDBPyConnection, spec: Experiment, at: datetime) -> datetime:
    row = con.execute(
        statement("aggregate/unit_known_until"), {"experiment": spec.experiment}
    ).fetchall()[0]
    return at if row[0] is None else min(at, row[0].astimezone(UTC))


def _name_metrics(con: DuckDBPyConnection, spec: Experiment, known_until: datetime) -> None:
    """Makes the temporary relations that sql/aggregate/unit_* read beside the data."""
    shifts = {
        (outcome, kind): shift
        for outcome, kind, shift in _rows(con, "load/unit_shifts", {"experiment": spec.experiment})
    }
    con.execute(statement("load/unit_variants_table"), {"variants": list(spec.variants)})
    con.execute(statement("load/unit_metrics_table"))
    for name, metric in spec.unit_metrics.items():
        con.execute(
            statement("load/unit_metric"),
            {
                "metric": name,
                "kind": metric.kind,
                "outcome": metric.outcome,
                "window_us": metric.window // _MICROSECOND,
                "exposed_until": known_until - metric.window,
                "shift": shifts.get((metric.outcome, metric.kind), 0.0),
            },
        )


def _exposed(
    con: DuckDBPyConnection, spec: Experiment, asked: Mapping[str, Any]
) -> tuple[dict[str, int], int]:
    """Exposed users by variant, and those seen in two."""
    users, mixed = dict.fromkeys(spec.variants, 0), 0
    for _, variant, count in _rows(con, "aggregate/unit_exposures", asked):
        if variant is None:
            mixed += count
        else:
            users[variant] += count
    return users, mixed


def _per_user(
    con: DuckDBPyConnection, spec: Experiment, asked: Mapping[str, Any]
) -> dict[str, Mapping[str, MetricStatistic]]:
    rows = {
        (variant, metric): _statistic(*rest)
        for variant, metric, *rest in _rows(con, "aggregate/unit_statistics", asked)
    }
    nobody = MetricStatistic(0, float("nan"), float("nan"))
    return {
        metric: {variant: rows.get((variant, metric), nobody) for variant in spec.variants}
        for metric in spec.unit_metrics
    }


def _statistic(
    kind: str, n: int, shift: float, shifted_sum: float, shifted_square_sum: float
) -> MetricStatistic:
    """Mean and variance from sums of the distance to the shift."""
    distance = float(shifted_sum) / n
    mean = shift + distance
    if kind == "proportion":
        return MetricStatistic(n, mean, mean * (1 - mean))
    if n < 2:
        return MetricStatistic(n, mean, float("nan"))
    variance = (float(shifted_square_sum) - n * distance * distance) / (n - 1)
    return MetricStatistic(n, mean, max(variance, 0.0))


def _uncounted(con: DuckDBPyConnection, asked: Mapping[str, Any]) -> tuple[int, int]:
    rows = _rows(con, "aggregate/unit_outcomes", asked)
    return sum(int(row[2]) for row in rows), sum(int(row[3]) for row in rows)


def _counted(
    con: DuckDBPyConnection, spec: Experiment, at: datetime
) -> defaultdict[tuple[str, str], int]:
    """Users by variant and outcome from counters, in whole buckets up to the look."""
    until = at - spec.plan.bucket + _MICROSECOND
    rows = _rows(con, "aggregate/unit_conversions", {"experiment": spec.experiment, "until": until})
    return defaultdict(int, {(variant, outcome): int(users) for variant, outcome, users in rows})


def _share(x: int, n: int) -> MetricStatistic:
    if n == 0:
        return MetricStatistic(0, float("nan"), float("nan"))
    return MetricStatistic(n, x / n, max(x / n * (1 - x / n), 0.0))


def _contradictions(
    spec: Experiment, counters: CounterSource, counts: Mapping[tuple[str, str], int]
) -> Iterator[str]:
    for name, metric in _proportions(spec):
        for variant in spec.variants:
            x, n = counts[variant, metric.outcome], counts[variant, counters.exposed]
            if x > n:
                yield (
                    f"{name}, {variant}: {x:,} users with {metric.outcome!r} of {n:,} with "
                    f"{counters.exposed!r}: one of the counters doesn't count users"
                )


def _rows(con: DuckDBPyConnection, name: str, parameters: Mapping[str, Any]) -> list[Any]:
    return con.execute(statement(name), dict(parameters)).fetchall()
