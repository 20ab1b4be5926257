"""Whether the versions' pods, as they are scraped, differ in number or in age."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from flows.formats.text import counted
from flows.formats.time import instant, shown_duration
from flows.manifests.unlike_pods import REMEDY
from flows.spec.experiment import Experiment
from flows.warehouse.statements import Connection, run

_LATELY_MS = 300_000
# One version has so many times the pods, or the age, of the other. Beyond a day caches are full and
# code is compiled: who is older than that is no better off.
_TIMES, _SETTLED_MS = 2, 86_400_000


def unlike_pods_seen(con: Connection, spec: Experiment, until_ms: int) -> Iterator[str]:
    """Sentences on each candidate whose pods differ from the baseline's in number or age.

    Of requests that the versions' own proxies count: others scrape callers and gateways.
    """
    if spec.reporter != "destination" or not spec.request_metrics:
        return
    rows = run(
        con,
        "aggregate/pods_seen",
        experiment=spec.experiment,
        since=instant(until_ms - _LATELY_MS),
        until=instant(until_ms),
    ).fetchall()
    pods = {variant: count for variant, count, _, _ in rows}
    ages = {
        variant: until_ms - started
        for variant, count, known, started in rows
        if known == count and started is not None
    }
    for candidate in spec.candidates:
        if _differ(pods, spec.baseline, candidate):
            have = f"{spec.baseline} has {counted(pods[spec.baseline], 'pod')}"
            yield f"{have}, {candidate} {pods[candidate]}; {REMEDY}"
        settled = {name: min(age, _SETTLED_MS) for name, age in ages.items()}
        if _differ(settled, spec.baseline, candidate):
            old, new = (_shown(ages[name]) for name in (spec.baseline, candidate))
            yield f"pods of {spec.baseline} run for {old}, those of {candidate} for {new}; {REMEDY}"


def _shown(age_ms: int) -> str:
    """To the minute, from two minutes on."""
    unit_ms = 60_000 if age_ms >= 120_000 else 1000
    return shown_duration(timedelta(milliseconds=age_ms // unit_ms * unit_ms))


def _differ(found: dict[str, int], one: str, other: str) -> bool:
    if one not in found or other not in found:
        return False
    low, high = sorted((found[one], found[other]))
    return high >= _TIMES * max(low, 1)
