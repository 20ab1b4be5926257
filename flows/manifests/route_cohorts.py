"""Route rules that send requests to an experiment's variants, each by a split of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from flows.manifests.objects import UNNAMED_NAMESPACE
from flows.manifests.split import Backend, Split

_ROUTE = re.compile(r"(\w+?)s?\[(\d+)\](?: \((.+)\))?")
_CONNECTIONS = ("tcp", "tls")
# Percent.
_ALL, _SAME = 100.0, 0.05
# Kinds whose one split is of the matched requests; others go elsewhere, none is refused.
_REST = {
    "TrafficSplit": "to any pod of the service",
    "Canary": "to the primary",
    "Rollout": "by the rollout's weights",
}


@dataclass(frozen=True, slots=True)
class RouteCohort:
    """The requests of one route rule. shares: percent by receiver; empty where stages shift it."""

    split: Split
    shares: Mapping[str, float]

    @property
    def name(self) -> str:
        """As a spec can have it: the route's own name, else its place (http-2)."""
        found = _ROUTE.search(self.split.origin.route)
        kind, place, own = found.groups() if found else ("route", "0", None)
        named = re.sub(r"[^a-z0-9-]+", "-", (own or "").lower()).strip("-")[:60].strip("-")
        return named or f"{kind}-{place}"

    @property
    def is_whole(self) -> bool:
        """Whether one version gets all of them."""
        return max(self.shares.values(), default=0.0) >= _ALL - _SAME

    def __str__(self) -> str:
        shares = ", ".join(f"{name} {share:g}" for name, share in self.shares.items() if share)
        return f"{self.split.origin} has {shares or 'stages'} for {self.split.cohort}"


def is_driven(split: Split, splits: Sequence[Split]) -> bool:
    """Whether another split sets the weights of this one: a Rollout those of its VirtualService."""
    origin = split.origin
    return any(
        (one.kind, one.name) == (origin.kind, origin.name)
        and origin.namespace in (one.namespace, UNNAMED_NAMESPACE)
        and (not one.routes or any(f"({name})" in origin.route for name in one.routes))
        for other in splits
        if other is not split
        for one in other.drives
    )


def cohorts_among(
    splits: Sequence[Split], named: Mapping[Split, Mapping[str, Backend]]
) -> list[RouteCohort]:
    """The route rules of requests that send any to the variants.

    named: of each split, the backends that are variants, by their name.
    """
    found = []
    for split in splits:
        counts_requests = not split.origin.route.startswith(_CONNECTIONS)
        if named[split] and counts_requests and not is_driven(split, splits):
            shares = {name: one.percent for name, one in named[split].items()}
            said = {name: share for name, share in shares.items() if share is not None}
            if said or split.stages:
                found.append(RouteCohort(split, said))
    return found


def why_mixed(cohorts: Sequence[RouteCohort]) -> str:
    """Why requests of different users would be compared if all were pooled; empty if not so.

    Where each rule sends everything to one version, versions are compared as in a blue-green test.
    """
    for cohort in cohorts:
        rest = _REST.get(cohort.split.origin.kind)
        if rest and not cohort.split.cohort.is_everyone and not _is_ab_test(cohort):
            return f"{cohort}; the other requests go {rest}"
    if all(cohort.is_whole for cohort in cohorts):
        return ""
    if all(_same(one.shares, other.shares) for one, other in pairwise(cohorts)):
        return ""
    return "; ".join(map(str, cohorts))


def _is_ab_test(cohort: RouteCohort) -> bool:
    """Flagger's iterations, or Argo's header route without weights: all of the matched requests."""
    return not cohort.shares and not cohort.split.stages


def _same(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    return all(abs(one.get(name, 0) - other.get(name, 0)) <= _SAME for name in {*one, *other})
