"""Each version's share of its service, once, however many experiments are about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from dashboards.exported_metrics import TrafficShare


@dataclass(frozen=True, slots=True)
class VersionTraffic:
    """What a version got in the latest stage of an experiment.

    per_second: requests; where no requests are counted (is_users), users.
    """

    experiment: str
    look_at_ms: int
    service: str
    namespace: str
    version: str
    per_second: float
    is_users: bool = False


def service_shares(traffic: Iterable[VersionTraffic]) -> dict[str, list[TrafficShare]]:
    """The shares by the experiment that says them; those of one service add up to 100 %.

    Of several experiments that speak of a version the later look counts. Users are no requests:
    where requests of a service are counted, experiments that count users say nothing of it. Without
    any traffic nothing is known.
    """
    found: dict[str, list[TrafficShare]] = {}
    by_service = sorted(traffic, key=lambda one: (one.namespace, one.service))
    for (namespace, service), listed in groupby(
        by_service, key=lambda one: (one.namespace, one.service)
    ):
        versions = _latest_of_each(listed)
        total = sum(one.per_second for one in versions)
        for one in versions if total else ():
            share = TrafficShare(service, one.version, namespace, 100 * one.per_second / total)
            found.setdefault(one.experiment, []).append(share)
    return found


def _latest_of_each(listed: Iterable[VersionTraffic]) -> list[VersionTraffic]:
    ranked = sorted(listed, key=lambda one: (one.is_users, -one.look_at_ms, one.experiment))
    first: dict[str, VersionTraffic] = {}
    for one in ranked:
        if one.is_users == ranked[0].is_users:
            first.setdefault(one.version, one)
    return list(first.values())
