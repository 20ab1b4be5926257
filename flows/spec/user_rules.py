"""Rules between the fields of metrics per user, their sources and the plan."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from flows.formats.problems import Finding
from flows.formats.time import shown_duration
from flows.spec.experiment import Experiment
from flows.spec.metric_fields import too_large_for_a_share
from flows.spec.metrics import UserMetric
from flows.spec.recovery import Parts
from flows.spec.sources import UsersFile, UsersQuery, UsersSums

_SOURCES = ("exposures", "outcomes", "users", "conversions")
# What a row per user can tell: how much of each outcome, not when or how often.
_OF_A_ROW_PER_USER = ("proportion", "mean", "ratio", "quantile")
_NEEDED = {"per": "ratio", "day": "retention", "quantile": "quantile"}


def check_users(parts: Parts, spec: Experiment) -> Iterator[Finding]:
    """Every broken rule of the metrics per user, as far as the parts it is about are known."""
    if all(parts.is_sound("sources", source) for source in _SOURCES):
        yield from _check_sources(spec)
        yield from _check_table(spec)
        yield from _check_engine(spec)
    for name in spec.user_metrics:
        yield from _check_kind(parts, spec, name)
        yield from _check_margin(parts, spec, name)
        yield from _check_window(parts, spec, name)
        if parts.is_sound("metrics", name, "stratify") and parts.is_sound("sources", "exposures"):
            yield from _check_strata(spec, name)
    yield from _check_counters(parts, spec)
    outcomes = spec.sources.outcomes
    if outcomes is not None and outcomes.segments:
        yield Finding(
            ("sources", "outcomes", "segments"), "belongs to exposures: users are split by them"
        )


def _check_sources(spec: Experiment) -> Iterator[Finding]:
    names, sources = ", ".join(spec.user_metrics), spec.sources
    rows = len(sources.rows) == 2 or sources.sums is not None
    if names and sources.conversions is None and not rows:
        yield Finding(
            ("sources",),
            f"needs `exposures` and `outcomes` (or `users`, or `conversions`) for {names}",
        )
    counted = [
        name
        for name, metric in spec.user_metrics.items()
        if metric.kind != "proportion" or metric.adjust
    ]
    if counted and sources.conversions is not None and not rows:
        yield Finding(
            ("sources",), f"conversions hold no values per user; {counted[0]} needs users"
        )


def _check_engine(spec: Experiment) -> Iterator[Finding]:
    """What an engine reads is Parquet that it sees."""
    if spec.engine is None:
        return
    if not spec.sources.rows:
        yield Finding(
            ("engine",), "has nothing to read: set sources.exposures and sources.outcomes"
        )
    for name in ("exposures", "outcomes", "users"):
        source = getattr(spec.sources, name)
        pattern = getattr(source, "files", None)
        if source is not None and (pattern is None or not _is_parquet(pattern)):
            yield Finding(
                ("sources", name), "must be Parquet files: an engine (`engine`) reads no others"
            )


def _is_parquet(pattern: str) -> bool:
    """A folder's files in object storage are, too."""
    return pattern.endswith((".parquet", ".pq")) or ("://" in pattern and pattern.endswith("/"))


def _check_table(spec: Experiment) -> Iterator[Finding]:
    """A table with a row per user, or sums, stand instead of other rows, and tell less."""
    users = spec.sources.users
    if users is None:
        return
    is_sums = isinstance(users, UsersSums)
    for other in ("exposures", "outcomes", *(("conversions",) if is_sums else ())):
        if getattr(spec.sources, other) is not None:
            yield Finding(("sources", other), "can't be combined with `users`")
    if spec.plan.start is None and (is_sums or spec.sources.is_timeless):
        why = "sums don't say it" if is_sums else "sources.users has no `at`"
        yield Finding(("plan", "start"), f"is missing: {why}, so it must say when users came")
    if any(stage.weights != spec.stages[0].weights for stage in spec.stages) and (
        is_sums or spec.sources.is_timeless
    ):
        yield Finding(
            ("sources", "users"),
            "can't tell under which of the plan's splits each user came; use rows with times, or "
            "one split",
        )
    for name, metric in spec.user_metrics.items():
        if isinstance(users, UsersSums):
            yield from _check_sums(name, metric)
        else:
            yield from _check_row_per_user(users, name, metric)


def _check_row_per_user(
    users: UsersFile | UsersQuery, name: str, metric: UserMetric
) -> Iterator[Finding]:
    if metric.kind not in _OF_A_ROW_PER_USER:
        yield Finding(
            ("metrics", name, "kind"),
            f"is {metric.kind}, which a row per user can't tell; must be one of "
            f"{', '.join(_OF_A_ROW_PER_USER)}",
        )
    if metric.adjust:
        yield Finding(("metrics", name, "adjust"), "isn't possible with a row per user")
    for outcome in (metric.outcome, metric.per):
        if outcome is not None and outcome not in users.outcomes:
            yield Finding(
                ("metrics", name, "outcome" if outcome == metric.outcome else "per"),
                f"is {outcome!r}, must be one of sources.users.outcomes: "
                f"{', '.join(users.outcomes)}",
            )


