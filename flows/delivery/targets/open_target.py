"""The traffic target that a spec names."""

from __future__ import annotations

from pathlib import Path

from flows.delivery.targets.cluster_object import ClusterObject
from flows.delivery.targets.envoy_routes import EnvoyRoutes
from flows.delivery.targets.fresh_pods import FreshPods
from flows.delivery.targets.git_manifest import GitManifest
from flows.delivery.targets.kubernetes_object import KubernetesObject, Remainder
from flows.delivery.targets.target import ShiftedRoutes, TargetRefused, TrafficTarget
from flows.plan.delivered import names_in_target
from flows.spec.cohort_spec import shifted_cohorts
from flows.spec.delivery import EnvoyTarget, GitTarget, KubernetesTarget
from flows.spec.experiment import Experiment


def open_target(spec: Experiment, *, spec_dir: Path) -> TrafficTarget:
    """The target of the spec's delivery; files are relative to spec_dir. Asks nothing yet.

    Raises TargetRefused if the spec has no delivery.
    """
    if spec.delivery is None:
        raise TargetRefused(
            f"{spec.experiment} has no `delivery`: say in its spec where the weights are, such as "
            "delivery: {target: {envoy: routes.json}}"
        )
    target = spec.delivery.target
    names = names_in_target(spec)
    shifted = shifted_cohorts(spec.cohorts)
    others_stay = len(shifted) < len(spec.cohorts)
    routes = ShiftedRoutes(target.route, len(shifted) if others_stay else None)
    match target:
        case EnvoyTarget():
            return EnvoyRoutes(spec_dir / target.envoy, names, target.admin, routes)
        case KubernetesTarget():
            kind, _, name = target.kubernetes.partition("/")
            fresh = target.fresh_baseline
            compared = spec.baseline, spec.candidates[0]
            rest = None if fresh is None else Remainder(fresh.rest, *compared)
            return KubernetesObject(_in_cluster(spec, target, kind, name), names, rest, routes)
        case GitTarget():
            kind, _, name = target.object.partition("/")
            return GitManifest(spec_dir / target.git, kind, name, names, target.push, routes)


def open_fresh_pods(spec: Experiment) -> FreshPods | None:
    """The fresh baseline that the spec's delivery makes, if it is to make one."""
    target = spec.delivery.target if spec.delivery else None
    if not isinstance(target, KubernetesTarget) or target.fresh_baseline is None:
        return None
    fresh, version = target.fresh_baseline, spec.variants[spec.baseline].version
    own = _in_cluster(spec, target, "Deployment", fresh.name)
    return FreshPods(spec.experiment, own, fresh.stable, fresh.candidate, version or spec.baseline)


def _in_cluster(spec: Experiment, target: KubernetesTarget, kind: str, name: str) -> ClusterObject:
    return ClusterObject(kind, name, spec.namespace, target.kubeconfig, target.context)
