"""Specs that deliver to one and the same place: each would take back the other's weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from flows.plan.delivered import names_in_target
from flows.spec.delivery import EnvoyTarget, GitTarget, KubernetesTarget
from flows.spec.experiment import Experiment

_Known = tuple[Path, Experiment]


def shared_targets(path: Path, spec: Experiment, others: Sequence[_Known]) -> Iterator[str]:
    """A sentence for each other spec that shifts the same weights and may do so at the same time.

    Those that come one after the other (`after`) may share them.
    """
    place = _place(path, spec)
    if place is None:
        return
    order = {other.experiment: other.after for _, other in others} | {spec.experiment: spec.after}
    for file, other in others:
        is_other = file.resolve() != path.resolve()
        if (
            is_other
            and _place(file, other) == place
            and _are_routes_shared(spec, other)
            and spec.experiment not in _before(other.experiment, order)
            and other.experiment not in _before(spec.experiment, order)
        ):
            yield (
                f"delivery.target: {_title(place)} is that of {file}, too; delivered at the same "
                "time, each takes back the other's weights: give each a target or a `route` of "
                f"its own, or let one wait (after: [{other.experiment}])"
            )


def _place(path: Path, spec: Experiment) -> tuple[str, ...] | None:
    """Where the weights are, the same for every way to write it."""
    match spec.delivery.target if spec.delivery else None:
        case EnvoyTarget(envoy=file):
            return "", str((path.parent / file).resolve())
        case GitTarget(git=file, object=name):
            return name, str((path.parent / file).resolve())
        case KubernetesTarget(kubernetes=name, context=context, kubeconfig=config):
            file = str(Path(config).expanduser().resolve()) if config else ""
            return name, spec.namespace, context or "", file
    return None


def _title(place: Sequence[str]) -> str:
    name, where, *cluster = place
    context = next((f" of context {each}" for each in cluster[:1] if each), "")
    return f"{name} in {where}{context}" if name else where


def _are_routes_shared(one: Experiment, other: Experiment) -> bool:
    """Whether both shift a route: every one that has all of their names, but for `route`."""
    routes = {spec.delivery.target.route for spec in (one, other) if spec.delivery} - {None}
    names = set(names_in_target(one).values())
    return len(routes) < 2 and not names.isdisjoint(names_in_target(other).values())


def _before(name: str, order: Mapping[str, Sequence[str]]) -> set[str]:
    """All that an experiment comes after."""
    found, waiting = set[str](), [name]
    while waiting:
        new = set(order.get(waiting.pop(), ())) - found
        found |= new
        waiting += new
    return found
