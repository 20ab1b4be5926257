"""The traffic target that a spec names."""

from __future__ import annotations

from pathlib import Path

from flows.delivery.targets.envoy_routes import EnvoyRoutes
from flows.delivery.targets.git_manifest import GitManifest
from flows.delivery.targets.kubernetes_object import KubernetesObject
from flows.delivery.targets.target import TargetRefused, TrafficTarget
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
    names = {
        name: target.names.get(name, variant.version or variant.service or name)
        for name, variant in spec.variants.items()
    }
    match target:
        case EnvoyTarget():
            return EnvoyRoutes(spec_dir / target.envoy, names, target.route, target.admin)
        case KubernetesTarget():
            kind, _, name = target.kubernetes.partition("/")
            return KubernetesObject(
                kind, name, spec.namespace, names, target.kubeconfig, target.context
            )
        case GitTarget():
            kind, _, name = target.object.partition("/")
            return GitManifest(spec_dir / target.git, kind, name, names, target.push)
