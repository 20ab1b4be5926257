"""A fresh baseline in a cluster: the old image beside the candidate, as many pods and as large."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

from flows.delivery.targets.cluster_object import FIELD_MANAGER, ClusterObject
from flows.delivery.targets.target import NewerController, TargetRefused

OWNER, FENCE = f"{FIELD_MANAGER}/experiment", f"{FIELD_MANAGER}/fence"
VERSION_LABELS = ("version", "app.kubernetes.io/version", "service.istio.io/canonical-revision")
_PODS = f"{FIELD_MANAGER}/baseline"
_Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class FreshPods:
    """The Deployment that a delivery makes and removes.

    own: the Deployment. stable: the one whose image it has; candidate: whose size. version: label
    of its pods, by which the mesh tells them.
    """

    experiment: str
    own: ClusterObject
    stable: str
    candidate: str
    version: str

    @property
    def title(self) -> str:
        """The Deployment in words."""
        return self.own.title

    def ensure(self, *, fence: int) -> str | None:
        """Makes the Deployment, or gives it the candidate's size; what it lacks, or None.

        Raises NewerController, TargetUnavailable or TargetRefused, as the target does.
        """
        self._check(self.own.find(), fence)
        stable, candidate = (replace(self.own, name=n).get() for n in (self.stable, self.candidate))
        for deployment in (stable, candidate):
            self._check_version(deployment)
        found = self.own.apply(self._wanted(stable, candidate, fence))
        wanted = found["spec"].get("replicas", 1)
        ready = (found.get("status") or {}).get("readyReplicas") or 0
        if ready < wanted:
            return f"{self.title}, the fresh baseline, has {ready} of {wanted} pods ready"
        return None

    def remove(self, *, fence: int) -> None:
        """Deletes the Deployment, if it is there and this experiment's. Raises as ensure does."""
        if (found := self.own.find()) is not None:
            self._check(found, fence)
            self.own.delete()

    def _check(self, found: _Json | None, fence: int) -> None:
        if found is None:
            return
        told = found["metadata"].get("annotations") or {}
        if told.get(OWNER) != self.experiment:
            raise TargetRefused(
                f"{self.title} is there and was not made for {self.experiment}: choose another "
                "delivery.target.fresh_baseline.name, or delete it"
            )
        held = told.get(FENCE, "0")
        if held.isdecimal() and int(held) > fence:
            raise NewerController(
                f"{self.title} was made under lease {held}, this controller's is {fence}: it stops"
            )

    def _check_version(self, deployment: _Json) -> None:
        labels = deployment["spec"]["template"]["metadata"].get("labels") or {}
        if any(labels.get(label) == self.version for label in VERSION_LABELS):
            raise TargetRefused(
                f"pods of Deployment/{deployment['metadata']['name']} are of version "
                f"{self.version} too, and would be counted with those of {self.title}: give the "
                "baseline a `version` that no others have"
            )

    def _wanted(self, stable: _Json, candidate: _Json, fence: int) -> _Json:
        template = copy.deepcopy(stable["spec"]["template"])
        labels = dict(template["metadata"].get("labels") or {})
        template["metadata"] = {
            "labels": {
                **labels,
                # What a mesh goes by beside `version` would else be that of the old pods.
                **{label: self.version for label in VERSION_LABELS[1:] if label in labels},
                VERSION_LABELS[0]: self.version,
                _PODS: self.own.name,
            },
            **{k: v for k, v in template["metadata"].items() if k == "annotations"},
        }
        sizes = {
            one["name"]: one.get("resources", {})
            for one in candidate["spec"]["template"]["spec"]["containers"]
        }
        for container in template["spec"]["containers"]:
            if container["name"] in sizes:
                container["resources"] = sizes[container["name"]]
        return {
            "apiVersion": stable["apiVersion"],
            "kind": "Deployment",
            "metadata": {
                "name": self.own.name,
                "namespace": self.own.namespace,
                "annotations": {OWNER: self.experiment, FENCE: str(fence)},
                # Should nobody remove it, it goes when the candidate does.
                "ownerReferences": [
                    {
                        "apiVersion": candidate["apiVersion"],
                        "kind": "Deployment",
                        "name": candidate["metadata"]["name"],
                        "uid": candidate["metadata"]["uid"],
                    }
                ],
            },
            "spec": {
                "replicas": candidate["spec"].get("replicas", 1),
                "selector": {"matchLabels": {_PODS: self.own.name}},
                "template": template,
            },
        }
