"""What a delivery is of: the variants, cohorts and stages that it began by, and its target."""

from __future__ import annotations

import hashlib
import json

from flows.spec.experiment import Experiment


def identity_of(spec: Experiment) -> str:
    """Tells whether a delivery can go on by a spec: the variants and stages are those it began by.

    Margins and looks may be changed while it runs.
    """
    told: dict[str, object] = {
        "service": [spec.namespace, spec.service],
        "variants": {name: one.model_dump(mode="json") for name, one in spec.variants.items()},
        "stages": [stage.model_dump(mode="json") for stage in spec.stages],
    }
    if spec.cohorts:
        told["cohorts"] = {name: one.model_dump(mode="json") for name, one in spec.cohorts.items()}
    return _hash_of(told)


def names_in_target(spec: Experiment) -> dict[str, str]:
    """What the delivery's target calls each variant."""
    called = spec.delivery.target.names if spec.delivery else {}
    return {
        name: called.get(name, variant.version or variant.service or name)
        for name, variant in spec.variants.items()
    }


def target_of(spec: Experiment) -> str:
    """Tells whether a delivery's target is the one that it began by: the only one to go back."""
    place = {"kubernetes", "context", "kubeconfig", "git", "object", "envoy", "route"}
    target = spec.delivery.target if spec.delivery else None
    return _hash_of(target.model_dump(mode="json", include=place) if target else {})


def _hash_of(told: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
