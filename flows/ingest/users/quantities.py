"""What is summed per user for the metrics of a spec: quantities, in cohorts of one window each."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from analysis.users.estimates import Quantity
from flows.spec.experiment import Experiment
from flows.spec.metrics import UserMetric

_MICROSECOND = timedelta(microseconds=1)


_DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class UserQuantity:
    """A value of each user: from outcomes between two times after the first exposure.

    counts: whether one happened, how many did, or the sum of their values. Times in microseconds;
    negative ones lie before the exposure. cap_share: share of users whose value isn't capped.
    middle_day: if given, an outcome counts times its day's distance to it (a trend over days).
    """

    outcome: str
    counts: Literal["happened", "count", "sum"]
    from_us: int
    until_us: int
    cap_share: float | None = None
    middle_day: float | None = None

    @property
    def shift_kind(self) -> str:
        """Which shift of its outcome it is measured from; '' where it needs none."""
        return {"count": "count", "sum": "mean"}.get(self.counts, "")

    @property
    def identity(self) -> str:
        """Tells two quantities apart."""
        span = f"{self.from_us}|{self.until_us}"
        return f"{self.outcome}|{self.counts}|{span}|{self.cap_share}|{self.middle_day}"


@dataclass(frozen=True, slots=True)
class MetricQuantities:
    """Where a metric's parts stand among its cohort's quantities.

    trend: each user's trend over the days of the window; trend_days: how many those are.
    """

    value: Quantity
    covariates: tuple[Quantity, ...] = ()
    trend: Quantity | None = None
    trend_days: int = 0

    @property
    def positions(self) -> tuple[int, ...]:
        """All of them, each once, in order."""
        found = [q for each in (self.value, *self.covariates) for q in _ends(each)]
        return tuple(dict.fromkeys(found))


@dataclass(frozen=True, slots=True)
class Cohort:
    """The metrics whose users get their final value so long after the first exposure.

    pairs: the products that are summed, as positions of two quantities, the lower one first.
    shown: of metrics whose conversions are shown by day, the position of the value.
    """

    window_us: int
    quantities: tuple[UserQuantity, ...]
    metrics: Mapping[str, MetricQuantities]
    pairs: tuple[tuple[int, int], ...] = field(default=())
    shown: Mapping[str, int] = field(default_factory=dict)

    @property
    def reach_us(self) -> tuple[int, int]:
        """How long before and after a user's exposure outcomes can count."""
        before = -min(q.from_us for q in self.quantities)
        return max(before, 0), max(q.until_us for q in self.quantities)

    def exposed_until(self, known_until: datetime) -> datetime:
        """Users exposed by then have a final value by known_until."""
        return known_until - self.window_us * _MICROSECOND

    @property
    def amounts(self) -> tuple[int, ...]:
        """Quantities that one user can carry: values of metrics that aren't shares or ratios."""
        found = [m.value.numerator for m in self.metrics.values() if m.value.denominator is None]
        kept = [i for i in found if self.quantities[i].counts != "happened"]
        return tuple(dict.fromkeys(kept))

    @property
    def shown_places(self) -> tuple[int, ...]:
        """The positions of the values that are shown, each once."""
        return tuple(dict.fromkeys(self.shown.values()))

    def identity(self, shifts: list[float], caps: list[float | None], asked: str) -> str:
        """Tells sums apart that don't add up: other quantities, shifts, caps, variants."""
        parts = [q.identity for q in self.quantities]
        text = f"{self.window_us} {parts} {self.pairs} {self.shown_places} {shifts} {caps} {asked}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def cohorts_of(spec: Experiment) -> tuple[Cohort, ...]:
    """The metrics that sums can give, by window; those that counters say are left out."""
    by_window: dict[int, dict[str, UserMetric]] = {}
    for name, metric in spec.user_metrics.items():
        counted = metric.kind == "proportion" and spec.sources.conversions is not None
        if metric.kind != "quantile" and not counted:
            by_window.setdefault(spec.span_of(metric)[1] // _MICROSECOND, {})[name] = metric
    return tuple(_cohort(spec, window, metrics) for window, metrics in sorted(by_window.items()))


def quantile_cohorts(spec: Experiment) -> Mapping[str, Cohort]:
    """A cohort for each quantile of users' totals; their values are read, not sums of them."""
    return {
        name: _cohort(spec, spec.span_of(metric)[1] // _MICROSECOND, {name: metric})
        for name, metric in spec.user_metrics.items()
        if metric.kind == "quantile"
    }


def _cohort(spec: Experiment, window_us: int, metrics: Mapping[str, UserMetric]) -> Cohort:
    quantities: dict[UserQuantity, int] = {}
    placed = {name: _place(spec, metric, quantities) for name, metric in metrics.items()}
    pairs = {
        (min(i, j), max(i, j))
        for each in placed.values()
        for i in each.positions
        for j in each.positions
    } | {(q, q) for each in placed.values() if each.trend for q in _ends(each.trend)}
    shown = {
        name: placed[name].value.numerator
        for name, metric in metrics.items()
        if metric.kind in ("proportion", "count", "mean")
    }
    return Cohort(window_us, tuple(quantities), placed, tuple(sorted(pairs)), shown)


def _place(
    spec: Experiment, metric: UserMetric, quantities: dict[UserQuantity, int]
) -> MetricQuantities:
    """Adds the metric's quantities to those of its cohort, each once."""
    begin, end = (edge // _MICROSECOND for edge in spec.span_of(metric))

    def value(outcome: str, begin_us: int, end_us: int, cap: float | None) -> Quantity:
        found = []
        for each in (outcome,) if metric.per is None else (outcome, metric.per):
            quantity = UserQuantity(each, _counts(metric), begin_us, end_us, cap)
            found.append(quantities.setdefault(quantity, len(quantities)))
        return Quantity(*found)

    own = value(metric.outcome, begin, end, metric.cap)
    covariates = tuple(
        value(each.outcome or metric.outcome, -(each.before // _MICROSECOND), 0, metric.cap)
        for each in metric.adjust
    )
    days = (end - begin) // _DAY_US
    # A table with a row per user doesn't say on which day they did what.
    is_dated = spec.sources.users is None
    if metric.kind not in ("proportion", "count", "mean") or days < 2 or not is_dated:
        return MetricQuantities(own, covariates)
    trend = UserQuantity(
        metric.outcome,
        "sum" if metric.kind == "mean" else "count",
        begin,
        days * _DAY_US,
        middle_day=(days - 1) / 2,
    )
    place = quantities.setdefault(trend, len(quantities))
    return MetricQuantities(own, covariates, Quantity(place), days)


def _counts(metric: UserMetric) -> Literal["happened", "count", "sum"]:
    if metric.is_share:
        return "happened"
    return "count" if metric.kind == "count" else "sum"


def _ends(quantity: Quantity) -> tuple[int, ...]:
    if quantity.denominator is None:
        return (quantity.numerator,)
    return (quantity.numerator, quantity.denominator)


# Between the columns of a crossing, so that no column's name is taken for one.
CROSSED = "\x1f"


def dimensions_of(spec: Experiment) -> Mapping[str, tuple[str, ...]]:
    """By name, the columns of every set of segments: each alone, and crossed where strata are."""
    alone = {column: (column,) for column in spec.segments}
    asked = [spec.strata_of(metric) for metric in spec.user_metrics.values()]
    return alone | {dimension_name(strata): strata for strata in asked if len(strata) > 1}


def dimension_name(columns: Sequence[str]) -> str:
    """The name of a set of columns."""
    return CROSSED.join(columns)
