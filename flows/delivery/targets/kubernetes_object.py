"""Weights in a TrafficSplit, VirtualService or HTTPRoute of a cluster, by server-side apply."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flows.delivery.targets.cluster_object import FIELD_MANAGER, ClusterObject
from flows.delivery.targets.manifest_weights import LISTS, changed_weights, read_weights
from flows.delivery.targets.target import ALL_ROUTES, AppliedSplit, ShiftedRoutes, TargetRefused

FENCE, REASON = f"{FIELD_MANAGER}/fence", f"{FIELD_MANAGER}/reason"
# No variant has such a name.
_REST = "(rest)"
_Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Remainder:
    """Beside a fresh baseline, what takes the requests that are not compared.

    name: what the object calls it. baseline, candidate: the variants.
    """

    name: str
    baseline: str
    candidate: str

    def spread(self, weights: Mapping[str, float]) -> dict[str, float]:
        """Percent of the object's receivers: as much to the baseline as to the candidate."""
        share = weights[self.candidate]
        fresh = min(share, 100.0 - share)
        return {self.baseline: fresh, self.candidate: share, _REST: 100.0 - share - fresh}

    def gathered(self, carried: Mapping[str, float]) -> dict[str, float]:
        """Percent by variant, the rest with the baseline; as carried where that isn't spread so."""
        share = carried[self.candidate]
        weights = {self.baseline: 100.0 - share, self.candidate: share}
        wanted = self.spread(weights)
        if all(abs(carried[name] - wanted[name]) < 0.05 for name in wanted):
            return weights
        return {name: carried[name] for name in weights}


@dataclass(frozen=True, slots=True)
class KubernetesObject:
    """The weights of one object of a cluster.

    names: what the object calls the variants. rest: of a delivery with a fresh baseline.
    """

    object: ClusterObject
    names: Mapping[str, str] = field(default_factory=dict)
    rest: Remainder | None = None
    routes: ShiftedRoutes = ALL_ROUTES

    @property
    def title(self) -> str:
        """The target in words."""
        return self.object.title

    def read(self) -> AppliedSplit:
        """The split as the API server has it. Raises TargetUnavailable or TargetRefused."""
        return self._split(self.object.get())

    def shift(
        self, weights: Mapping[str, float], *, fence: int, expected: str, reason: str
    ) -> AppliedSplit:
        """Applies the list that holds the weights, as it was read but for the weights.

        The API server refuses it if the object was changed meanwhile; see TrafficTarget.shift.
        """
        found = self.object.get()
        now = self._split(found)
        now.check(self.title, fence=fence, expected=expected)
        return self._split(self.object.apply(self._wanted(found, weights, fence, reason)))

    @property
    def _receivers(self) -> Mapping[str, str]:
        return self.names if self.rest is None else {**self.names, _REST: self.rest.name}

    def _wanted(self, found: _Json, weights: Mapping[str, float], fence: int, reason: str) -> _Json:
        """What is applied: this list, whole, since the CRDs' lists are replaced as one."""
        listed = LISTS[self.object.kind]
        spec = {listed: copy.deepcopy(found["spec"][listed])}
        spread = weights if self.rest is None else self.rest.spread(weights)
        changed = changed_weights(found, self._receivers, spread, self.routes)
        for path, weight in changed.items():
            entry: Any = {"spec": spec}
            for part in ("spec", *path[1:-1]):
                entry = entry[part]
            entry[path[-1]] = weight
        return {
            "apiVersion": found["apiVersion"],
            "kind": self.object.kind,
            "metadata": {
                "name": self.object.name,
                "namespace": self.object.namespace,
                "resourceVersion": found["metadata"]["resourceVersion"],
                "annotations": {FENCE: str(fence), REASON: reason},
            },
            "spec": spec,
        }

    def _split(self, found: _Json) -> AppliedSplit:
        metadata = found["metadata"]
        fence = (metadata.get("annotations") or {}).get(FENCE, "0")
        if not fence.isdecimal():
            raise TargetRefused(
                f"{self.title}: its annotation {FENCE} is {fence!r}, must be a number: remove it"
            )
        weights = read_weights(found, self._receivers, self.routes)
        if self.rest is not None:
            weights = self.rest.gathered(weights)
        return AppliedSplit(weights, int(fence), str(metadata["resourceVersion"]))
