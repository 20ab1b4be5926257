"""What a delivery is of: the variants, cohorts and stages that it began by."""

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
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