def _check_sums(name: str, metric: UserMetric) -> Iterator[Finding]:
    """What can't be made of sums any more."""
    if metric.kind == "quantile":
        yield Finding(("metrics", name, "kind"), "is quantile, which sums can't tell")
    if metric.cap is not None:
        yield Finding(("metrics", name, "cap"), "isn't possible with sums: cap what is summed")
    if len(metric.adjust) > 1:
        yield Finding(
            ("metrics", name, "adjust"), "has several covariates; a row of sums has one at most"
        )
    if isinstance(metric.stratify, list) and len(metric.stratify) > 1:
        yield Finding(
            ("metrics", name, "stratify"),
            "names several columns; of sums it can be one: cross them in `stratum`",
        )


def _is_counted(spec: Experiment, metric: UserMetric) -> bool:
    """Whether counters tell it: they hold no users, and no window."""
    return metric.kind == "proportion" and spec.sources.conversions is not None


def _check_counters(parts: Parts, spec: Experiment) -> Iterator[Finding]:
    """Users are compared within the split that they came under, which counters don't know."""
    counted = [name for name, m in spec.user_metrics.items() if _is_counted(spec, m)]
    if not counted or not parts.is_sound("plan", "stages") or not parts.is_sound("split"):
        return
    if any(stage.weights != spec.stages[0].weights for stage in spec.stages):
        yield Finding(
            ("sources", "conversions"),
            f"can't tell {', '.join(counted)} in stages of different splits: counters don't say "
            "when a user was exposed; use exposures and outcomes, or one split",
        )


def _check_window(parts: Parts, spec: Experiment, name: str) -> Iterator[Finding]:
    """A user enters when the window has passed: some must have come so long before the end."""
    metric, field = spec.user_metrics[name], "window"
    if metric.kind == "retention":
        field = "day"
    length = parts.longest if spec.delivery else parts.length
    if _is_counted(spec, metric) or length is None or not parts.is_sound("metrics", name, field):
        return
    # Sums of a day are of users who came until its end.
    day = timedelta(days=1) if spec.sources.sums and not spec.sources.is_timeless else timedelta(0)
    if spec.span_of(metric)[1] + day >= length:
        yield Finding(
            ("metrics", name, field),
            f"is {shown_duration(metric.span[1])}, must be shorter than the whole plan, "
            f"{shown_duration(length)}: else no user ever has a final value; say a longer "
            f"{'plan.stages' if parts.written_stages else 'plan.duration'}",
        )


def _check_kind(parts: Parts, spec: Experiment, name: str) -> Iterator[Finding]:
    """Fields that belong to one kind of metric per user."""
    metric = spec.user_metrics[name]
    for field, kind in _NEEDED.items():
        path = ("metrics", name, field)
        written = getattr(metric, field) is not None or not parts.is_sound(*path)
        if not written and metric.kind == kind:
            yield Finding(path, f"is missing: a metric of kind {kind} needs it")
        if written and metric.kind != kind:
            yield Finding(path, f"belongs to the kind {kind}, not to {metric.kind}")
    if metric.kind in ("proportion", "retention", "quantile") and metric.cap is not None:
        yield Finding(("metrics", name, "cap"), f"has no use for the kind {metric.kind}")
    if metric.kind == "quantile" and metric.adjust:
        yield Finding(("metrics", name, "adjust"), "isn't possible for the kind quantile")
    if metric.kind == "retention" and "window" in metric.model_fields_set:
        yield Finding(("metrics", name, "window"), "follows from `day` for the kind retention")


def _check_margin(parts: Parts, spec: Experiment, name: str) -> Iterator[Finding]:
    metric, path = spec.user_metrics[name], ("metrics", name, "margin")
    known = parts.is_sound(*path) and parts.is_sound("metrics", name, "kind")
    problem = too_large_for_a_share(metric.margin)
    if known and metric.is_share and problem is not None:
        yield Finding(path, f"is {metric.margin.absolute:g}, {problem}")


def _check_strata(spec: Experiment, name: str) -> Iterator[Finding]:
    metric, path = spec.user_metrics[name], ("metrics", name, "stratify")
    if not metric.stratify:
        return
    if metric.kind == "quantile":
        yield Finding(path, "isn't possible for the kind quantile")
    elif metric.kind == "proportion" and spec.sources.conversions is not None:
        yield Finding(path, "isn't possible with conversions, which know no segments of users")
    elif not spec.segments:
        yield Finding(path, "needs sources.exposures.segments: the columns that users are split by")
    elif isinstance(metric.stratify, list):
        known = ", ".join(spec.segments)
        for column in metric.stratify:
            if column not in spec.segments:
                yield Finding(path, f"names {column!r}, which is not a segment; there are {known}")
