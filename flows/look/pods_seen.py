"""Whether the versions' pods, as they are scraped, are others, and as many and as old."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from analysis.plan import Plan
from analysis.quality.quality_check import QualityCheck
from flows.formats.text import counted
from flows.formats.time import instant, shown_duration
from flows.manifests.unlike_pods import REMEDY
from flows.spec.experiment import Experiment, Mesh
from flows.warehouse.statements import Connection, run

_LATELY_MS = 300_000
# One version has so many times the pods, or the age, of the other. Beyond a day caches are full and
# code is compiled: who is older than that is no better off.
_TIMES, _SETTLED_MS = 2, 86_400_000


# So many requests of a version may be of pods that answer for another one as well.
_SHARED = 0.01


def check_pods_apart(
    con: Connection, spec: Experiment, plan: Plan, *, at_ms: int
) -> tuple[QualityCheck, ...]:
    """A failed check where pods answer for two variants that are told apart by their Services.

    A switch of blue and green, or the end of a rollout, makes both Services select the same pods,
    which are then compared with themselves.
    """
    told = [one.version is None and one.service is not None for one in spec.variants.values()]
    is_counted = spec.mesh is Mesh.ISTIO and spec.reporter == "destination"
    if not (is_counted and all(told) and spec.request_metrics and spec.strategy is None):
        return ()
    span = {"since": instant(plan.start_ms), "until": instant(min(at_ms, plan.end_ms))}
    rows = run(con, "aggregate/shared_pods", experiment=spec.experiment, **span).fetchall()
    name, shares = "pods of one version", {row[0]: (row[2] / row[1], row[3]) for row in rows}
    variant, (share, pod) = max(shares.items(), key=lambda one: one[1][0], default=("", (0.0, "")))
    if share <= _SHARED:
        return ()
    detail = (
        f"{share:.2%} of {variant}'s requests were answered by pods that answer for another "
        f"variant, too ({pod}): both Services select them, as after a switch, so they are compared "
        "with themselves. End the plan before the switch, or tell the versions by `version`"
    )
    return (QualityCheck(name, False, detail),)


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
