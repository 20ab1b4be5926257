"""Why nothing may be concluded from a counter or a query: no evidence is no good news."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from analysis.arrays import BoolArray, FloatArray
from analysis.counting.growth import only_grows
from analysis.requests.value_pairs import BucketValues
from flows.formats.time import milliseconds
from flows.spec.experiment import Experiment
from flows.spec.measured import CounterRate, CounterRatio, Gauge

# Bad events beyond all events: as many may be of what began before the plan.
_FEW, _FEW_OF_ALL = 5.0, 0.01
# Buckets that one hiccup may spoil, as of requests (analysis/requests/hiccups.py).
_HICCUP = 2
_COUNTER = re.compile(r"_(total|count|sum|bucket)\b")
_OF_COUNTERS = re.compile(r"\b(i?rate|increase|i?delta|deriv|changes|resets)\s*\(")


@dataclass(frozen=True, slots=True)
class Seen:
    """One metric of one variant.

    values: as they are compared; known: bool[buckets]; parts: amounts by part, NaN where not known.
    left: bad events beyond all events.
    """

    values: BucketValues
    known: BoolArray
    parts: Mapping[str, FloatArray]
    left: float = 0.0


def doubt_about(
    spec: Experiment,
    name: str,
    arm: str,
    seen: Seen,
    texts: Mapping[str, str],
    expected: BoolArray,
) -> str | None:
    """A sentence on what is missing of a variant; None if its data is enough.

    texts: what was asked, by part; expected: bool[buckets] in which both variants have traffic.
    """
    if not expected.any():
        return f"{arm} and the baseline have no traffic at one time yet"
    return (
        _absent(spec, name, arm, seen, texts)
        or _empty(spec, name, arm, seen)
        or gap_in(spec, arm, seen.known, expected)
        or _lost(spec, arm, seen)
    )


def _absent(
    spec: Experiment, name: str, arm: str, seen: Seen, texts: Mapping[str, str]
) -> str | None:
    metric = spec.measured_metrics[name]
    for part, text in texts.items():
        if np.isfinite(seen.parts.get(part, np.full(1, np.nan))).any():
            continue
        if part == "query":
            return (
                f"the query has no single finite value for {arm} (of several series take sum, avg "
                f"or max): {text}"
            )
        why = f"{arm} has no series {text}"
        if part == "of":
            return f"{why}, so it is unknown"
        remedy = "export it at 0 where nothing is counted yet"
        if isinstance(metric, CounterRatio) and metric.good is None:
            remedy += ", or name the good ones (`good`)"
        return f"{why}: none is not 0; {remedy}"
    return None


def _empty(spec: Experiment, name: str, arm: str, seen: Seen) -> str | None:
    metric, values = spec.measured_metrics[name], seen.values
    if isinstance(metric, CounterRate) and metric.per == "second":
        if not (values.weight > 0).any():
            return (
                "no split is configured, which `per: second` needs; set `split`, or `per: request`"
            )
        if not values.amount.any():
            return f"the counter of {arm} does not grow: nothing shows that it has traffic"
    if not (values.weight > 0).any():
        return f"{arm} has counted no event, so its share is 0 of 0"
    if isinstance(metric, CounterRatio):
        beyond = abs(seen.left)
        if beyond > max(_FEW, _FEW_OF_ALL * float(values.weight.sum())):
            return (
                f"{arm} has {beyond:,.0f} events beyond all of `of`: those counted must be a part "
                "of it (else `kind: rate`)"
            )
    return None


def gap_in(spec: Experiment, whose: str, is_known: BoolArray, expected: BoolArray) -> str | None:
    """A sentence on values that are missing, now or in between; None if there are enough.

    is_known, expected: bool[buckets].
    """
    width_ms = milliseconds(spec.plan.bucket)
    stale_ms = milliseconds(spec.quality.stale_after)
    known = np.flatnonzero(is_known)
    behind_ms = (len(is_known) - 1 - int(known[-1])) * width_ms if known.size else 0
    if behind_ms > stale_ms:
        return f"the last value of {whose} is {behind_ms / 1000:.0f} s old"
    gaps = 1 - float(is_known[expected].mean())
    limit = spec.quality.lost_exposure
    if gaps > limit:
        return (
            f"{whose} has no value in {gaps:.0%} of the time (limit {limit:.0%}); if it is scraped "
            "less often, set a longer plan.bucket"
        )
    return None


def more_infinite_ones(metric: Gauge, candidate: str, ours: Seen, theirs: Seen) -> str | None:
    """A sentence on a candidate's values that no average holds; None if the baseline has as many.

    Errors are divided by no success where every request failed.
    """
    worst = np.inf if metric.better == "lower" else -np.inf
    queried = [seen.parts.get("query", np.zeros(0)) for seen in (ours, theirs)]
    own, others = (int((values == worst).sum()) for values in queried)
    if own <= others + _HICCUP:
        return None
    return (
        f"the query is infinite for {candidate} in {own} buckets, for the baseline in {others}: "
        "something was divided by 0, and no average says how much worse that is"
    )


def counter_as_gauge(metric: Gauge, candidate: str, ours: Seen, theirs: Seen) -> str | None:
    """A sentence on a query of a bare counter, whose level says how long a version has run.

    By what it is called, as Prometheus names counters, and by its values: no gauge never falls.
    """
    names_one = _COUNTER.search(metric.query) and not _OF_COUNTERS.search(metric.query)
    values = [one.parts.get("query", np.zeros(0)) for one in (ours, theirs)]
    if not names_one or not all(only_grows(each, resets=True) for each in values):
        return None
    return (
        f"the query only ever grows, as a counter does, for {candidate} and the baseline: its "
        "level says how long a version has run; use `kind: rate`, or rate(...[5m]) in the query"
    )


def _lost(spec: Experiment, arm: str, seen: Seen) -> str | None:
    lost = float(np.nansum(seen.parts.get("lost", np.zeros(1))))
    counted = float(np.nansum(seen.parts.get("of", seen.parts.get("part", np.zeros(1)))))
    share = lost / max(counted + lost, 1.0)
    limit = spec.quality.lost_exposure
    if share > limit:
        return f"{share:.0%} of the events of {arm} were seen by no scrape (limit {limit:.0%})"
    return None
